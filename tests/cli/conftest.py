"""Runs commands as a user does, in this process where that is enough."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from infercache.cli.group import infercache

SOURCE = Path(__file__).parents[2] / "src"


class Run(NamedTuple):
    """What a command did."""

    code: int
    output: str
    errors: str

    def json(self) -> Any:
        """Return what it printed, read as JSON."""
        return json.loads(self.output)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Run a command over a disk tier in `tmp_path / "disk"`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFERCACHE_DISK_PATH", str(tmp_path / "disk"))

    def call(*arguments: str, **options: Any) -> Run:
        result = CliRunner().invoke(infercache, list(arguments), **options)
        return Run(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command as a process of its own; `before` is Python that runs first."""

    def call(*arguments: str, before: str = "pass", shell: str = "") -> Any:
        code = f"import sys; {before}; from infercache.cli.main import main; main()"
        environ = os.environ | {
            "PYTHONPATH": str(SOURCE),
            "INFERCACHE_DISK_PATH": str(tmp_path / "disk"),
        }
        command = [sys.executable, "-c", code, *arguments]
        if shell:
            command = ["bash", "-c", f"{shlex.join(command)} {shell}"]
        return subprocess.run(
            command, capture_output=True, text=True, env=environ, cwd=tmp_path, timeout=120
        )

    return call
