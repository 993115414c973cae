"""Large values: one immutable file a write, mapped once in each process.

A value's file holds the blob from its first byte (so that tensors in it stay aligned), then a
trailer that repeats the index record: the index can be rebuilt from the files alone.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import struct
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from infercache.forks import fork_safe_lock
from infercache.key import Key
from infercache.stores.base import Buffer, RecordInfo, Stored
from infercache.stores.directory.layout import DIRECTORY_MODE, FILE_MODE, Layout
from infercache.stores.directory.rows import FilePart

MAGIC = b"icvalue1"
KEPT_MAPPINGS = 256
# A file that is rewritten within one tick of the file system's clock keeps its times: what was
# verified this soon after the last change is verified again on the next hit.
SETTLE_NS = 20_000_000
SWEEP_EVERY_S = 10.0

_FOOT = struct.Struct("<II8s")
_MAX_BUFFERS = 512
_NO_MAPPING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENODEV}
_UNTRACKED: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class _Mapping:
    """A mapped file and what it looked like when it was mapped."""

    __slots__ = ("settled", "stamp", "stored")

    def __init__(self, stored: Stored, stamp: tuple[int, ...], settled: bool) -> None:
        self.stored = stored
        self.stamp = stamp
        self.settled = settled


class Values:
    """The value files of one directory. Thread-safe.

    Mappings are kept for the `kept` most recently used files, so that a hit neither opens nor
    maps; a view that a caller holds stays valid after that.
    """

    def __init__(self, layout: Layout, *, durable: bool = False, kept: int = KEPT_MAPPINGS) -> None:
        self._folder = str(layout.values)
        self._tmp = str(layout.tmp)
        self._durable = durable
        self._kept = kept
        self._mappings: dict[str, _Mapping] = {}
        self._lock = fork_safe_lock()
        self._sweep_at = 0.0

    def path(self, digest: bytes, serial: int) -> str:
        """Return where a value lies."""
        name = digest.hex()
        return f"{self._folder}/{name[:2]}/{name}.{serial:016x}"

    def write(self, info: RecordInfo, buffers: Sequence[memoryview]) -> FilePart:
        """Write a value aside, then give it its name; nothing refers to it yet."""
        serial = int.from_bytes(os.urandom(8), "little")
        blob_bytes = sum(view.nbytes for view in buffers)
        trailer = encode_trailer(info, blob_bytes)
        path = self.path(info.key.digest, serial)
        aside = f"{self._tmp}/{os.path.basename(path)}"
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            try:
                _write_all(fd, [*buffers, memoryview(trailer)])
                if self._durable:
                    os.fsync(fd)
            finally:
                os.close(fd)
            _rename(aside, path)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
            raise
        return FilePart(serial, blob_bytes, blob_bytes + len(trailer))

    def read(self, digest: bytes, file: FilePart) -> Stored | None:
        """Return a value as a read-only view, or None if its file is gone.

        A file of the wrong size is read, not mapped: touching pages beyond the end of a mapped
        file kills the process. A file that is truncated while a view of it is held still does.
        """
        if time.monotonic() >= self._sweep_at:
            self.forget_deleted()
        path = self.path(digest, file.serial)
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            self._forget(path)
            return None
        stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        with self._lock:
            mapping = self._mappings.pop(path, None)
            if mapping is not None and mapping.stamp == stamp:
                self._mappings[path] = mapping
                if mapping.settled:
                    return mapping.stored
        return self._map(path, file, stamp)

    def _map(self, path: str, file: FilePart, stamp: tuple[int, ...]) -> Stored | None:
        settled = time.time_ns() - stamp[3] > SETTLE_NS
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if os.fstat(fd).st_size != file.file_bytes:
                return Stored(_read_all(fd, file.blob_bytes))
            view = memoryview(mmap.mmap(fd, file.file_bytes, access=mmap.ACCESS_READ, **_UNTRACKED))
        except OSError as error:
            if error.errno not in _NO_MAPPING:
                raise
            return Stored(_read_all(fd, file.blob_bytes))
        finally:
            os.close(fd)
        mapping = _Mapping(Stored(view[: file.blob_bytes]), stamp, settled)
        with self._lock:
            self._mappings[path] = mapping
            while len(self._mappings) > self._kept:
                del self._mappings[next(iter(self._mappings))]
        return mapping.stored

    def remove(self, digest: bytes, serial: int) -> None:
        """Delete a value's file; views of it stay valid."""
        path = self.path(digest, serial)
        self._forget(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def forget_deleted(self) -> None:
        """Drop mappings whose files other processes deleted, so that their space is freed.

        Every read does so when the last time is ten seconds ago.
        """
        self._sweep_at = time.monotonic() + SWEEP_EVERY_S
        for path in list(self._mappings):
            if not os.path.exists(path):
                self._forget(path)

    def _forget(self, path: str) -> None:
        with self._lock:
            self._mappings.pop(path, None)

    def clear(self) -> None:
        """Drop all kept mappings."""
        with self._lock:
            self._mappings.clear()

    def files(self) -> Iterator[tuple[bytes, int, str]]:
        """Yield digest, serial and path of every value file."""
        for folder in os.scandir(self._folder):
            if not folder.is_dir(follow_symlinks=False):
                continue
            for file in os.scandir(folder.path):
                name, _, serial = file.name.partition(".")
                try:
                    yield bytes.fromhex(name), int(serial, 16), file.path
                except ValueError:
                    continue


def encode_trailer(info: RecordInfo, blob_bytes: int) -> bytes:
    """Return what follows a blob in its file."""
    key = info.key
    body = _encode(
        (
            key.scope, key.namespace, key.version, key.digest, info.cost_s, info.version,
            info.created_at, info.expires_at, info.tags, blob_bytes,
        )
    )  # fmt: skip
    return body + _FOOT.pack(len(body), zlib.crc32(body), MAGIC)


def read_trailer(path: str) -> tuple[RecordInfo, FilePart] | None:
    """Return what a value file says of itself, or None if it is torn or not a value file."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - _FOOT.size))
        foot = file.read(_FOOT.size)
        if len(foot) != _FOOT.size:
            return None
        length, checksum, magic = _FOOT.unpack(foot)
        if magic != MAGIC or length + _FOOT.size > size:
            return None
        file.seek(size - _FOOT.size - length)
        body = file.read(length)
    if zlib.crc32(body) != checksum:
        return None
    scope, namespace, version, digest, cost_s, number, created_at, expires_at, tags, blob = _decode(
        body
    )[:10]
    if blob + length + _FOOT.size != size:
        return None
    info = RecordInfo(
        Key(scope, namespace, version, digest), 0, cost_s, number, created_at, expires_at,
        tuple(tags),
    )  # fmt: skip
    return info, FilePart(int(path.rpartition(".")[2], 16), blob, size)


def flatten(buffers: Sequence[Buffer]) -> list[memoryview]:
    """Return buffers as views of bytes, without the empty ones."""
    views = [memoryview(buffer) for buffer in buffers]
    return [
        view if view.format == "B" and view.ndim == 1 else view.cast("B")
        for view in views
        if view.nbytes
    ]


def _write_all(fd: int, views: list[memoryview]) -> None:
    while views:
        written = os.writev(fd, views[:_MAX_BUFFERS])
        while views and written >= views[0].nbytes:
            written -= views[0].nbytes
            views.pop(0)
        if written:
            views[0] = views[0][written:]


def _read_all(fd: int, size: int) -> bytes:
    parts = []
    while size > 0 and (part := os.read(fd, min(size, 1 << 30))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _rename(aside: str, path: str) -> None:
    try:
        os.rename(aside, path)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.dirname(path), DIRECTORY_MODE)
        os.rename(aside, path)
