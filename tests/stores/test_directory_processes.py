"""Several processes on one directory: one bound, whole blobs, no account lost to a kill."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import Any

import pytest

from infercache.stores.base import Invalidation
from infercache.stores.directory import DirectoryStore
from infercache.testing.store_kit import LARGE, make_key, make_record, read

Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryStore]:
    store = DirectoryStore(tmp_path / "store")
    yield store
    store.close()


def test_writers_together_stay_under_the_limit(store: DirectoryStore, spawn: Spawn) -> None:
    """The account is read all the while, and the files on disk are counted at the end."""
    limit = 3_000_000
    writers = [spawn("write_for", store.path, seed, limit, 2) for seed in range(3)]
    most = 0
    while any(writer.poll() is None for writer in writers):
        most = max(most, store.usage()[0])
        time.sleep(0.001)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert limit / 3 < most <= limit
    assert store.check() == []
    on_disk = sum(path.stat().st_blocks * 512 for path in (store.path / "values").glob("*/*"))
    assert on_disk <= limit


def test_view_survives_eviction_by_another_process(store: DirectoryStore, spawn: Spawn) -> None:
    store.put_many([make_record(1, LARGE), make_record(2, b"small")])
    held = [stored.buffer for stored in store.get_many([make_key(1), make_key(2)]) if stored]
    assert spawn("evict_all", store.path).wait() == 0
    assert store.get_many([make_key(1), make_key(2)]) == [None, None]
    assert [bytes(buffer) for buffer in held] == [LARGE, b"small"]


def test_what_another_process_wrote_is_read(
    store: DirectoryStore, spawn: Spawn, worker: Any
) -> None:
    for size in (100, 500_000):
        assert spawn("put_one", store.path, 7, size).wait() == 0
        (stored,) = store.get_many([worker.make_key(7)])
        assert stored is not None
        assert worker.is_whole(stored.buffer, 7)


def test_map_grown_by_another_process_is_followed(
    store: DirectoryStore, spawn: Spawn, worker: Any
) -> None:
    store.put_many([make_record(1_000_000, b"x")])
    for count in (900, 2700):
        assert spawn("put_small", store.path, count).wait() == 0
        assert verify_all(store, worker, {1_000_000}) == count + 1
        assert store.put_many([make_record(1_000_000, b"y")]) == [True]
    assert store.check() == []


def test_invalidation_elsewhere_changes_the_generation(store: DirectoryStore, spawn: Spawn) -> None:
    store.put_many([make_record(1, b"x")])
    before = store.generation()
    writer = spawn("write_for", store.path, 1, 0, 0.5)
    assert writer.wait() == 0
    assert store.generation() != before


def test_kill_leaves_whole_blobs_and_an_exact_account(
    store: DirectoryStore, spawn: Spawn, worker: Any
) -> None:
    rng = random.Random(11)
    for round_number in range(6):
        kill_writers(spawn, store, rng, round_number)
        verify_all(store, worker)
        assert store.check() == []
    store.repair()
    assert store.check() == []


def kill_writers(spawn: Spawn, store: DirectoryStore, rng: random.Random, seed: int) -> None:
    """Let two processes write, and kill both at a random instant."""
    writers = [spawn("write_forever", store.path, 2 * seed + n, 3_000_000) for n in range(2)]
    time.sleep(rng.random() * 0.1)
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        writer.wait()


def verify_all(store: DirectoryStore, worker: Any, others: Set[int] = frozenset()) -> int:
    """Read every record, and return how many there were; a torn one fails."""
    keys = [info.key for info in store.scan()]
    for key, stored in zip(keys, store.get_many(keys), strict=True):
        assert stored is not None
        number = int.from_bytes(key.digest, "big")
        assert number in others or worker.is_whole(stored.buffer, number)
    return len(keys)


def test_orphans_of_killed_writers_are_swept(tmp_path: Path, spawn: Spawn) -> None:
    path = tmp_path / "store"
    writer = spawn("write_forever", path, 1)
    writer.kill()
    writer.wait()
    for folder in ("values/ab", "tmp"):
        (path / folder).mkdir(exist_ok=True)
        (path / folder / f"{'ab' * 16}.{'0' * 16}").write_bytes(b"orphan")
    store = DirectoryStore(path)
    assert not list(path.glob(f"*/**/{'ab' * 16}.*"))
    store.close()


def test_orphans_of_a_live_writer_are_left_alone(store: DirectoryStore) -> None:
    """Only files older than a minute: a put in progress has files that nothing refers to yet."""
    store.put_many([make_record(1, LARGE)])
    folder = store.path / "values" / "ab"
    folder.mkdir()
    for name, age_s in (("new", 1), ("old", 3600)):
        path = folder / f"{name.encode().hex():0<32}.{'0' * 16}"
        path.write_bytes(b"orphan")
        os.utime(path, (time.time() - age_s,) * 2)
    assert store.repair().orphans == 1
    assert read(store, 1) == LARGE


def test_forked_child_uses_the_store(store: DirectoryStore) -> None:
    store.put_many([make_record(1, b"parent"), make_record(2, LARGE)])
    store.get_many([make_key(2)])
    child = os.fork()
    if not child:
        done = False
        try:
            done = (read(store, 1), read(store, 2)) == (b"parent", LARGE)
            done &= store.put_many([make_record(3, b"child")]) == [True]
        finally:
            os._exit(0 if done else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert read(store, 3) == b"child"
    assert store.put_many([make_record(4, b"parent again")]) == [True]
    assert store.check() == []


def test_forked_children_are_other_writers(store: DirectoryStore) -> None:
    since = store.lease()
    child = os.fork()
    if not child:
        try:
            store.invalidate(Invalidation(tag="x"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    changes: Any = store.changes(since)
    assert [change.own for change in changes] == [False]
