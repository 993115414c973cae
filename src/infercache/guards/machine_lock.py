"""One computation per key across the processes of a machine."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
import threading
from pathlib import Path

from infercache.forks import forget_in_child

# struct flock of 64-bit Linux: type, whence, start, length, pid, tail padding. fcntl(2).
_FLOCK = struct.Struct("@hhqqi4x")
_OFFSET_MASK = (1 << 62) - 1
_BUSY = (errno.EACCES, errno.EAGAIN)

SUPPORTED = sys.platform == "linux" and sys.maxsize > 2**32


class MachineLock:
    """A lock per key that vanishes with the process that holds it, SIGKILL included.

    Byte-range locks of one open file description (F_OFD_SETLK, Linux 3.15): the byte at
    offset "first 62 bits of the digest" of one empty file. Nothing is created or cleaned up
    per key, and the kernel releases what a dead process held. The lock is the process's, not
    the thread's: taking it twice here succeeds and is counted, as the callers of one process
    share flights already.

    A description lives until its last duplicate is closed. A forked child therefore closes
    its copy first of all and opens the file anew when it needs it; a program started through
    `exec` never gets one (O_CLOEXEC). A child made by C code that calls fork(2) itself and
    neither runs Python's hooks nor execs keeps its parent's locks alive; waiters then compute
    for themselves after their `wait_s`.

    Elsewhere than on 64-bit Linux, on file systems without such locks and in unwritable
    directories, every lock is granted at once: one computation per process.

    Thread-safe. Cost: one system call each, about 1 us while few locks are held in the file
    (the kernel walks them all).

    Args:
        path: The file; made, with its directory, when the first lock is taken.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.granted_blindly = not SUPPORTED
        self._fd: int | None = None
        self._held: dict[int, int] = {}
        self._mutex = threading.RLock()
        forget_in_child(self)

    def try_acquire(self, digest: bytes) -> bool:
        """Take the lock of a key, or return False if another process holds it."""
        offset = _offset(digest)
        with self._mutex:
            count = self._held.get(offset, 0)
            if not count and not self.granted_blindly and not self._lock(offset):
                return False
            self._held[offset] = count + 1
            return True

    def release(self, digest: bytes) -> None:
        """Give a lock back; one that is not held is ignored."""
        offset = _offset(digest)
        with self._mutex:
            count = self._held.get(offset, 0)
            if count > 1:
                self._held[offset] = count - 1
            elif count:
                del self._held[offset]
                if self._fd is not None and not self.granted_blindly:
                    self._set(offset, unlock=True)

    def held(self) -> int:
        """Return how many keys this process has locked."""
        return len(self._held)

    def close(self) -> None:
        """Give everything back and close the file."""
        with self._mutex:
            self._held.clear()
            self._close_file()

    def forget_parent(self) -> None:
        """Close the copy of the parent's description, so that its locks die with the parent."""
        self._mutex = threading.RLock()
        self._held = {}
        self._close_file()

    def _lock(self, offset: int) -> bool:
        try:
            if self._fd is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._set(offset, unlock=False)
        except OSError as error:
            if error.errno in _BUSY and self._fd is not None:
                return False
            self.granted_blindly = True
            self._close_file()
        return True

    def _set(self, offset: int, *, unlock: bool) -> None:
        import fcntl

        kind = fcntl.F_UNLCK if unlock else fcntl.F_WRLCK
        assert self._fd is not None
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, offset, 1, 0))

    def _close_file(self) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):  # closed by whoever closes all files at a fork
                os.close(self._fd)
            self._fd = None


def _offset(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little") & _OFFSET_MASK
