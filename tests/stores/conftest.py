"""Processes for the tests of shared stores."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).with_name("directory_worker.py")
SOURCE = Path(__file__).parents[2] / "src"

Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Give a function that runs a job of `directory_worker.py` in a process of its own.

    Jobs that write say when they have opened their store; the function returns then.
    """
    processes: list[subprocess.Popen[str]] = []

    def start(job: str, *arguments: object) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [sys.executable, str(WORKER), job, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
        )
        processes.append(process)
        if job.startswith("write"):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def worker() -> Any:
    """Give the worker's own module: what it writes, and how to prove it."""
    spec = importlib.util.spec_from_file_location("directory_worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
