"""Drill: stored bytes are flipped, truncated or swapped; how often is a wrong value served?

Each round damages one file of the cache, then asks for every key whose file it may have been.
A value that differs from what was stored counts as served; one that is computed again does not.
An exception that reaches the caller is no wrong value, and is told in the note. In the second
part small values that lie inside the index are damaged, for ours only: the peers keep theirs
in SQLite pages, which have no files of their own.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
from parts.contestants import OURS, Contestant, open_contestant
from parts.outcome import Outcome, drill

import infercache as ic
from infercache.testing.corruption import damage_one_of, flip

ROUNDS, QUICK_ROUNDS, KEYS = 10_000, 300, 20
SMALL = f"{OURS}, small values"
ITEMS = 40_000
_SMALL_BYTES = 64


class DiskOnly:
    """Ours without memory above the disk: every answer comes from the stored bytes."""

    def __init__(self, directory: Path, ttl_s: float) -> None:
        self.cache = ic.Cache(ic.Disk(directory / "infercache", "1GB"))

    def get(self, key: str, compute: Callable[[], Any]) -> Any:
        """Return the cached value, computing it if need be."""
        return self.cache.get_or_compute(key, compute)

    def invalidate(self, key: str) -> None:
        """Forget a value."""
        self.cache.invalidate(key)

    def close(self) -> None:
        """Release what is held."""
        self.cache.close()

    def counted(self) -> int:
        """Return how many damaged blobs the tier has counted."""
        return self.cache.stats().tiers[0].counts.get("corrupt", 0)


class Round:
    """One look at every key after some damage."""

    def __init__(self, cache: Contestant, truth: dict[str, Any]) -> None:
        self.cache = cache
        self.truth = truth
        self.wrong = 0
        self.raised = 0
        self.computed = 0

    def look(self) -> None:
        """Ask for every key."""
        for key, value in self.truth.items():
            self._look(key, value)

    def _look(self, key: str, value: Any) -> None:
        def compute() -> Any:
            self.computed += 1
            return value

        try:
            answer = self.cache.get(key, compute)
        except Exception:
            self.raised += 1
            self._forget(key)
            return
        if not (type(answer) is type(value) and numpy.array_equal(answer, value)):
            self.wrong += 1
            self._forget(key)

    def _forget(self, key: str) -> None:
        try:
            self.cache.invalidate(key)
        except Exception:  # a peer whose own index is damaged by now
            self.raised += 1


@contextmanager
def opened(name: str, directory: Path) -> Iterator[Contestant]:
    """Open a contestant, ours without memory."""
    cache: Contestant = (
        DiskOnly(directory, 0) if name in (OURS, SMALL) else open_contestant(name, directory, 1e9)
    )
    yield cache
    try:
        cache.close()
    except Exception as error:
        print(f"  {name} could not be closed: {error!r}")


def large_files(directory: Path) -> list[Path]:
    """Return the files that hold one value each."""
    return [path for path in sorted(directory.rglob("*")) if _holds_a_value(path)]


def _holds_a_value(path: Path) -> bool:
    return (
        path.is_file() and path.suffix not in (".db", ".mdb") and path.stat().st_size > ITEMS // 2
    )


def damage_small(directory: Path, truth: dict[str, Any], rng: random.Random) -> None:
    """Flip a bit of a small value inside the index."""
    data = directory / "infercache" / "index" / "data.mdb"
    content = data.read_bytes()
    places = [content.find(value) for value in truth.values()]
    place = rng.choice([place for place in places if place >= 0])
    flip(data, 8 * place + rng.randrange(8 * _SMALL_BYTES))


def run(name: str, directory: Path, quick: bool) -> Outcome:
    """Return how many wrong values were served."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    rng = random.Random(5)
    maker = numpy.random.default_rng(5)
    small = name == SMALL
    truth: dict[str, Any] = {
        f"key{number}": maker.bytes(_SMALL_BYTES)
        if small
        else maker.integers(0, 255, ITEMS, numpy.uint8)
        for number in range(KEYS)
    }
    with opened(name, directory) as cache:
        watch = Round(cache, truth)
        watch.look()
        for _ in range(rounds):
            if small:
                damage_small(directory, truth, rng)
            else:
                damage_one_of(large_files(directory) or [_nothing(directory)], rng)
            watch.look()
        note = f"of {rounds}; {watch.computed - KEYS} computed again, {watch.raised} exceptions"
        if isinstance(cache, DiskOnly):
            note += f", {cache.counted()} damaged blobs counted"
        return Outcome(name, watch.wrong, note)


def _nothing(directory: Path) -> Path:
    raise RuntimeError(f"no file of {directory} holds a value of its own: nothing to damage")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # joblib logs a traceback for every file that it rejects
    drill(
        "bytes flipped, truncated or swapped at rest: wrong values served",
        "corruption",
        "wrong",
        0,
        run,
        [OURS, SMALL, "cashews", "diskcache", "joblib"],
    )
