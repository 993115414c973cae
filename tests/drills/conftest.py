from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

RunDrill = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def run_drill(tmp_path: Path) -> RunDrill:
    """Send ours through a drill of `benchmarks/drills`, and return its outcomes."""

    def run(file: str, *contestants: str) -> list[dict[str, Any]]:
        script = REPOSITORY / "benchmarks" / "drills" / file
        answer = tmp_path / "outcome.json"
        command = [sys.executable, str(script), "--json", str(answer), "--only", *contestants]
        path = os.pathsep.join([str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, text=True, check=False
        )
        assert answer.exists(), f"{file} ended with {done.returncode} and no outcome"
        outcomes: list[dict[str, Any]] = json.loads(answer.read_text())["outcomes"]
        return outcomes

    return run
