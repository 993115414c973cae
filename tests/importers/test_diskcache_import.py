"""Folders that diskcache itself wrote, and folders that somebody prepared."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import pickle
import sqlite3
import stat
from collections import OrderedDict
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
import pytest

from infercache.entry import NEVER
from infercache.errors import ForeignDirectoryError
from infercache.importers.diskcache import ImportedItem, Skipped, read_diskcache


def items_of(directory: Path, **options: Any) -> dict[Any, Any]:
    found = list(read_diskcache(directory, **options))
    assert all(isinstance(one, ImportedItem) for one in found), found
    return {one.key: one.value for one in found if isinstance(one, ImportedItem)}


def only(directory: Path, **options: Any) -> ImportedItem | Skipped:
    (found,) = read_diskcache(directory, **options)
    return found


class Canary:
    """Unpickling this touches a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


PLAIN_VALUES: list[Any] = [
    None,
    True,
    2**100,
    -7,
    1.5,
    "text",
    "long text\r\n" * 10_000,
    b"raw",
    b"large" * 20_000,
    (1, [2, {"a": {3, 4}}], frozenset({5})),
    {"nested": {"deep": [(), {}, []]}},
    OrderedDict(b=1, a=2),
    complex(1, -2),
    decimal.Decimal("1.10"),
    dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc),
    dt.date(1999, 1, 1),
    dt.timedelta(days=-1, microseconds=5),
    bytearray(b"mutable"),
    [["shared"]] * 3,
]


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_come_as_they_were_put(tmp_path: Path, protocol: int) -> None:
    with diskcache.Cache(tmp_path, disk_pickle_protocol=protocol) as cache:
        for number, value in enumerate(PLAIN_VALUES):
            cache[number] = value
    found = {
        one.key: one.value if isinstance(one, ImportedItem) else one
        for one in read_diskcache(tmp_path)
    }
    for number, value in enumerate(PLAIN_VALUES):
        got = found[number]
        if isinstance(got, Skipped):  # old protocols write some of these as calls of codecs
            assert protocol < 3, (value, got)
            continue
        assert got == value
        assert type(got) is type(value)


ARRAYS: list[Any] = [
    np.arange(12.0).reshape(3, 4),
    np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4)),
    np.arange(24)[::2],
    np.array(3.5),
    np.zeros((0, 4), np.float32),
    np.arange(4, dtype=">i4"),
    np.array([True, False]),
    np.float32(2.5),
]


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_numeric_arrays_come_as_they_were_put(tmp_path: Path, protocol: int) -> None:
    with diskcache.Cache(tmp_path, disk_pickle_protocol=protocol) as cache:
        for number, array in enumerate(ARRAYS):
            cache[number] = {"array": array}
    found = items_of(tmp_path)
    for number, array in enumerate(ARRAYS):
        got = found[number]["array"]
        assert got.dtype == array.dtype
        assert got.shape == array.shape
        assert np.array_equal(got, array)


def test_keys_of_every_kind(tmp_path: Path) -> None:
    keys: list[Any] = ["text", b"bytes", 5, 2.5, ("f", 1, None), 2**90, None]
    with diskcache.Cache(tmp_path) as cache:
        for key in keys:
            cache[key] = repr(key)
    assert items_of(tmp_path) == {key: repr(key) for key in keys}


def test_expiry_and_tag_are_carried(tmp_path: Path) -> None:
    with diskcache.Cache(tmp_path) as cache:
        cache.set("key", 1, expire=3600, tag="model")
        expires_at = cache.get("key", expire_time=True)[1]
    assert only(tmp_path) == ImportedItem("key", 1, expires_at, "model")


def test_an_entry_without_expiry_never_expires(tmp_path: Path) -> None:
    with diskcache.Cache(tmp_path) as cache:
        cache["key"] = 1
    assert only(tmp_path) == ImportedItem("key", 1, NEVER, None)


def test_expired_entries_are_reported(tmp_path: Path) -> None:
    with diskcache.Cache(tmp_path) as cache:
        cache.set("key", 1, expire=3600)
    assert only(tmp_path, now=4e9) == Skipped("key", "it has expired")


