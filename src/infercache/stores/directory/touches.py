"""Which records this process read, until a write takes the news along.

A hit takes no write transaction; the process that chooses what to evict learns of it from the
journal, with the next write of whoever had the hits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infercache.forks import fork_safe_lock

KEPT_TOUCHES = 1024


class Touches:
    """The most recently read digests, each once, oldest first. Thread-safe, bounded."""

    def __init__(self) -> None:
        self._digests: dict[bytes, None] = {}
        self._lock = fork_safe_lock()

    def __bool__(self) -> bool:
        return bool(self._digests)

    def add(self, digests: Iterable[bytes]) -> None:
        """Remember reads; beyond 1024 the oldest are forgotten: they only say what not to evict."""
        known = self._digests
        with self._lock:
            for digest in digests:
                known.pop(digest, None)
                known[digest] = None
            while len(known) > KEPT_TOUCHES:
                del known[next(iter(known))]

    def take(self) -> Sequence[bytes]:
        """Return what is remembered, and forget it."""
        if not self._digests:
            return ()
        with self._lock:
            digests = list(self._digests)
            self._digests.clear()
        return digests

    def give_back(self, digests: Sequence[bytes]) -> None:
        """Remember again what was taken and could not be told, as older than all newer reads."""
        if digests:
            with self._lock:
                newer = list(self._digests)
                self._digests.clear()
            self.add([*digests, *newer])
