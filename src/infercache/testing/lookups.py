"""A lookup for tests of guards: a dictionary that can fail, pause and be shared."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from infercache.clock import Clock
from infercache.entry import Entry, Found, Freshness
from infercache.key import Key
from infercache.stores.base import Invalidation


class DictLookup:
    """`guards.base.Lookup` over a dictionary, for one thread at a time.

    Args:
        clock: Decides what is fresh.
        fenced: Whether values invalidated since their lease are refused, as a shared store
            does; otherwise it writes whatever it is given, as memory does.

    Attributes:
        entries: What is kept, by digest.
        calls: Names of the methods called, in order.
        fault: Raised by every method whose name is in `failing`.
        pause: Called before and after each single write.
    """

    def __init__(self, clock: Clock, fenced: bool = False) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.calls: list[str] = []
        self.failing: set[str] = set()
        self.fault: Exception = RuntimeError("injected fault")
        self.pause: Callable[[], None] = _go_on
        self._clock = clock
        self._fenced = fenced
        self._journal: list[Invalidation] = []

    def find_many(
        self, keys: Sequence[Key], *, beta: float, shared_only: bool = False
    ) -> list[Found | None]:
        """Return what is kept; with `beta` of infinity every entry that expires is due."""
        self._enter("find_many")
        return [self._found(self.entries.get(key.digest), beta) for key in keys]

    def _found(self, entry: Entry | None, beta: float) -> Found | None:
        now = self._clock.now()
        if entry is None or now >= max(entry.stale_until, entry.expires_at):
            return None
        if now >= entry.expires_at:
            return Found(entry, Freshness.STALE, "dict")
        due = beta == math.inf and entry.expires_at != math.inf
        return Found(entry, Freshness.REFRESH_DUE if due else Freshness.FRESH, "dict")

    def lease(self, keys: Sequence[Key], tags: Sequence[str]) -> int:
        """Return the journal's position."""
        self._enter("lease")
        return len(self._journal)

    def keep_many(self, items: Sequence[tuple[Key, Entry]], lease: int) -> list[bool]:
        """Keep the entries one by one; False where a fence forbids it."""
        self._enter("keep_many")
        return [self._keep(key, entry, lease) for key, entry in items]

    def _keep(self, key: Key, entry: Entry, lease: int) -> bool:
        self.pause()
        since = self._journal[lease:] if self._fenced else []
        allowed = not any(what.matches(key, entry.tags) for what in since)
        if allowed:
            self.entries[key.digest] = entry
        self.pause()
        return allowed

    def abandon(self, lease: int) -> None:
        """End a lease."""
        self.calls.append("abandon")

    def drop(self, keys: Sequence[Key]) -> None:
        """Delete keys."""
        for key in keys:
            self.entries.pop(key.digest, None)

    def invalidate(self, what: Invalidation, keys: Sequence[Key]) -> None:
        """Delete those of `keys` that match, and write it into the journal."""
        self._journal.append(what)
        for key in keys:
            entry = self.entries.get(key.digest)
            if entry is not None and what.matches(key, entry.tags):
                del self.entries[key.digest]

    def _enter(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise self.fault


def _go_on() -> None:
    """Do not pause."""
