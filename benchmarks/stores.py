"""Disk and shared memory against diskcache, joblib, a plain memory map, and Redis with pickle.

    python benchmarks/stores.py [--json PATH]

Every contender has the same two verbs, get and set, on NumPy arrays or bytes. Ours is measured
twice: as `ic.Cache` over one directory, which is what users hold (keys, codecs, checksums), and
as the bare store below it. Values that come from "another process" were really written by one.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from measure import Result, paired, report

SMALL = os.urandom(1000)
LARGE_BYTES = 4 << 20
KEYS = 2000
LEVEL = "INFERCACHE_BENCH_LEVEL"


class Contender(Protocol):
    """What is compared."""

    def get(self, key: int) -> Any:
        """Return the value of a key."""

    def set(self, key: int, value: Any) -> None:
        """Keep a value."""


class StoreContender:
    """`DirectoryStore` as it is: blobs in, verified blobs out."""

    def __init__(self, path: str) -> None:
        from infercache.key import Key
        from infercache.stores.base import Record, RecordInfo
        from infercache.stores.directory import DirectoryStore

        self.store = DirectoryStore(path)
        self._keys = [Key("", "bench", "1", n.to_bytes(16, "big")) for n in range(KEYS)]
        self._record, self._info = Record, RecordInfo

    def get(self, key: int) -> Any:
        """Return the stored buffer."""
        (stored,) = self.store.get_many([self._keys[key]])
        return None if stored is None else stored.buffer

    def set(self, key: int, value: Any) -> None:
        """Keep the bytes of a value."""
        buffer = memoryview(value).cast("B")
        info = self._info(self._keys[key], buffer.nbytes)
        self.store.put_many([self._record(info, (buffer,))])


class CacheContender:
    """`ic.Cache` over one directory: what users hold, with keys, codecs and checksums."""

    def __init__(self, path: str) -> None:
        import infercache as ic

        self.space = ic.Cache(ic.Disk(path, "4GB")).namespace("bench", version="1")

    def get(self, key: int) -> Any:
        """Return the value."""
        return self.space.get(key)

    def set(self, key: int, value: Any) -> None:
        """Keep the value."""
        self.space.put(key, value)


def ours(path: str) -> Contender:
    """Return our contender, at the level that is being measured (also in a process that fills)."""
    return StoreContender(path) if os.environ.get(LEVEL) == "store" else CacheContender(path)


class DiskcacheContender:
    """diskcache with its defaults."""

    def __init__(self, path: str) -> None:
        import diskcache

        self.cache = diskcache.Cache(path)

    def get(self, key: int) -> Any:
        """Return the value."""
        return self.cache.get(key)

    def set(self, key: int, value: Any) -> None:
        """Keep the value."""
        self.cache.set(key, value)


class JoblibContender:
    """joblib.Memory: a get is a hit of a memoised function."""

    def __init__(self, path: str) -> None:
        import joblib

        self.value: Any = None
        memory = joblib.Memory(path, verbose=0, mmap_mode="r")
        self._remember = memory.cache(self._compute, ignore=["self"])

    def _compute(self, key: int) -> Any:
        return self.value

    def get(self, key: int) -> Any:
        """Return the value."""
        return self._remember(key)

    def set(self, key: int, value: Any) -> None:
        """Keep the value."""
        self.value = value
        self._remember(key)


class MapContender:
    """The least that a hit in a file can cost: open and map the file."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)

    def get(self, key: int) -> Any:
        """Map the file."""
        return np.memmap(self.path / str(key), dtype=np.uint8, mode="r")

    def set(self, key: int, value: Any) -> None:
        """Write the file."""
        (self.path / str(key)).write_bytes(value)


class RedisContender:
    """redis-py with pickle, over a Unix socket."""

    def __init__(self, socket: str) -> None:
        import redis

        self.client = redis.Redis(unix_socket_path=socket)

    def get(self, key: int) -> Any:
        """Return the value."""
        return pickle.loads(self.client.get(str(key)))

    def set(self, key: int, value: Any) -> None:
        """Keep the value."""
        self.client.set(str(key), pickle.dumps(value, protocol=5))