def test_fanout_caches_are_read_shard_by_shard(tmp_path: Path) -> None:
    with diskcache.FanoutCache(str(tmp_path), shards=4) as cache:
        for number in range(50):
            cache[number] = number * 2
    assert items_of(tmp_path) == {number: number * 2 for number in range(50)}


def test_a_folder_that_a_program_still_writes_to(tmp_path: Path) -> None:
    """What is only in the write-ahead log is read too."""
    with diskcache.Cache(tmp_path) as cache:
        cache["key"] = "value"
        assert (tmp_path / "cache.db-wal").stat().st_size > 0
        assert items_of(tmp_path) == {"key": "value"}


def test_a_closed_folder_is_left_exactly_as_it_was(tmp_path: Path) -> None:
    with diskcache.Cache(tmp_path) as cache:
        cache["key"] = [1]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    items_of(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("padding", [0, 100_000])
def test_nothing_in_a_malicious_folder_runs(tmp_path: Path, protocol: int, padding: int) -> None:
    canary = tmp_path / "canary"
    folder = tmp_path / "folder"
    with diskcache.Cache(folder, disk_pickle_protocol=protocol) as cache:
        cache["value"] = [Canary(canary), b"x" * padding]
        cache[("key", Canary(canary))] = 1
        cache["honest"] = [1]
    canary.unlink(missing_ok=True)  # diskcache itself may have unpickled the key
    found = list(read_diskcache(folder))
    assert not canary.exists()
    assert [one for one in found if isinstance(one, ImportedItem)] == [ImportedItem("honest", [1])]
    skipped = [one for one in found if isinstance(one, Skipped)]
    assert len(skipped) == 2
    assert all("system" in one.reason and "run code" in one.reason for one in skipped)
    pickle.loads(pickle.dumps(Canary(canary)))
    assert canary.exists(), "the canary does sing where it is unpickled"


def rewrite(folder: Path, column: str, value: Any) -> None:
    with diskcache.Cache(folder) as cache:
        cache["key"] = b"x" * 100_000
    connection = sqlite3.connect(folder / "cache.db")
    with connection:
        connection.execute(f"UPDATE Cache SET {column} = ?", (value,))
    connection.close()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("filename", "../secret", "outside of the folder"),
        ("filename", "/etc/hostname", "outside of the folder"),
        ("filename", "pipe", "not a plain file"),
        ("filename", "link", "outside of the folder"),
        ("filename", "gone", "No such file"),
        ("mode", 9, "unknown storage mode"),
        ("mode", 4, "not a pickle of plain data"),
        ("expire_time", "soon", "could not convert"),
        ("raw", 0, "marked as a pickle"),
    ],
)
def test_a_prepared_row_is_skipped(tmp_path: Path, column: str, value: Any, reason: str) -> None:
    folder = tmp_path / "folder"
    (tmp_path / "secret").write_text("secret")
    rewrite(folder, column, value)
    os.mkfifo(folder / "pipe")
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    (folder / "link").symlink_to(tmp_path / "secret")
    found = only(folder)
    assert isinstance(found, Skipped)
    assert reason in found.reason


def test_values_above_the_limit_are_skipped(tmp_path: Path) -> None:
    with diskcache.Cache(tmp_path) as cache:
        cache["key"] = b"x" * 100_000
    found = only(tmp_path, largest="50KB")
    assert found == Skipped("key", "the value takes 100.0 KB, more than largest=50.0 KB")


def test_other_folders_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ForeignDirectoryError, match="not a diskcache folder"):
        read_diskcache(tmp_path)
    (tmp_path / "cache.db").write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(ForeignDirectoryError, match="cannot be read as an index of diskcache"):
        read_diskcache(tmp_path)
    (tmp_path / "cache.db").unlink()
    sqlite3.connect(tmp_path / "cache.db").execute("CREATE TABLE Other (x)").connection.close()
    with pytest.raises(ForeignDirectoryError, match="no table Cache"):
        read_diskcache(tmp_path)


def test_a_damaged_index_is_reported_and_not_raised(tmp_path: Path) -> None:
    with diskcache.Cache(tmp_path) as cache:
        for number in range(2_000):
            cache[number] = str(number) * 20
    index = tmp_path / "cache.db"
    data = bytearray(index.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    index.write_bytes(data)
    found = list(read_diskcache(tmp_path))
    assert isinstance(found[-1], Skipped)
