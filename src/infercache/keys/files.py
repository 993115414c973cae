"""Files by content."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from infercache import _core
from infercache.errors import UnkeyableError

_CHUNK_BYTES = 1 << 20
_REMEMBERED_FILES = 4096
# A file written within the same tick of the file system's clock keeps its time stamps: only
# those that were older than the coarsest clock in use (FAT: 2 s) are trusted.
_SETTLED_NS = 2_100_000_000
_ATTEMPTS = 3


class _Stamp(NamedTuple):
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


_remembered: OrderedDict[_Stamp, bytes] = OrderedDict()
_lock = threading.Lock()


class File:
    """A file that is keyed by what it holds: its name, place and times do not count.

    A path-like object: it can be given to `open` and to whatever takes a path.

    Args:
        path: Where the file is; it is read when a key is made, not before.
    """

    __slots__ = ("path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"File({self.path!r})"

    def __infercache_key__(self) -> tuple[bytes]:
        return (file_digest(self.path),)


content_of = File
"""Reads well at a call: `preprocess(content_of("cat.jpg"))`."""


def file_digest(path: str | os.PathLike[str]) -> bytes:
    """Return the BLAKE3 of a file's content (32 bytes), streamed; known files are not read again.

    A file is known by device, inode, size and times, once these are more than 2 s old, so that
    a rewrite within one tick of the clock is not missed. Thread-safe. A call costs one stat,
    and the first one for a file reads it at about 5 GB/s or the speed of the disk.

    Raises:
        UnkeyableError: not a readable regular file, or it kept changing while being read.
    """
    try:
        for _ in range(_ATTEMPTS):
            digest = _digest_once(path)
            if digest is not None:
                return digest
    except OSError as error:
        raise UnkeyableError(
            f"file {os.fspath(path)!r} cannot be read for its content key: {error.strerror}"
        ) from error
    raise UnkeyableError(f"file {os.fspath(path)!r} changes while it is read for its content key")


def _digest_once(path: str | os.PathLike[str]) -> bytes | None:
    """Return the digest, or None if the file changed meanwhile."""
    with open(path, "rb", buffering=0) as file:
        before = _stamp(file.fileno())
        with _lock:
            known = _remembered.get(before)
            if known is not None:
                _remembered.move_to_end(before)
                return known
        settled = time.time_ns() - max(before.mtime_ns, before.ctime_ns) > _SETTLED_NS
        hasher = _core.Hasher("blake3")
        chunk = memoryview(bytearray(_CHUNK_BYTES))
        while count := file.readinto(chunk):
            hasher.update(chunk[:count])
        if _stamp(file.fileno()) != before:
            return None
    digest = hasher.digest()
    if settled:
        _remember(before, digest)
    return digest


def _stamp(descriptor: int) -> _Stamp:
    status = os.fstat(descriptor)
    return _Stamp(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def _remember(stamp: _Stamp, digest: bytes) -> None:
    with _lock:
        _remembered[stamp] = digest
        while len(_remembered) > _REMEMBERED_FILES:
            _remembered.popitem(last=False)
