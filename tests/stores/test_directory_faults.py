"""Full, vanished, read-only, foreign, newer, damaged: one clear sentence, and back to work."""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infercache.clock import ManualClock
from infercache.errors import (
    ForeignDirectoryError,
    ReadOnlyError,
    StoreFullError,
    StoreUnavailableError,
)
from infercache.stores.base import Invalidation
from infercache.stores.directory import DirectoryStore, changes, opening, rows
from infercache.stores.directory.index import ACCOUNT_KEY, ALIVE_CHECK_S, Index
from infercache.testing.corruption import corrupt_at_random
from infercache.testing.store_kit import LARGE, make_key, make_record, read, read_stored

Mount = Callable[..., None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> Iterator[DirectoryStore]:
    store = DirectoryStore(path)
    yield store
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a mounted file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"mounting needs root: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


# -- full ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, 12_000, 200_000])
def test_full_disk_refuses_puts_and_works_again_after_evictions(
    small_disk: Path, size: int
) -> None:
    store = DirectoryStore(small_disk / "store")
    blobs: dict[int, bytes] = {}
    with pytest.raises(StoreFullError, match=str(small_disk)):
        fill(store, blobs, size)
    assert {n: read(store, n) for n in blobs} == blobs
    assert store.check() == []
    digests = [make_key(number).digest for number in blobs]
    assert store.evict_many(digests[: len(digests) // 2]) > 0
    assert store.put_many([make_record(9999, b"x" * size)]) == [True]
    assert read(store, 9999) == b"x" * size
    assert store.check() == []
    store.close()
    reopened = DirectoryStore(small_disk / "store")
    assert read(reopened, 9999) == b"x" * size
    assert not list((reopened.path / "tmp").iterdir())
    reopened.close()


def fill(store: DirectoryStore, blobs: dict[int, bytes], size: int) -> None:
    """Put records until one is refused."""
    for number in itertools.count():
        blob = bytes([number % 256]) * size
        store.put_many([make_record(number, blob)])
        blobs[number] = blob


def test_store_cannot_be_made_on_a_full_disk(small_disk: Path) -> None:
    with open(small_disk / "filler", "wb") as filler:
        free = os.statvfs(small_disk).f_bavail * 4096
        os.posix_fallocate(filler.fileno(), 0, free)
    with pytest.raises(StoreFullError, match="no room left"):
        DirectoryStore(small_disk / "store")
    (small_disk / "filler").unlink()
    store = DirectoryStore(small_disk / "store")
    assert store.put_many([make_record(1, b"x")]) == [True]
    store.close()


def test_limit_on_file_sizes_is_a_full_store(store: DirectoryStore) -> None:
    store.put_many([make_record(1, b"small")])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(StoreFullError):
            store.put_many([make_record(2, LARGE)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (read(store, 1), read(store, 2)) == (b"small", None)
    assert not list((store.path / "tmp").iterdir())
    assert store.put_many([make_record(2, LARGE)]) == [True]


def test_index_outgrows_its_map(path: Path) -> None:
    """Another store object and other threads of the process read on meanwhile."""
    store = DirectoryStore(path, map_bytes=64 * 1024)
    for number in range(300):
        store.put_many([make_record(number, b"x" * 10_000)])
        assert read(store, number // 2) == b"x" * 10_000
    assert os.stat(path / "index" / "data.mdb").st_size > 3_000_000
    assert store.check() == []
    store.close()


# -- vanished ------------------------------------------------------------------------------


def test_vanished_directory_is_an_outage_until_it_comes_back(
    store: DirectoryStore, path: Path
) -> None:
    store.put_many([make_record(1, b"x"), make_record(2, LARGE)])
    held = read_stored(store, 2).buffer
    shutil.rmtree(path)
    time.sleep(2 * ALIVE_CHECK_S)
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="is gone"):
            store.get_many([make_key(1)])
        with pytest.raises(StoreUnavailableError, match="is gone"):
            store.put_many([make_record(1, b"x")])
    path.mkdir()
    assert store.get_many([make_key(1), make_key(2)]) == [None, None]
    assert store.put_many([make_record(1, b"again")]) == [True]
    assert read(store, 1) == b"again"
    assert bytes(held) == LARGE


def test_leases_and_positions_do_not_outlive_the_directory(
    store: DirectoryStore, path: Path
) -> None:
    lease = store.lease()
    shutil.rmtree(path)
    path.mkdir()
    time.sleep(2 * ALIVE_CHECK_S)
    assert store.put_many([make_record(1, b"x")], lease=lease) == [False]
    assert store.changes(lease) is None


def test_directory_replaced_by_another_is_noticed(store: DirectoryStore, path: Path) -> None:
    store.put_many([make_record(1, b"old")])
    other = DirectoryStore(path.with_name("other"))
    other.put_many([make_record(1, b"new")])
    other.close()
    path.rename(path.with_name("away"))
    path.with_name("other").rename(path)
    time.sleep(2 * ALIVE_CHECK_S)
    assert read(store, 1) == b"new"


def test_unreachable_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreUnavailableError, match="file/store"):
        DirectoryStore(tmp_path / "file" / "store")
    with pytest.raises(StoreUnavailableError, match="is gone"):
        DirectoryStore(tmp_path / "missing", read_only=True)


# -- read-only -----------------------------------------------------------------------------


def assert_reads_only(store: DirectoryStore) -> None:
    """Reads work, every write is refused with the same sentence."""
    assert store.read_only
    assert (read(store, 1), read(store, 2)) == (b"small", LARGE)
    assert store.usage()[1] == 2
    assert store.generation() == store.generation()
    store.note_hits([make_key(1).digest])
    store.publish_hits()
    with pytest.raises(ReadOnlyError, match="open read-only"):
        store.put_many([make_record(3, b"x")])
    with pytest.raises(ReadOnlyError, match="open read-only"):
        store.evict_many([make_key(1).digest])


def test_read_only_store(store: DirectoryStore, path: Path) -> None:
    store.put_many([make_record(1, b"small"), make_record(2, LARGE)])
    store.close()
    before = sorted((file, file.stat().st_mtime_ns) for file in path.rglob("*"))
    reader = DirectoryStore(path, read_only=True)
    assert_reads_only(reader)
    reader.close()
    assert sorted((file, file.stat().st_mtime_ns) for file in path.rglob("*")) == before


def test_read_only_mount(small_disk: Path) -> None:
    store = DirectoryStore(small_disk / "store")
    store.put_many([make_record(1, b"small"), make_record(2, LARGE)])
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    reader = DirectoryStore(small_disk / "store")
    assert_reads_only(reader)
    reader.close()


def test_lost_file_is_a_miss_for_a_read_only_store(store: DirectoryStore, path: Path) -> None:
    store.put_many([make_record(1, LARGE)])
    store.close()
    shutil.rmtree(path / "values")
    reader = DirectoryStore(path, read_only=True)
    assert read(reader, 1) is None
    reader.close()


# -- foreign and newer ---------------------------------------------------------------------


def test_foreign_directory_is_left_alone(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("precious")
    with pytest.raises(ForeignDirectoryError, match=r"did not write \(such as 'thesis.tex'\)"):
        DirectoryStore(path)
    assert [file.name for file in path.iterdir()] == ["thesis.tex"]


def test_file_in_place_of_the_directory(path: Path) -> None:
    path.write_text("x")
    with pytest.raises(StoreUnavailableError, match=str(path)):
        DirectoryStore(path)


def test_newer_format_is_left_alone(store: DirectoryStore, path: Path) -> None:
    store.close()
    marker = path / "infercache.json"
    marker.write_text(
        json.dumps({"what": "infercache directory", "format": 7, "created_by": "9.1"})
    )
    with pytest.raises(ForeignDirectoryError, match=r"format 7, written by infercache 9\.1.*up"):
        DirectoryStore(path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"format": 1}', '{"what": "x", "format": 1}'])
def test_damaged_marker(store: DirectoryStore, path: Path, text: str) -> None:
    store.close()
    (path / "infercache.json").write_text(text)
    with pytest.raises(ForeignDirectoryError):
        DirectoryStore(path)


def test_newer_library_of_the_same_format(store: DirectoryStore, path: Path) -> None:
    """Fields that a newer version appends, anywhere, are ignored and kept."""
    store.put_many([make_record(1, b"blob", tags=("t",), cost_s=2.5)])
    marker = path / "infercache.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "created_by": "9", "new": 1}))
    index = store._connection.live()
    index.write(lambda txn: lengthen(index, txn))
    assert read(store, 1) == b"blob"
    (info,) = store.scan()
    assert (info.tags, info.cost_s) == (("t",), 2.5)
    store.put_many([make_record(2, b"x")])
    with index.read(buffers=False) as txn:
        assert txn.get(ACCOUNT_KEY).endswith(b"newer")
    store.close()
    again = DirectoryStore(path)
    assert read(again, 1) == b"blob"
    again.close()


def lengthen(index: Index, txn: Any) -> None:
    """Append a field to the account and to each row's fixed part, as a newer version would."""
    account = txn.get(ACCOUNT_KEY)
    txn.put(ACCOUNT_KEY, account + b"newer")
    for digest, row in list(txn.cursor(index.records)):
        head = rows.HEAD
        form, flags, fixed, whole, expires_at = head.unpack_from(row)
        longer = head.pack(form, flags, fixed + 8, whole + 8, expires_at)
        row = longer + row[head.size : fixed] + b"newfield" + row[fixed:]
        txn.put(digest, row, db=index.records)


def test_unknown_row_format_is_a_miss(store: DirectoryStore) -> None:
    store.put_many([make_record(1, b"blob")])
    index = store._connection.live()
    row = index.get_row(make_key(1).digest)
    assert row is not None
    index.write(lambda txn: txn.put(make_key(1).digest, b"\x09" + row[1:], db=index.records))
    assert read(store, 1) is None
    assert store.put_many([make_record(1, b"ours")]) == [True]
    assert read(store, 1) == b"ours"


# -- damage at rest ------------------------------------------------------------------------


def value_file(path: Path) -> Path:
    """Return the only value file."""
    (file,) = path.glob("values/*/*")
    return file


def test_lost_file_is_a_miss_and_its_record_goes(store: DirectoryStore, path: Path) -> None:
    store.put_many([make_record(1, LARGE)])
    value_file(path).unlink()
    assert store.check() != []
    assert read(store, 1) is None
    assert store.usage() == (0, 0)
    assert store.check() == []


@pytest.mark.parametrize("kept", [0, 1, 4096, len(LARGE) - 1, len(LARGE), len(LARGE) + 5])
def test_truncated_file_is_read_not_mapped(store: DirectoryStore, path: Path, kept: int) -> None:
    """The reader gets what is there, which its checksum refuses; no page beyond the end."""
    store.put_many([make_record(1, LARGE)])
    os.truncate(value_file(path), kept)
    for _ in range(2):
        assert bytes(read_stored(store, 1).buffer) == LARGE[:kept]
    assert store.check() != []
    assert store.repair().missing == 1
    assert store.check() == []


def test_change_in_place_is_not_taken_for_verified(store: DirectoryStore, path: Path) -> None:
    store.put_many([make_record(1, LARGE)])
    time.sleep(0.05)
    read_stored(store, 1).verified = True
    with open(value_file(path), "r+b") as file:
        file.write(b"?")
    assert read_stored(store, 1).verified is None


def test_verification_right_after_a_write_does_not_stick(store: DirectoryStore, path: Path) -> None:
    """A second write within one tick of the file system's clock would leave the same times."""
    store.put_many([make_record(1, LARGE)])
    os.utime(value_file(path))
    read_stored(store, 1).verified = True
    assert read_stored(store, 1).verified is None


def test_random_damage_is_handed_out_as_it_is(store: DirectoryStore, path: Path) -> None:
    rng = random.Random(5)
    blobs = {n: rng.randbytes(40_000) for n in range(10)}
    store.put_many([make_record(n, blob) for n, blob in blobs.items()])
    for _ in range(60):
        assert corrupt_at_random(path, rng)
        found = {n: read(store, n) for n in blobs}
    assert sum(found[n] != blobs[n] for n in blobs) > 5
    report = store.repair(lambda info, blob: bytes(blob) == blobs[info.key.digest[-1]])
    assert report.missing + report.corrupt > 5
    assert all(blob in (None, blobs[n]) for n, blob in ((n, read(store, n)) for n in blobs))
    assert store.check() == []


# -- after a power loss --------------------------------------------------------------------


def close_as_if_power_failed(store: DirectoryStore, path: Path) -> Path:
    """Close, then make it look as if the machine had gone down; return the index file."""
    store.close()
    (path / "state.json").write_text(json.dumps({"boot_id": "an earlier boot", "clean": False}))
    return path / "index" / "data.mdb"


def test_sound_index_is_kept_after_a_power_loss(store: DirectoryStore, path: Path) -> None:
    store.put_many([make_record(1, b"small"), make_record(2, LARGE)])
    close_as_if_power_failed(store, path)
    again = DirectoryStore(path)
    assert (read(again, 1), read(again, 2)) == (b"small", LARGE)
    assert again.check() == []
    again.close()


def test_damaged_index_is_rebuilt_from_the_value_files(store: DirectoryStore, path: Path) -> None:
    key = make_key(2, scope="t", namespace="n", version="w")
    store.put_many([make_record(n + 10, b"s" * 1000) for n in range(200)])
    store.put_many([make_record(key, LARGE, tags=("red",), cost_s=3.5, version=4)])
    data = close_as_if_power_failed(store, path)
    with open(data, "r+b") as file:
        for page in range(2, 60):
            file.seek(page * 4096 + 10)
            file.write(b"\xff\xff\xff\xff")
    again = DirectoryStore(path)
    assert read(again, key) == LARGE
    (info,) = again.scan()
    assert (info.key, info.tags, info.cost_s, info.version) == (key, ("red",), 3.5, 4)
    assert again.check() == []
    assert data.with_suffix(".damaged").exists()
    again.close()


@pytest.mark.parametrize("kept", [0, 100, 5000, 20_000])
def test_truncated_index_is_noticed_before_it_is_mapped(
    store: DirectoryStore, path: Path, kept: int
) -> None:
    store.put_many([make_record(n, b"x" * 1000) for n in range(50)])
    store.put_many([make_record(99, LARGE)])
    store.close()
    os.truncate(path / "index" / "data.mdb", kept)
    again = DirectoryStore(path)
    assert read(again, 99) == LARGE
    assert again.check() == []
    again.close()


def test_torn_value_file_is_not_rebuilt(store: DirectoryStore, path: Path) -> None:
    store.put_many([make_record(1, LARGE)])
    store.close()
    os.truncate(value_file(path), 1000)
    shutil.rmtree(path / "index")
    again = DirectoryStore(path)
    assert list(again.scan()) == []
    again.close()


def test_clean_close_is_remembered(store: DirectoryStore, path: Path) -> None:
    store.put_many([make_record(1, b"x")])
    state = path / "state.json"
    before = json.loads(state.read_text())
    assert (before["boot_id"], before["clean"]) == (opening.boot_id(), False)
    store.close()
    assert json.loads(state.read_text())["clean"]


def test_damage_to_a_closed_index_is_noticed_by_its_seal(store: DirectoryStore, path: Path) -> None:
    """A flipped bit among the links between pages is found before LMDB follows it."""
    store.put_many([make_record(n, b"s" * 1000) for n in range(200)])
    store.put_many([make_record(999, LARGE)])
    store.close()
    with open(path / "index" / "data.mdb", "r+b") as file:
        for page in range(2, 40):
            file.seek(page * 4096 + 12)
            file.write(b"\xff\x0f")
    again = DirectoryStore(path)
    assert read(again, 999) == LARGE
    assert again.check() == []
    again.close()


# -- the rest of the promises ----------------------------------------------------------------


def test_expired_record_is_missing(path: Path) -> None:
    clock = ManualClock()
    store = DirectoryStore(path, clock=clock)
    store.put_many([make_record(1, b"x", version=3, expires_at=clock.now() + 10)])
    assert read(store, 1) == b"x"
    clock.advance(10)
    assert read(store, 1) is None
    assert store.put_many([make_record(1, b"y", version=1)], if_version=[3]) == [False]
    assert store.put_many([make_record(1, b"y", version=1)], if_version=[0]) == [True]
    store.close()


def test_journal_is_bounded(path: Path) -> None:
    store = DirectoryStore(path, journal_length=50)
    start = store.lease()
    for number in range(300):
        store.put_many([make_record(number % 7, b"x")])
    assert store.changes(start) is None
    recent = store.changes(store.lease() - 50)
    assert recent is not None
    assert len(recent) == 50
    with store._connection.live().read() as txn:
        assert txn.stat(store._connection.live().journal)["entries"] < 50 + 65
    store.close()


def test_fences_are_bounded(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "KEPT_FENCES", 10)
    lease = store.lease()
    for number in range(12):
        store.invalidate(Invalidation(digest=make_key(number).digest))
    assert store.put_many([make_record(99, b"x")], lease=lease) == [False]
    assert store.put_many([make_record(99, b"x")], lease=store.lease() - 5) == [True]
    assert store.put_many([make_record(9, b"x")], lease=store.lease() - 5) == [False]


def test_files_are_private(store: DirectoryStore, path: Path) -> None:
    store.put_many([make_record(1, LARGE), make_record(2, b"x")])
    store.get_many([make_key(1)])
    modes = {file: file.stat().st_mode & 0o777 for file in [path, *path.rglob("*")]}
    assert {file.name: mode for file, mode in modes.items() if mode & 0o077} == {}


@pytest.mark.parametrize("size", [0, 100, 1500, 3000, 16_000])
def test_charges_cover_the_index(path: Path, size: int) -> None:
    """What the account charges is at least what the pages of the index take."""
    store = DirectoryStore(path, journal_length=64)
    rng = random.Random(3)
    for _ in range(1500):
        key = make_key(rng.getrandbits(128))
        store.put_many([make_record(key, rng.randbytes(size))])
    index = store._connection.live()
    with index.read() as txn:
        pages = sum(
            stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
            for stat in map(txn.stat, (index.records, index.members, index.journal))
        )
    assert pages * 4096 <= store.usage()[0]
    store.close()


def test_repair_puts_a_wrong_account_right(store: DirectoryStore) -> None:
    store.put_many([make_record(1, b"x", tags=("t",)), make_record(2, LARGE)])
    index = store._connection.live()
    before = store.usage()

    def spoil(txn: Any) -> None:
        account = rows.decode_account(txn.get(ACCOUNT_KEY))
        account.size_bytes += 5
        txn.put(ACCOUNT_KEY, account.encode())
        txn.delete(rows.tag_id("t"), make_key(1).digest, index.members)

    index.write(spoil)
    assert len(store.check()) == 3
    assert len(store.repair().accounts) == 3
    assert store.check() == []
    assert store.usage() == before
    assert store.invalidate(Invalidation(tag="t")) == 1
