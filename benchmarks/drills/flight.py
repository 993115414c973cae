"""Drill: 4 processes x 16 callers ask for 10 cold keys at once; how many computations?"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from parts.contestants import CONTESTANTS, Contestant, open_contestant, sleep_until
from parts.outcome import Outcome, drill

PROCESSES, CALLERS, KEYS = 4, 16, 10
COMPUTE_S = 0.3


def compute(counts: Path, key: str) -> str:
    """Work for a while, and leave a mark that all processes can count."""
    mark = os.open(counts / key, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(mark, b".")
    os.close(mark)
    time.sleep(COMPUTE_S)
    return "value of " + key


def ask_all(cache: Contestant, counts: Path, wrong: list[object]) -> None:
    """One caller: every key, in the same order as everybody."""
    for number in range(KEYS):
        key = f"key{number}"
        value = cache.get(key, partial(compute, counts, key))
        if value != "value of " + key:
            wrong.append(value)


def process(name: str, directory: Path, opened: Any, start_at: Any) -> None:
    """One process with its callers."""
    cache = open_contestant(name, directory, 3600)
    opened.release()
    while not start_at.value:
        time.sleep(0.01)
    sleep_until(start_at.value)
    wrong: list[object] = []
    callers = [
        threading.Thread(target=ask_all, args=(cache, directory / "counts", wrong))
        for _ in range(CALLERS)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    cache.close()
    if wrong:
        raise SystemExit(f"wrong values: {wrong[:3]}")


def run(name: str, directory: Path, quick: bool) -> Outcome:
    """Count the computations of one contestant."""
    (directory / "counts").mkdir()
    context = multiprocessing.get_context("spawn")
    opened, start_at = context.Semaphore(0), context.Value("d", 0.0)
    processes = [
        context.Process(target=process, args=(name, directory, opened, start_at))
        for _ in range(PROCESSES)
    ]
    for each in processes:
        each.start()
    for _ in processes:
        opened.acquire(timeout=60)
    start_at.value = time.time() + 0.2
    began = time.monotonic()
    for each in processes:
        each.join(120)
    took = time.monotonic() - began
    failed = [each.exitcode for each in processes if each.exitcode != 0]
    for each in processes:
        each.kill()
    computations = sum(path.stat().st_size for path in (directory / "counts").iterdir())
    note = f"{took:.1f} s" + (f"; exit codes {failed}" if failed else "")
    return Outcome(name, None if failed else computations, note)


if __name__ == "__main__":
    drill(
        f"cold key, {PROCESSES} processes x {CALLERS} callers x {KEYS} keys: computations",
        "flight",
        "computations",
        KEYS,
        run,
        list(CONTESTANTS),
    )
