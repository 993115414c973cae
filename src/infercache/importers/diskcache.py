"""What an old diskcache folder holds, read without executing anything in it.

diskcache (5.x) keeps an SQLite index `cache.db` and, for large values, files beside it. Keys
and values that are not plain bytes, text or numbers are pickles; `read_pickle` takes the plain
ones, and everything else is reported as `Skipped`. Nothing is written to the folder.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infercache.entry import NEVER
from infercache.errors import BlobError, ForeignDirectoryError
from infercache.importers.pickles import read_pickle
from infercache.units import format_size, parse_size

_INDEX = "cache.db"
_COLUMNS = "key, raw, expire_time, tag, mode, filename, value"
_RAW, _BINARY, _TEXT, _PICKLE = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class ImportedItem:
    """One entry of the folder.

    Attributes:
        key: The key as the program gave it: str, bytes, int, float or other plain data.
        value: The value.
        expires_at: Seconds since the epoch, or `NEVER`.
        tag: What the program tagged it with, or None.
    """

    key: Any
    value: Any
    expires_at: float = NEVER
    tag: Any = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """One entry that was not taken.

    Attributes:
        key: The key if it could be read, otherwise its stored form.
        reason: One sentence.
    """

    key: Any
    reason: str


def read_diskcache(
    directory: str | os.PathLike[str], *, now: float | None = None, largest: int | str = "4GiB"
) -> Iterator[ImportedItem | Skipped]:
    """Yield every entry of a diskcache `Cache` or `FanoutCache` folder, or why it was not taken.

    Lazy: one value in memory at a time. The folder is only read; a program may still use it.

    Args:
        directory: The folder.
        now: Seconds since the epoch; entries that expired before are skipped. None for now.
        largest: Values above this size are skipped.

    Raises:
        ForeignDirectoryError: no folder of diskcache; raised at once, not while iterating.
    """
    root = Path(directory)
    shards = [root] if (root / _INDEX).is_file() else _shards(root)
    if not shards:
        raise ForeignDirectoryError(
            f"{root} is not a diskcache folder: it holds neither {_INDEX} nor shards 000, 001, ..."
        )
    opened = [(shard, _open(shard)) for shard in shards]
    moment = time.time() if now is None else now
    return _read_all(opened, moment, parse_size(largest, "largest"))


def _shards(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    found = (path for path in root.iterdir() if path.name.isdecimal() and len(path.name) == 3)
    return sorted(path for path in found if (path / _INDEX).is_file())


def _open(shard: Path) -> sqlite3.Connection:
    """Open an index for reading only; without a journal not even a lock file is made."""
    index = (shard / _INDEX).resolve()
    journal = index.with_name(f"{_INDEX}-wal")
    live = journal.exists() and journal.stat().st_size > 0
    uri = f"{index.as_uri()}?mode=ro{'' if live else '&immutable=1'}"
    connection = sqlite3.connect(uri, uri=True)
    try:
        _check_index(connection)
    except (sqlite3.Error, ForeignDirectoryError) as error:
        connection.close()
        raise ForeignDirectoryError(
            f"{index} cannot be read as an index of diskcache: {error}"
        ) from error
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    return connection


def _check_index(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA trusted_schema=OFF")
    known = connection.execute("SELECT type FROM sqlite_master WHERE name='Cache'").fetchone()
    if known != ("table",):
        raise ForeignDirectoryError("it has no table Cache")
    connection.execute(f"SELECT {_COLUMNS} FROM Cache LIMIT 0")  # noqa: S608 - a constant


def _read_all(
    opened: list[tuple[Path, sqlite3.Connection]], now: float, largest: int
) -> Iterator[ImportedItem | Skipped]:
    try:
        for shard, connection in opened:
            yield from _read_shard(shard, connection, now, largest)
    finally:
        for _, connection in opened:
            connection.close()


def _read_shard(
    shard: Path, connection: sqlite3.Connection, now: float, largest: int
) -> Iterator[ImportedItem | Skipped]:
    try:
        for row in connection.execute(f"SELECT {_COLUMNS} FROM Cache ORDER BY rowid"):  # noqa: S608
            yield _read_row(shard, row, now, largest)
    except sqlite3.Error as error:
        yield Skipped(None, f"the rest of {shard / _INDEX} cannot be read: {error}")


def _read_row(
    shard: Path, row: tuple[Any, ...], now: float, largest: int
) -> ImportedItem | Skipped:
    stored_key, raw, expires, tag, mode, filename, value = row
    key = stored_key
    try:
        if not raw:
            key = read_pickle(_bytes(stored_key, "key"))
        expires_at = NEVER if expires is None else float(expires)
        if not now < expires_at:
            return Skipped(key, "it has expired")
        if filename is not None:
            value = _read_file(shard, filename, largest)
        return ImportedItem(key, _value(value, mode, filename is not None), expires_at, tag)
    except (BlobError, OSError, ValueError, TypeError) as error:
        return Skipped(key, str(error))


def _value(value: Any, mode: Any, in_file: bool) -> Any:
    if mode == _PICKLE:
        return read_pickle(_bytes(value, "value"))
    if mode == _TEXT and in_file:
        return _bytes(value, "value").decode("utf-8")
    if (mode == _BINARY and in_file) or (mode == _RAW and not in_file):
        return value
    raise BlobError(f"the value has an unknown storage mode {mode!r}")


def _bytes(value: Any, what: str) -> bytes:
    if not isinstance(value, bytes):
        raise BlobError(f"the {what} is marked as a pickle but is not stored as bytes")
    return value


def _read_file(shard: Path, filename: Any, largest: int) -> bytes:
    """Return a value's file, if it is a plain file inside the folder."""
    path = (shard / str(filename)).resolve()
    if not path.is_relative_to(shard.resolve()):
        raise BlobError(f"the value's file {filename!r} lies outside of the folder")
    # A pipe or a device must neither be waited for nor read.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BlobError(f"the value's file {filename!r} is not a plain file")
        if status.st_size > largest:
            raise BlobError(
                f"the value takes {format_size(status.st_size)}, "
                f"more than largest={format_size(largest)}"
            )
        return file.read(largest + 1)
