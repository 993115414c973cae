"""Real processes over one directory: each key is computed once, and nobody waits for the dead."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("guard_worker.py")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a worker that has opened the cache and waits for a line on its input."""
    started: list[subprocess.Popen[str]] = []

    def start(seconds: float, threads: int, *keys: str) -> subprocess.Popen[str]:
        arguments = [str(tmp_path), str(seconds), str(threads), *keys]
        process = subprocess.Popen(
            [sys.executable, str(WORKER), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert answer(process) == "open"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def who_computed(directory: Path, key: str) -> list[int]:
    mark = directory / key
    return [int(pid) for pid in mark.read_text().split()] if mark.exists() else []


def test_three_processes_compute_each_key_once(start: Start, tmp_path: Path) -> None:
    keys = ["a", "b", "c"]
    workers = [start(0.1, 8, *(keys[n:] + keys[:n])) for n in range(3)]
    for worker in workers:
        go(worker)
    assert [answer(worker) for worker in workers] == ["done"] * 3
    assert [len(who_computed(tmp_path, key)) for key in keys] == [1, 1, 1]


def test_waiter_takes_over_from_a_killed_process_at_once(start: Start, tmp_path: Path) -> None:
    doomed, waiter = start(60.0, 1, "key"), start(0.05, 4, "key")
    go(doomed)
    while not who_computed(tmp_path, "key"):
        time.sleep(0.01)
    go(waiter)
    time.sleep(0.3)
    assert who_computed(tmp_path, "key") == [doomed.pid]
    doomed.kill()
    assert answer(waiter) == "done"
    assert who_computed(tmp_path, "key") == [doomed.pid, waiter.pid]
