"""Ours and the peers behind one small interface, so that all go through the same drills."""

from __future__ import annotations

import asyncio
import datetime
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

Compute = Callable[[], Any]


class Contestant(Protocol):
    """One library, opened in one process over a directory that all processes share."""

    def get(self, key: str, compute: Compute) -> Any:
        """Return the cached value, computing it if need be."""

    def invalidate(self, key: str) -> None:
        """Forget a value."""

    def close(self) -> None:
        """Release what is held."""


class Infercache:
    """Memory over disk."""

    def __init__(self, directory: Path, ttl_s: float) -> None:
        import infercache as ic

        self._cache = ic.Cache(ic.Memory("100MB"), ic.Disk(directory / "infercache", "1GB"))
        self._ttl_s = ttl_s

    def get(self, key: str, compute: Compute) -> Any:
        """Return the cached value, computing it if need be."""
        return self._cache.get_or_compute(key, compute, ttl_s=self._ttl_s)

    def invalidate(self, key: str) -> None:
        """Forget a value."""
        self._cache.invalidate(key)

    def close(self) -> None:
        """Release what is held."""
        self._cache.close()


class Cashews:
    """Its disk back end with `lock=True`; one event loop in a thread, a task for each caller."""

    def __init__(self, directory: Path, ttl_s: float) -> None:
        from cashews import Cache

        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._cache = Cache()
        self._directory = directory
        self._run(self._setup())
        self._compute: dict[str, Compute] = {}
        decorate = self._cache(ttl=ttl_s, key="{key}", lock=True)
        self._get = decorate(self._work)

    async def _setup(self) -> None:
        self._cache.setup(f"disk://?directory={self._directory / 'cashews'}&shards=0")
        await self._cache.init()

    async def _work(self, key: str, compute: Any = None) -> Any:
        return await asyncio.to_thread(compute)

    def get(self, key: str, compute: Compute) -> Any:
        """Return the cached value, computing it if need be."""
        return self._run(self._get(key, compute=compute))

    def invalidate(self, key: str) -> None:
        """Forget a value."""
        self._run(self._cache.delete(key))

    def close(self) -> None:
        """Release what is held."""
        self._run(self._cache.close())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


class CashewsEarly(Cashews):
    """Its `early` decorator: refreshes in the background in the last part of the life."""

    def __init__(self, directory: Path, ttl_s: float) -> None:
        super().__init__(directory, ttl_s)
        self._get = self._cache.early(ttl=ttl_s, early_ttl=ttl_s / 2, key="{key}")(self._work)


class Diskcache:
    """`Cache.memoize`."""

    def __init__(self, directory: Path, ttl_s: float) -> None:
        import diskcache

        self._cache = diskcache.Cache(str(directory / "diskcache"))
        self._get = self._decorate(ttl_s)(_run)

    def _decorate(self, ttl_s: float) -> Any:
        return self._cache.memoize(expire=ttl_s, ignore={1})

    def get(self, key: str, compute: Compute) -> Any:
        """Return the cached value, computing it if need be."""
        return self._get(key, compute)

    def invalidate(self, key: str) -> None:
        """Forget a value."""
        self._cache.delete(self._get.__cache_key__(key, None))

    def close(self) -> None:
        """Release what is held."""
        self._cache.close()


class DiskcacheStampede(Diskcache):
    """`memoize_stampede`: early recomputation by chance, in a thread."""

    def _decorate(self, ttl_s: float) -> Any:
        import diskcache

        return diskcache.memoize_stampede(self._cache, expire=ttl_s, ignore={1})


class Cachebox:
    """`cached` over a `TTLCache`, with its own lock for each key; nothing shared."""

    def __init__(self, directory: Path, ttl_s: float) -> None:
        import cachebox

        self._cache = cachebox.TTLCache(0, datetime.timedelta(seconds=ttl_s))
        self._get = cachebox.cached(self._cache, key_maker=lambda key, compute: key)(_run)

    def get(self, key: str, compute: Compute) -> Any:
        """Return the cached value, computing it if need be."""
        return self._get(key, compute)

    def invalidate(self, key: str) -> None:
        """Forget a value."""
        self._cache.pop(key, None)

    def close(self) -> None:
        """Release what is held."""
        self._cache.clear()


class Joblib:
    """`Memory.cache`, with `expires_after` where values expire."""

    def __init__(self, directory: Path, ttl_s: float) -> None:
        import joblib

        fresh = joblib.expires_after(seconds=ttl_s) if ttl_s < 1e6 else None
        memory = joblib.Memory(str(directory / "joblib"), verbose=0)
        self._get = memory.cache(_run, ignore=["compute"], cache_validation_callback=fresh)

    def get(self, key: str, compute: Compute) -> Any:
        """Return the cached value, computing it if need be."""
        return self._get(key, compute)

    def invalidate(self, key: str) -> None:
        """Forget a value."""
        if self._get.check_call_in_cache(key, None):
            self._get.call_and_shelve(key, None).clear()

    def close(self) -> None:
        """Holds nothing."""


def _run(key: str, compute: Compute) -> Any:
    return compute()


OURS = "infercache"
CONTESTANTS: dict[str, type[Any]] = {
    OURS: Infercache,
    "cashews": Cashews,
    "diskcache": Diskcache,
    "cachebox": Cachebox,
    "joblib": Joblib,
}
REFRESHING: dict[str, type[Any]] = {
    **CONTESTANTS,
    "cashews early": CashewsEarly,
    "diskcache stampede": DiskcacheStampede,
}


def open_contestant(name: str, directory: Path, ttl_s: float) -> Contestant:
    """Open a library by name."""
    contestant: Contestant = REFRESHING[name](directory, ttl_s)
    return contestant


def sleep_until(moment: float) -> None:
    """Sleep until a time of `time.time()`, which processes share."""
    time.sleep(max(0.0, moment - time.time()))
