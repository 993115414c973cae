"""One of several processes that use one cache at random, and judge every answer."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import infercache as ic
from infercache.stores.directory import DirectoryStore

KEYS = 12
_SIZES = (10, 900, 20_000)


@dataclass(frozen=True)
class Setup:
    """How the caches are opened.

    Attributes:
        path: Where the directories are.
        write: "through" or "back".
        stacked: Whether a second shared tier lies above the disk.
        puts: Whether values are put, besides being computed.
        journal_length: Lines that the journal keeps.
        ttl_s: Time to live of computed values, with early refresh.
        seconds: How long the process works.
    """

    path: str
    write: str = "through"
    stacked: bool = False
    puts: bool = True
    journal_length: int = 16_384
    ttl_s: float | None = None
    seconds: float = 2.0

    def open(self) -> ic.Cache:
        defaults: Any = DirectoryStore.__init__.__kwdefaults__
        defaults["journal_length"] = self.journal_length
        tiers: list[Any] = [ic.Memory("40KB", policy=random.choice(["lru", "s3fifo"]))]
        if self.stacked:
            tiers.append(ic.SharedMemory("60KB", path=f"{self.path}/upper", write=self.write))
        tiers.append(ic.Disk(f"{self.path}/lower", "150KB", write=self.write))
        return ic.Cache(*tiers)


class Truth:
    """What each key's value is now, and the oldest that may still be served. Between processes.

    `source[k]` grows before each put and invalidation; `floor[k]` follows when it has returned.
    """

    def __init__(self, context: Any) -> None:
        self.source = context.Array("q", KEYS, lock=False)
        self.floor = context.Array("q", KEYS, lock=False)
        self.locks = [context.Lock() for _ in range(KEYS)]

    def change(self, keys: Sequence[int], act: Callable[[], object]) -> None:
        """Raise the truth of keys, act, and from then on accept nothing older."""
        with ExitStack() as held:
            for key in sorted(keys):
                held.enter_context(self.locks[key])
            for key in keys:
                self.source[key] += 1
            act()
            for key in keys:
                self.floor[key] = self.source[key]


class Worker:
    """Does random things to one cache."""

    def __init__(self, setup: Setup, truth: Truth, seed: int) -> None:
        self.random = random.Random(seed)
        self.setup, self.truth = setup, truth
        self.cache = setup.open()
        terms = {} if setup.ttl_s is None else {"ttl_s": setup.ttl_s, "early_refresh": 50.0}
        self.terms = terms
        self.spaces = [self.cache.namespace(f"s{k % 2}", version="1") for k in range(KEYS)]
        self.functions = {
            k: self.spaces[k].memoize(self._read, name=f"s{k % 2}", version="1", **self._tags(k),
                                      **terms)
            for k in range(KEYS)
        }  # fmt: skip
        self.faults: list[str] = []
        self.checked = 0

    @staticmethod
    def _tags(k: int) -> dict[str, Any]:
        return {"tags": (f"t{k % 3}",)}

    def _read(self, k: int) -> tuple[int, bytes]:
        """The computation: reads the truth, takes a while."""
        value = self.truth.source[k]
        if self.random.random() < 0.3:
            time.sleep(self.random.random() * 0.003)
        return value, bytes(self.random.choice(_SIZES))

    def run(self) -> None:
        """Work until the time is over."""
        actions = [self.read] * 10 + [self.invalidate] * 2
        actions += [self.put, self.put_many] if self.setup.puts else []
        until = time.monotonic() + self.setup.seconds
        while time.monotonic() < until and not self.faults:
            self.random.choice(actions)(self.random.randrange(KEYS))

    def read(self, k: int) -> None:
        """Ask in one of the ways there are, and judge the answer."""
        way = self.random.randrange(5)
        floors = list(self.truth.floor)
        space, found = self.spaces[k], None
        if way == 0:
            found = {k: space.get((k,))}
        elif way == 1:
            found = {k: space.get_or_compute((k,), lambda: self._read(k), **self._all(k))}
        elif way == 2:
            keys = list(range(k % 2, KEYS, 2))
            found = dict(zip(keys, space.get_many([(k,) for k in keys]), strict=True))
        elif way == 3:
            keys = list(range(k % 6, KEYS, 6))
            rows = space.get_or_compute_many(
                [(k,) for k in keys], lambda rows: [self._read(*row) for row in rows],
                **self._all(k),
            )  # fmt: skip
            found = dict(zip(keys, rows, strict=True))
        else:
            found = {k: self.functions[k](k)}
        for key, value in found.items():
            self.checked += value is not None
            if value is not None and value[0] < floors[key]:
                self.faults.append(f"key {key} by way {way}: {value[0]} after {floors[key]}")

    def _all(self, k: int) -> dict[str, Any]:
        return {**self._tags(k), **self.terms}

    def put(self, k: int) -> None:
        """Replace one value."""
        value = bytes(self.random.choice(_SIZES))
        self.truth.change(
            [k], lambda: self.spaces[k].put((k,), (self.truth.source[k], value), **self._all(k))
        )

    def put_many(self, k: int) -> None:
        """Replace several values."""
        keys = list(range(k % 6, KEYS, 6))
        self.truth.change(
            keys,
            lambda: self.spaces[k].put_many(
                [((k,), (self.truth.source[k], b"")) for k in keys], **self._all(k)
            ),
        )

    def invalidate(self, k: int) -> None:
        """Drop by key, tag, namespace, version or all."""
        cache, space = self.cache, self.spaces[k]
        same_parity = list(range(k % 2, KEYS, 2))
        ways: list[tuple[list[int], Callable[[], object]]] = [
            ([k], lambda: space.invalidate((k,))),
            ([k], lambda: self.functions[k].invalidate(k)),
            ([k], lambda: cache.invalidate(space.key((k,)))),
            (list(range(k % 3, KEYS, 3)), lambda: cache.invalidate(tag=f"t{k % 3}")),
            (same_parity, space.invalidate),
            (same_parity, lambda: cache.invalidate(namespace=f"s{k % 2}")),
            (list(range(KEYS)), lambda: cache.invalidate(version="1")),
            (list(range(KEYS)), cache.clear),
        ]
        weights = [6, 6, 6, 2, 1, 1, 1, 1]
        self.truth.change(*self.random.choices(ways, weights)[0])


def work(setup: Setup, truth: Truth, seed: int, results: Any, fork: bool = False) -> None:
    """Run two threads of random work; with `fork` in a child made after the cache was used."""
    random.seed(seed)
    worker = Worker(setup, truth, seed)
    with worker.cache:
        if fork:
            worker.run()
            child = os.fork()
            if child == 0:
                try:
                    worker.run()
                    results.put((worker.faults, worker.checked))
                    results.close()
                    results.join_thread()
                finally:
                    os._exit(0)
        threads = [threading.Thread(target=worker.run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if fork:
            os.waitpid(child, 0)
        faults = worker.faults + ([] if setup.write == "back" else worker.cache.check())
    results.put((faults, worker.checked))
