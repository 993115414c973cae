"""What may be kept: a value computed before an invalidation must not outlive it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from infercache.guards.signal import Signal
from infercache.key import Key


class Matcher(Protocol):
    """What is no longer valid (`stores.base.Invalidation`)."""

    def matches(self, key: Key, tags: Sequence[str]) -> bool:
        """Return whether a key with these tags is meant."""


class LocalLease(Signal):
    """Permission to keep the values of these keys; fires when it has been settled or ended.

    Attributes:
        void: Positions of the keys that were invalidated since it was taken.
        writer: The thread that is writing the values now, 0 if none.
    """

    __slots__ = ("_mutex", "keys", "tags", "void", "writer")

    def __init__(self, keys: Sequence[Key], tags: Sequence[str]) -> None:
        super().__init__()
        self.keys = keys
        self.tags = tags
        self.void: set[int] = set()
        self.writer = 0
        self._mutex = threading.Lock()


class Leases:
    """The leases of this process. Thread-safe; no lock is held while anything is written.

    Why no stale value is served once an invalidation has returned: a lease is taken before
    the computation reads anything, and is open until its values have been written. An
    invalidation first calls `void`, then waits for the leases that `void` returned, then
    deletes from the tiers. Take any computation that read its input before the invalidation:

    1. Its lease is open, nothing is being written: `void` marks it, and `settle` drops the
       marked keys without writing them. Marking and the step to "writing" exclude each other
       through the lease's own lock.
    2. It is writing: `void` marks it and returns it. The invalidation waits until the write
       has ended, and deletes afterwards. Should it not wait (it is bounded), `settle` sees
       the mark after the write and takes the value back itself, and repeats that until no
       mark came in between; only then is the lease closed.
    3. It is closed: the value is in the tiers, and the invalidation deletes it.

    The callers who wait for the value asked before the invalidation, because it has also
    detached the flight; they may have it.

    No order of locks can dead-lock: the list's lock and a lease's lock are never held
    together, and neither while calling out.
    """

    def __init__(self) -> None:
        self._open: dict[int, LocalLease] = {}
        self._mutex = threading.RLock()

    def __len__(self) -> int:
        return len(self._open)

    def take(self, keys: Sequence[Key], tags: Sequence[str]) -> LocalLease:
        """Return a lease; take it before the computation reads anything."""
        lease = LocalLease(keys, tags)
        with self._mutex:
            self._open[id(lease)] = lease
        return lease

    def void(self, what: Matcher) -> list[LocalLease]:
        """Void all that matches, key by key; return the leases that are being written now.

        The caller waits for those before it deletes anything. O(keys under lease).
        """
        with self._mutex:
            leases = list(self._open.values())
        writing = []
        for lease in leases:
            matched = [i for i, key in enumerate(lease.keys) if what.matches(key, lease.tags)]
            if not matched:
                continue
            with lease._mutex:
                lease.void.update(matched)
                if lease.writer and not lease.fired:
                    writing.append(lease)
        return writing

    def settle(
        self,
        lease: LocalLease,
        keep: Callable[[list[int]], list[bool]],
        drop: Callable[[list[Key]], object] | None = None,
    ) -> list[bool]:
        """Write the values that are still valid and end the lease; return which were kept.

        Args:
            lease: The lease.
            keep: Writes the values at these positions and returns which it kept; called once,
                with an empty list if nothing is valid.
            drop: Takes back what an invalidation overtook while it was being written.

        Returns:
            For each key of the lease, whether its value was written and is still valid.
        """
        size = len(lease.keys)
        try:
            with lease._mutex:
                lease.writer = threading.get_ident()
                void = lease.void
                valid = [i for i in range(size) if i not in void] if void else list(range(size))
            try:
                written = keep(valid)
            except BaseException:  # written or not: whatever is void must not stay
                self._take_back(lease, _spread(size, valid, [True] * len(valid)), drop)
                raise
            kept = written if len(valid) == size else _spread(size, valid, written)
            self._take_back(lease, kept, drop)
            return kept
        finally:
            self.end(lease)

    def _take_back(
        self, lease: LocalLease, kept: list[bool], drop: Callable[[list[Key]], object] | None
    ) -> None:
        while True:
            with lease._mutex:
                overtaken = [i for i in lease.void if kept[i]] if lease.void else ()
                if not overtaken:
                    self._close(lease)
                    break
            for position in overtaken:
                kept[position] = False
            if drop is not None:
                drop([lease.keys[i] for i in overtaken])
        lease.fire()

    def _close(self, lease: LocalLease) -> None:
        lease.writer = 0
        self._open.pop(id(lease), None)

    def end(self, lease: LocalLease) -> None:
        """End a lease without keeping anything; ending it again is allowed."""
        if not lease.fired:
            with lease._mutex:
                self._close(lease)
            lease.fire()

    def forget_parent(self) -> None:
        """Drop the leases of the parent process."""
        self._mutex = threading.RLock()
        self._open = {}


def _spread(size: int, positions: Sequence[int], values: Sequence[bool]) -> list[bool]:
    """Return a list with these values at these positions, and False elsewhere."""
    spread = [False] * size
    for position, value in zip(positions, values, strict=True):
        spread[position] = value
    return spread
