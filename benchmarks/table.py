"""How fast is the native table, next to the fastest in-process caches for Python?

Every contender holds the same 16-byte keys. A hit reads keys that are there, in random order; an
insert puts keys that are not there into a full cache, so that each evicts one.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import cachebox
import cachetools
import moka_py
from measure import Result, paired, report

from infercache._core import Table

CAPACITY = 10_000
BATCH = 2_000
Call = Callable[[], object]


def _keys(first: int, count: int) -> list[bytes]:
    """Digest-like keys: random bytes, the same in every run."""
    return [random.Random(number).randbytes(16) for number in range(first, first + count)]


def _reading(get: Callable[[bytes], Any], keys: list[bytes]) -> Call:
    def read() -> None:
        for key in keys:
            get(key)

    return read


def _putting(put: Callable[[bytes, object], Any], keys: list[bytes]) -> Call:
    """Each call puts the next batch; all keys together are twice what the cache holds."""
    batches = cycle([keys[start : start + BATCH] for start in range(0, len(keys), BATCH)])

    def insert() -> None:
        for key in next(batches):
            put(key, None)

    return insert


def _setting(cache: Any, keys: list[bytes]) -> Call:
    batches = cycle([keys[start : start + BATCH] for start in range(0, len(keys), BATCH)])

    def insert() -> None:
        for key in next(batches):
            cache[key] = None

    return insert


def _filled(cache: Any, put: Callable[[bytes, object], Any], keys: list[bytes]) -> Any:
    for key in islice(keys, CAPACITY):
        put(key, key)
    return cache


def hits(policy: str, keys: list[bytes]) -> Result:
    """Measure reads of keys that are there."""
    order = random.Random(7).sample(keys[:CAPACITY], BATCH)
    table = Table(None, CAPACITY, policy)
    _filled(table, table.put, keys)
    box, moka = cachebox.LRUCache(CAPACITY), moka_py.Moka(CAPACITY)
    tools: Any = cachetools.LRUCache(CAPACITY)
    for cache in (box, tools):
        _filled(cache, cache.__setitem__, keys)
    _filled(moka, moka.set, keys)
    known = functools.lru_cache(CAPACITY)(lambda key: key)
    _filled(known, lambda key, _: known(key), keys)
    peers = {
        "cachebox LRU": _reading(box.get, order),
        "moka-py": _reading(moka.get, order),
        "cachetools LRU": _reading(tools.get, order),
        "functools.lru_cache": _reading(known, order),
    }
    question = f"hit, {policy}"
    return paired(
        _reading(table.get, order), peers, 25, 5, question=question, per_call=BATCH, target=1.0
    )


def inserts(policy: str, keys: list[bytes]) -> Result:
    """Measure puts that evict."""
    table = Table(None, CAPACITY, policy)
    _filled(table, table.put, keys)
    box, moka = cachebox.LRUCache(CAPACITY), moka_py.Moka(CAPACITY)
    tools: Any = cachetools.LRUCache(CAPACITY)
    known = functools.lru_cache(CAPACITY)(lambda key: key)
    peers = {
        "cachebox LRU": _putting(box.insert, keys),
        "cachebox []=": _setting(box, keys),
        "moka-py": _putting(moka.set, keys),
        "cachetools LRU": _setting(tools, keys),
        "functools.lru_cache": _putting(lambda key, _: known(key), keys),
    }
    question = f"insert and evict, {policy}"
    return paired(
        _putting(table.put, keys), peers, 25, 5, question=question, per_call=BATCH, target=1.0
    )


def main() -> None:
    """Measure, print and write."""
    keys = _keys(0, 2 * CAPACITY)
    policies = ("s3fifo", "lru")
    results = [measure(policy, keys) for measure in (hits, inserts) for policy in policies]
    report(results, "table")


if __name__ == "__main__":
    main()
