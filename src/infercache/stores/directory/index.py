"""The LMDB environment of a directory: one in each process, shared by all its store objects.

LMDB forbids opening an environment twice in one process and using one across a fork, and its
map may only be resized while no transaction runs in the process. This module keeps those rules
so that the rest need not know them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from infercache.errors import StoreUnavailableError
from infercache.stores.directory.layout import (
    FILE_MODE,
    Layout,
    keeps_reserved_blocks,
    locked,
)
from infercache.stores.directory.rows import Account, decode_account

T = TypeVar("T")

ACCOUNT_KEY = b"\x00account"
ALIVE_CHECK_S = 0.05
_MAX_READERS = 2048
_LOCK_FILE_BYTES = 64 * (_MAX_READERS + 8)
_MOST_GROWTH_BYTES = 64 << 20
_BALLAST_BYTES = 256 * 1024
_BROKEN = (lmdb.PanicError, lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError)


class Index:
    """One open environment. Thread-safe.

    Args:
        layout: Where it lies.
        map_bytes: Size of the map at first; it grows whenever the index fills it.
        read_only: Open without writing anything, not even locks.
        durable: Flush to the device at each commit.
    """

    def __init__(self, layout: Layout, map_bytes: int, *, read_only: bool, durable: bool) -> None:
        self.layout = layout
        self.read_only = read_only
        self.references = 0
        self.abandoned = False
        self.before_first_write: Callable[[], None] | None = None
        # Key spaces whose names are known to be in the index; names are never deleted from it.
        self.known_spaces: set[bytes] = set()
        self.write_lock = threading.Lock()
        # Entered as a lock, not through the condition around it: that is half a read's overhead.
        self._entry = threading.Lock()
        self._gate = threading.Condition(self._entry)
        self._active = 0
        self._blocked = False
        # Writing through the map makes a commit three times cheaper, but a page for which the
        # full file system has no block kills the process: only where blocks can be reserved.
        self._through_map = not read_only and keeps_reserved_blocks(layout.root)
        map_bytes = max(map_bytes, _file_bytes(layout))
        if not read_only:
            _reserve(layout.lock, _LOCK_FILE_BYTES)
        self.env = lmdb.open(
            str(layout.index),
            map_size=map_bytes,
            writemap=self._through_map,
            map_async=self._through_map and not durable,
            readonly=read_only,
            lock=not read_only,
            create=not read_only,
            mode=FILE_MODE,
            sync=durable,
            metasync=durable,
            readahead=False,
            meminit=False,
            max_dbs=8,
            max_readers=_MAX_READERS,
            # A forked child would free the slots of cached readers for its parent.
            max_spare_txns=0,
        )
        try:
            if self._through_map:
                _reserve(layout.data, map_bytes)
                self._keep_ballast()
            self._open_databases()
        except BaseException:
            self.env.close()
            raise
        stat = os.stat(layout.data)
        self._data = str(layout.data)
        self._identity = (stat.st_dev, stat.st_ino)
        self._alive_until = 0.0

    def _open_databases(self) -> None:
        create = not self.read_only
        opened = functools.partial(self.env.open_db, create=create)
        self.records = opened(b"records")
        self.members = opened(b"members", dupsort=True, dupfixed=True)
        self.spaces = opened(b"spaces")
        self.journal = opened(b"journal")
        self.fences = opened(b"fences")
        if create:
            with self.env.begin(write=True) as txn:
                # Positions start at the time of creation, so that no lease taken from an index
                # that stood here before can be younger than this one.
                start = time.time_ns() // 1000
                account = Account(sequence=start, last_fence=start, fence_floor=start)
                txn.put(ACCOUNT_KEY, account.encode(), overwrite=False)
            self.env.reader_check()

    def get_row(self, digest: bytes) -> bytes | None:
        """Return one record's row."""
        self._enter()
        try:
            txn = self._begin_read()
            try:
                row: bytes | None = txn.get(digest, None, self.records)
            finally:
                txn.abort()
        finally:
            self._leave()
        return row

    def get_rows(self, digests: Any) -> list[bytes | None]:
        """Return the row of each record, or None, in one read transaction."""
        self._enter()
        try:
            txn = self._begin_read()
            try:
                get, records = txn.get, self.records
                return [get(digest, None, records) for digest in digests]
            finally:
                txn.abort()
        finally:
            self._leave()

    @contextlib.contextmanager
    def read(self, *, buffers: bool = True) -> Iterator[Any]:
        """Give a read transaction; what it returns is valid only inside."""
        self._enter()
        try:
            txn = self._begin_read(buffers)
            try:
                yield txn
            finally:
                txn.abort()
        finally:
            self._leave()

    def account(self) -> Account:
        """Return the account."""
        with self.read(buffers=False) as txn:
            return decode_account(txn.get(ACCOUNT_KEY))

    def announce_write(self) -> None:
        """Say that this process is about to write, before its first file or transaction."""
        if self.before_first_write is not None:
            with self.write_lock:
                if self.before_first_write is not None:
                    self.before_first_write()
                    self.before_first_write = None

    def write(self, body: Callable[[Any], T]) -> T:
        """Run `body(txn)` in a write transaction and commit it, growing the map if need be.

        `body` may run several times and must keep no state of a run that failed. An exception
        that leaves it aborts the transaction.
        """
        with self.write_lock:
            while True:
                try:
                    return self._write_once(body)
                except lmdb.MapFullError:
                    self._grow()
                except lmdb.MapResizedError:
                    self._adopt()

    def _write_once(self, body: Callable[[Any], T]) -> T:
        self._enter()
        try:
            txn = self.env.begin(write=True)
            try:
                result = body(txn)
            except BaseException:
                txn.abort()
                raise
            txn.commit()
            return result
        finally:
            self._leave()

    def _begin_read(self, buffers: bool = False) -> Any:
        try:
            return self.env.begin(buffers=buffers)
        except lmdb.MapResizedError:
            # Another process grew the map. This thread's own entry must not be waited for, and
            # must be there again when the caller leaves, whatever happens meanwhile.
            self._leave()
            try:
                self._adopt()
            finally:
                with self._gate:
                    self._active += 1
            return self.env.begin(buffers=buffers)
        except lmdb.ReadersFullError:
            self.env.reader_check()
            return self.env.begin(buffers=buffers)

    def _grow(self) -> None:
        """Make the map larger; other processes notice at their next transaction."""
        size = int(self.env.info()["map_size"])
        with locked(self.layout.open_lock):
            wanted = max(size + min(size, _MOST_GROWTH_BYTES), _file_bytes(self.layout))
            if self._through_map:
                wanted = self._reserve_most(size, wanted)
            self._resize(wanted)

    def _reserve_most(self, size: int, wanted: int) -> int:
        """Reserve blocks up to `wanted` bytes, or if the device is nearly full at least some."""
        try:
            _reserve(self.layout.data, wanted)
        except OSError:
            wanted = max(size, _file_bytes(self.layout)) + _BALLAST_BYTES // 2
            _reserve(self.layout.data, wanted)
        else:
            self._keep_ballast()
        return wanted

    def drop_ballast(self) -> None:
        """Give the device's last blocks to the index, so that it can delete.

        Deleting needs fresh pages too; a file is kept for the day when there are none.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.layout.ballast)

    def _keep_ballast(self) -> None:
        if not self.layout.ballast.exists():
            try:
                _reserve(self.layout.ballast, _BALLAST_BYTES)
            except OSError:
                self.drop_ballast()  # a full device: what could be had is better free

    def _adopt(self) -> None:
        """Make the map as large as another process made it.

        Opening and resizing cut the file to the size of the map, so both happen under the lock
        and never with less than what the file has.
        """
        if not self._through_map:
            self._resize(0)
            return
        with locked(self.layout.open_lock):
            self._resize(_file_bytes(self.layout))

    def _resize(self, map_bytes: int) -> None:
        with self._gate:
            while self._blocked:
                self._gate.wait()
            self._blocked = True
            try:
                while self._active:
                    self._gate.wait()
                self.env.set_mapsize(map_bytes)
            finally:
                self._blocked = False
                self._gate.notify_all()

    def _enter(self) -> None:
        with self._entry:
            while self._blocked:
                self._gate.wait()
            if self.abandoned:
                raise StoreUnavailableError(f"store directory {self.layout.root} was closed")
            self._active += 1

    def _leave(self) -> None:
        with self._entry:
            self._active -= 1
            if self._blocked:
                self._gate.notify_all()

    def is_alive(self, *, now: bool = False) -> bool:
        """Return whether the directory still is the one that was opened.

        Looks at the file system at most every 50 ms unless `now` is set.
        """
        if self.abandoned:
            return False
        clock = time.monotonic()
        if clock < self._alive_until and not now:
            return True
        try:
            stat = os.stat(self._data)
        except OSError:
            return False
        self._alive_until = clock + ALIVE_CHECK_S
        return (stat.st_dev, stat.st_ino) == self._identity

    def close(self) -> None:
        """Wait for running transactions and close the environment."""
        with self._gate:
            while self._blocked:
                self._gate.wait()
            if self.abandoned:
                return
            self.abandoned = self._blocked = True
            while self._active:
                self._gate.wait()
            self._blocked = False
            self._gate.notify_all()
        self.env.close()

    def is_broken_by(self, error: BaseException) -> bool:
        """Return whether the environment must be opened anew after this error."""
        return isinstance(error, _BROKEN)


def _reserve(path: Path, size: int) -> None:
    """Give a mapped file its blocks now: touching a hole on a full file system kills."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        os.posix_fallocate(fd, 0, size)
    finally:
        os.close(fd)


def _file_bytes(layout: Layout) -> int:
    try:
        return os.stat(layout.data).st_size
    except FileNotFoundError:
        return 0
