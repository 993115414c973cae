"""A hit of a memoised function with one argument, against the decorators of other caches.

    python benchmarks/decorator.py

Every decorator wraps the same function, and every call is a hit. Ours looks the argument up by
content (so 1, True and 1.0 are three entries), counts, and honours expiry and invalidation by
other processes; the peers look it up by Python's `hash`.
"""

from __future__ import annotations

import asyncio
import functools
import tempfile
from collections.abc import Callable
from typing import Any

import async_lru
import cachebox
import cachetools
import joblib
import measure
import moka_py

import infercache as ic

ENTRIES = 1000
NUMBER = 20_000


def double(x: Any) -> Any:
    """Compute something trivial: what is timed is the decorator."""
    return x * 2


async def adouble(x: Any) -> Any:
    """Compute something trivial."""
    return x * 2


def peers(directory: str) -> dict[str, Callable[[Any], Any]]:
    """Return the same function under every other decorator."""
    cachebox_cached: Any = cachebox.cached(cachebox.LRUCache(ENTRIES))
    return {
        "cachebox": cachebox_cached(double),
        "moka-py": moka_py.cached(maxsize=ENTRIES)(double),
        "cachetools": cachetools.cached(cachetools.LRUCache(ENTRIES))(double),
        "functools": functools.lru_cache(ENTRIES)(double),
        "joblib": joblib.Memory(directory, verbose=0).cache(double),
    }


def compare(cache: ic.Cache, argument: Any, what: str, directory: str) -> measure.Result:
    """Time a hit with one argument."""
    ours = cache.memoize(name=what)(double)
    others = peers(directory)
    slow = others.pop("joblib")
    for function in (ours, slow, *others.values()):
        assert function(argument) == double(argument)
    calls = {name: functools.partial(function, argument) for name, function in others.items()}
    result = measure.paired(
        functools.partial(ours, argument),
        calls,
        number=NUMBER,
        question=f"decorator hit, {what}",
        target=1.0,
    )
    joblib_result = measure.paired(
        functools.partial(ours, argument), {"joblib": functools.partial(slow, argument)}, number=50
    )
    result.peers |= joblib_result.peers
    result.ratios |= joblib_result.ratios
    return result


async def _repeat(function: Callable[[Any], Any], argument: Any, number: int) -> None:
    for _ in range(number):
        await function(argument)


def compare_async(cache: ic.Cache) -> measure.Result:
    """Time an awaited hit, inside one running loop."""
    ours = cache.memoize(adouble)
    theirs = async_lru.alru_cache(maxsize=ENTRIES)(adouble)
    loop = asyncio.new_event_loop()
    try:
        run = loop.run_until_complete
        result = measure.paired(
            lambda: run(_repeat(ours, 7, NUMBER)),
            {"async_lru": lambda: run(_repeat(theirs, 7, NUMBER))},
            number=1,
            per_call=NUMBER,
            question="async decorator hit, one int",
            target=1.0,
        )
    finally:
        run(theirs.cache_close())
        loop.close()
    return result


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as directory, ic.Cache(ic.Memory("64MB")) as cache:
        results = [
            compare(cache, 7, "one int", directory),
            compare(cache, "a question of forty characters, or so...", "one str", directory),
            compare_async(cache),
        ]
        measure.report(results, "decorator")


if __name__ == "__main__":
    main()