@contextlib.contextmanager
def redis_server(folder: str) -> Iterator[str]:
    """Run a Redis of our own; give its socket."""
    socket = f"{folder}/redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not os.path.exists(socket):
            if server.poll() is not None:
                raise RuntimeError("redis-server did not start")
            time.sleep(0.01)
        yield socket
    finally:
        server.terminate()
        server.wait()


CONTENDERS: dict[str, Callable[[str], Contender]] = {
    "ours": ours,
    "diskcache": DiskcacheContender,
    "joblib": JoblibContender,
    "mmap": MapContender,
    "redis": RedisContender,
}


def large() -> Any:
    """Return a 4 MiB tensor."""
    return np.arange(LARGE_BYTES // 4, dtype=np.float32)


def fill_large(name: str, place: str) -> None:
    """Write the large values; runs in a process of its own."""
    contender = CONTENDERS[name](place)
    for key in range(4):
        contender.set(key, large())
    close = getattr(getattr(contender, "store", None), "close", None)
    if close:
        close()


def filled_elsewhere(name: str, place: str) -> Contender:
    """Return a contender whose large values another process wrote."""
    subprocess.run([sys.executable, __file__, "--fill", name, place], check=True)
    contender = CONTENDERS[name](place)
    for key in range(4):
        contender.get(key)
    return contender


def each(contender: Contender, verb: Callable[[Contender, int], object], keys: int) -> None:
    """Apply a verb to some keys in turn."""
    for key in range(keys):
        verb(contender, key)


def small_values(folder: str) -> list[Result]:
    """Measure a small value, get and set."""
    contenders = {
        name: CONTENDERS[name](f"{folder}/small-{name}") for name in ("ours", "diskcache")
    }
    keys = 200
    results = []
    verbs: list[tuple[str, Callable[[Contender, int], object], float]] = [
        ("disk, 1 kB: set", lambda contender, key: contender.set(key, SMALL), 5.0),
        ("disk, 1 kB: get", get, 1.0),
    ]
    for question, verb, target in verbs:
        turns = {n: partial(each, one, verb, keys) for n, one in contenders.items()}
        mine = turns.pop("ours")
        results.append(paired(mine, turns, 15, question=question, per_call=keys, target=target))
    return results


def get(contender: Contender, key: int) -> object:
    """Get a value."""
    return contender.get(key)


def get_and_read(contender: Contender, key: int) -> object:
    """Get a value and look at all of its bytes."""
    return np.frombuffer(contender.get(key), dtype=np.uint64).max()


def large_values(
    folder: str,
    names: list[str],
    question: str,
    places: dict[str, str],
    verb: Callable[[Contender, int], object] = get,
) -> Result:
    """Measure a hit of 4 MiB that another process wrote."""
    contenders = {
        name: filled_elsewhere(name, places.get(name, f"{folder}/large-{name}")) for name in names
    }
    turns = {name: partial(each, one, verb, 4) for name, one in contenders.items()}
    mine = turns.pop("ours")
    return paired(mine, turns, 15, 3, question=question, per_call=4)


def measure_level(folder: str, memory: str, level: str) -> list[Result]:
    """Measure everything with ours as a cache, or as a bare store."""
    os.environ[LEVEL] = level
    results = small_values(folder)
    disk = ["ours", "diskcache", "joblib", "mmap"]
    results.append(large_values(folder, disk, "disk, 4 MiB: get", {}))
    read = "disk, 4 MiB: get and read"
    results.append(large_values(f"{folder}/read", disk, read, {}, get_and_read))
    with redis_server(memory) as socket:
        names = ["ours", "diskcache", "redis"]
        question = "shared memory, 4 MiB: get from another process"
        results.append(large_values(memory, names, question, {"redis": socket}))
    for result in results:
        result.question += f" ({level})"
    return results


def main() -> None:
    """Measure everything."""
    results = []
    for level in ("cache", "store"):
        folder = tempfile.mkdtemp(prefix="infercache-bench-")
        memory = tempfile.mkdtemp(prefix="infercache-bench-", dir="/dev/shm")
        try:
            results += measure_level(folder, memory, level)
        finally:
            shutil.rmtree(folder)
            shutil.rmtree(memory)
    report(results, "stores")


if __name__ == "__main__":
    if "--fill" in sys.argv:
        fill_large(*sys.argv[2:4])
    else:
        main()
