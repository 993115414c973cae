"""Drill: a value is invalidated while it is computed; how often is the old value served later?"""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from parts.contestants import CONTESTANTS, OURS, Contestant, open_contestant
from parts.outcome import Outcome, drill

ROUNDS, QUICK_ROUNDS, KEYS = 10_000, 500, 100
REMOTE = f"{OURS}, 2 processes"


class Source:
    """The truth: a number for each key, read by computations that can be held up."""

    def __init__(self) -> None:
        self.number = dict.fromkeys((f"key{n}" for n in range(KEYS)), 0)
        self.has_read = threading.Event()
        self.go_on = threading.Event()

    def read_slowly(self, key: str) -> int:
        """Read the truth, then take long enough to be overtaken by an invalidation."""
        number = self.number[key]
        self.has_read.set()
        self.go_on.wait(10)
        return number


def one_round(
    cache: Contestant, source: Source, key: str, invalidate: Any, pool: ThreadPoolExecutor
) -> bool:
    """Return whether the old value was served after the invalidation had returned."""
    source.has_read.clear()
    source.go_on.clear()
    slow = pool.submit(cache.get, key, lambda: source.read_slowly(key))
    if not source.has_read.wait(10):
        raise RuntimeError(f"{key} was not computed although it had been invalidated")
    source.number[key] += 1
    invalidate(key)
    source.go_on.set()
    slow.result(10)
    stale = bool(cache.get(key, lambda: source.number[key]) != source.number[key])
    invalidate(key)
    return stale


def invalidator(directory: Path, asked: Any) -> None:
    """Another process, which invalidates what it is told to."""
    cache = open_contestant(OURS, directory, 3600)
    asked.send("ready")
    while (key := asked.recv()) is not None:
        cache.invalidate(key)
        asked.send("done")
    cache.close()


class Elsewhere:
    """Invalidates through another process."""

    def __init__(self, directory: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=invalidator, args=(directory, theirs))
        self._process.start()
        assert self._pipe.recv() == "ready"

    def invalidate(self, key: str) -> None:
        """Return when the other process has invalidated a key."""
        self._pipe.send(key)
        assert self._pipe.recv() == "done"

    def close(self) -> None:
        """End the other process."""
        self._pipe.send(None)
        self._process.join(10)
        self._process.kill()


def run(name: str, directory: Path, quick: bool) -> Outcome:
    """Return how many of the rounds served the old value."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    cache = open_contestant(OURS if name == REMOTE else name, directory, 3600)
    elsewhere = Elsewhere(directory) if name == REMOTE else None
    invalidate = cache.invalidate if elsewhere is None else elsewhere.invalidate
    source = Source()
    with ThreadPoolExecutor(1) as pool:
        stale = sum(
            one_round(cache, source, f"key{number % KEYS}", invalidate, pool)
            for number in range(rounds)
        )
    if elsewhere is not None:
        elsewhere.close()
    cache.close()
    return Outcome(name, stale, f"of {rounds}")


if __name__ == "__main__":
    drill(
        "invalidated while being computed: stale value served",
        "invalidate",
        "stale",
        0,
        run,
        [OURS, REMOTE, *list(CONTESTANTS)[1:]],
    )
