"""Kill -9 in the middle of writes, five hundred times: no torn read, no lost account."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infercache.stores.directory import DirectoryStore

ROOT = Path(__file__).parents[2]
WORKER = ROOT / "tests" / "stores" / "directory_worker.py"
ROUNDS = 500
LIMIT = 3_000_000


def load_worker() -> Any:
    """Return the worker's module."""
    spec = importlib.util.spec_from_file_location("directory_worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start_writer(worker: Any, path: Path, seed: int) -> int:
    """Fork a process that writes until it is killed; return once it has opened the store."""
    ready, done = os.pipe()
    child = os.fork()
    if not child:
        try:
            store, rng = DirectoryStore(path), random.Random(seed)
            os.write(done, b"!")
            while True:
                worker.write_once(store, rng, LIMIT)
        finally:
            os._exit(1)
    os.close(done)
    said = os.read(ready, 1)
    os.close(ready)
    assert said == b"!"
    return child


def kill_at_random(worker: Any, path: Path, rng: random.Random, seed: int) -> None:
    """Let two processes write for a moment, and kill both."""
    writers = [start_writer(worker, path, 2 * seed), start_writer(worker, path, 2 * seed + 1)]
    time.sleep(rng.random() * 0.05)
    for writer in writers:
        os.kill(writer, signal.SIGKILL)
    for writer in writers:
        assert os.WTERMSIG(os.waitpid(writer, 0)[1]) == signal.SIGKILL


def count_torn(store: DirectoryStore, worker: Any) -> tuple[int, int]:
    """Read everything; return how many blobs there were and how many were not whole."""
    keys = [info.key for info in store.scan()]
    found = store.get_many(keys)
    torn = sum(
        stored is None or not worker.is_whole(stored.buffer, int.from_bytes(key.digest, "big"))
        for key, stored in zip(keys, found, strict=True)
    )
    return len(keys), torn


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder in memory: a kill leaves the same there, without waiting for a device."""
    with tempfile.TemporaryDirectory(prefix="infercache-drill-", dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.mark.drill
@pytest.mark.timeout(1800)
def test_no_torn_read_after_five_hundred_kills(folder: Path) -> None:
    worker, rng = load_worker(), random.Random(2024)
    read = torn = 0
    problems: list[str] = []
    for round_number in range(ROUNDS):
        kill_at_random(worker, folder / "store", rng, round_number)
        store = DirectoryStore(folder / "store")
        problems += store.check()
        assert store.usage()[0] <= LIMIT
        counted = count_torn(store, worker)
        read, torn = read + counted[0], torn + counted[1]
        store.close()
    store = DirectoryStore(folder / "store")
    assert store.repair().missing == 0
    assert (torn, problems, store.check()) == (0, [], [])
    assert read > ROUNDS
    files = {str(path) for _, _, path in store._connection.values.files()}
    assert len(files) <= store.usage()[1]
    store.close()
    print(f"{ROUNDS} kills of two writers, {read} blobs read after them, {torn} torn")
