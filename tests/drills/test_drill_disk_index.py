"""Bits flipped in the index itself: misses and outages, but no crash, hang or foreign error."""

from __future__ import annotations

import collections
import json
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infercache.errors import StoreError
from infercache.stores.base import Invalidation
from infercache.stores.directory import DirectoryStore, opening
from infercache.testing.corruption import flip_in_index
from infercache.testing.store_kit import make_key, make_record

FLIPS = 150
BLOB = bytes(range(200))


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="infercache-drill-", dir="/dev/shm") as folder:
        yield Path(folder)


def fill(path: Path) -> None:
    """Write a store of small values, and close it."""
    store = DirectoryStore(path, map_bytes=256 * 1024)
    for number in range(200):
        store.put_many([make_record(number, BLOB, tags=("t",))])
    store.close()


def use(path: Path) -> str:
    """Do everything once with a damaged store; say how it went."""
    try:
        store = DirectoryStore(path)
        keys = [make_key(number) for number in range(200)]
        found = [store.get_many([key])[0] for key in keys]
        store.put_many([make_record(number, BLOB * 5) for number in range(0, 200, 3)])
        store.evict_many([key.digest for key in keys[::2]])
        store.invalidate(Invalidation(tag="t"))
        list(store.scan())
        store.check()
        store.close()
    except StoreError:
        return "outage"
    blobs = [bytes(stored.buffer) for stored in found if stored]
    if any(blob != BLOB for blob in blobs):
        return "damaged blob, for its checksum to find"
    return "as before" if len(blobs) == 200 else "misses"


def use_in_child(path: Path) -> str:
    """Use a store in a process of its own, which may crash or hang."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            os.write(writing, use(path).encode())
        except BaseException as error:
            os.write(writing, repr(error)[:200].encode())
        os._exit(0)
    os.close(writing)
    status = os.waitpid(child, 0)[1]
    said = os.read(reading, 1000).decode()
    os.close(reading)
    return f"killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else said


@pytest.mark.drill
@pytest.mark.timeout(900)
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "killed"])
def test_flipped_bits_in_the_index(folder: Path, closed: bool) -> None:
    """`closed`: the seal tells. `killed`: only LMDB's and our own checks of pages and rows do."""
    fill(folder / "whole")
    if not closed:
        state = {"boot_id": opening.boot_id(), "clean": False}
        (folder / "whole" / "state.json").write_text(json.dumps(state))
    rng = random.Random(7)
    tally: collections.Counter[str] = collections.Counter()
    for _ in range(FLIPS):
        shutil.copytree(folder / "whole", folder / "flipped")
        flip_in_index(folder / "flipped", rng)
        tally[use_in_child(folder / "flipped")] += 1
        shutil.rmtree(folder / "flipped")
    print(dict(tally))
    expected = {"as before", "misses", "outage", "damaged blob, for its checksum to find"}
    assert set(tally) <= expected
