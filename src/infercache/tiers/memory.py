"""The memory tier: live objects in the native table, by reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from infercache._core import Table
from infercache.clock import Clock, SystemClock
from infercache.entry import Entry
from infercache.forks import fork_safe_lock
from infercache.key import Key
from infercache.stores.base import Invalidation, RecordInfo
from infercache.tiers.base import Outcome, Tier, TierStats
from infercache.tiers.handing import handing
from infercache.tiers.sizing import ENTRY_OVERHEAD_BYTES, size_of
from infercache.tiers.spaces import Spaces

_PUTS_A_SWEEP = 64

Demote = Callable[[list[tuple[Key, Entry]]], None]


class MemoryTier(Tier):
    """Keeps objects of this process, never more than `capacity_bytes` of them by estimate.

    Thread-safe. A hit costs one native call, and no copy unless `copy` asks for one.

    Args:
        capacity_bytes: Bound on the estimated size of all entries (`size_of`).
        capacity_entries: Bound on their number; None for no bound.
        policy: Name of a registered policy, or a `Policy`.
        copy: How values are handed out; see `handing`.
        name: Name of the tier in statistics.
        clock: Where the time comes from.
        spaces: Numbers of key spaces, shared by the tiers of one cache.
    """

    def __init__(
        self,
        capacity_bytes: int,
        *,
        capacity_entries: int | None = None,
        policy: Any = "s3fifo",
        copy: str = "none",
        name: str = "memory",
        clock: Clock | None = None,
        spaces: Spaces | None = None,
    ) -> None:
        self.name = name
        self.spaces = spaces or Spaces()
        self.capacity_bytes = capacity_bytes
        self.demote: Demote | None = None
        self._hand_out = handing(copy)
        native_clock = None if clock is None or isinstance(clock, SystemClock) else clock.now
        self.table = Table(capacity_bytes, capacity_entries, policy, clock=native_clock)
        self._writing = fork_safe_lock()
        self._puts = 0

    @property
    def by_reference(self) -> bool:
        """Whether the table's objects are handed out as they are."""
        return self._hand_out is None

    def get_many(self, keys: Sequence[Key]) -> list[Entry | None]:
        """Return each entry, or None; stale ones too."""
        read = self.table.read
        return [self._entry(read(key.digest)) for key in keys]

    def get(self, key: Key) -> Entry | None:
        """Return one entry, or None; a stale one too."""
        return self._entry(self.table.read(key.digest))

    def _entry(self, row: tuple[Any, ...] | None) -> Entry | None:
        if row is None:
            return None
        value = row[1] if self._hand_out is None else self._hand_out(row[1])
        return Entry(value, *row[2:])

    def put_many(
        self, items: Sequence[tuple[Key, Entry]], lease: int | None = None
    ) -> list[Outcome]:
        """Keep entries; victims are handed to `demote`, if there is one, before they are forgotten.

        `lease` has no meaning here: whoever calls orders puts against invalidations.
        """
        return [self.put(key, entry) for key, entry in items]

    def put(self, key: Key, entry: Entry, lease: int | None = None) -> Outcome:
        """Keep one entry."""
        value = entry.value if self._hand_out is None else self._hand_out(entry.value)
        size = size_of(value) + ENTRY_OVERHEAD_BYTES
        if size > self.capacity_bytes:
            self.table.remove(key.digest)
            return Outcome.TOO_LARGE
        with self._writing:
            self._sweep_some()
            if self.demote is not None:
                self._make_room(key.digest, size, entry.cost_s)
            kept = self.table.put(
                key.digest,
                value,
                size,
                entry.cost_s,
                entry.version,
                entry.created_at,
                entry.expires_at,
                max(entry.stale_until, entry.expires_at),
                self.spaces.number(key.scope, key.namespace, key.version),
                entry.tags,
            )
        return Outcome.KEPT if kept else Outcome.NOT_ADMITTED

    def _sweep_some(self) -> None:
        """Look at some entries now and then, so that expired ones leave without being asked for."""
        self._puts += 1
        if self._puts % _PUTS_A_SWEEP == 0:
            self.table.sweep(2 * _PUTS_A_SWEEP)

    def _make_room(self, digest: bytes, size: int, cost_s: float) -> None:
        """Choose, demote, forget, in that order: no value is ever in neither tier."""
        assert self.demote is not None
        victims = self.table.choose(size, 1, digest, cost_s)
        if not victims:
            return
        try:
            self.demote([item for item in map(self._peek_item, victims) if item is not None])
        except BaseException:
            self.table.keep(victims)
            raise
        self.table.forget(victims)

    def _peek_item(self, digest: bytes) -> tuple[Key, Entry] | None:
        row = self.table.peek(digest)
        if row is None:
            return None
        return self.spaces.key(row[-1], digest), Entry(row[1], *row[2:-1])

    def invalidate(self, what: Invalidation) -> int:
        """Drop all that matches: O(1) for one key, otherwise one native pass over the table."""
        if what.digest is not None:
            item = self._peek_item(what.digest)
            matches = item is not None and what.matches(item[0], item[1].tags)
            return int(matches and self.table.remove(what.digest))
        if (what.scope, what.namespace, what.version) == (None, None, None):
            return len(self.table.remove_where(None, what.tag))
        groups = self.spaces.matching(what.scope, what.namespace, what.version)
        return sum(len(self.table.remove_where(group, what.tag)) for group in groups)

    def clear(self) -> None:
        """Drop everything."""
        self.table.clear()

    def resize(self, capacity_bytes: int) -> None:
        """Change the bound; what no longer fits is demoted and leaves."""
        with self._writing:
            surplus = int(self.table.stats()["bytes"]) - capacity_bytes
            if surplus > 0 and self.demote is not None:
                items = map(self._peek_item, self.table.victims(surplus))
                self.demote([item for item in items if item is not None])
            self.table.resize(capacity_bytes)
            self.capacity_bytes = capacity_bytes

    def sweep(self) -> int:
        """Remove what is past its grace. O(entries)."""
        return len(self.table.sweep(len(self.table)))

    def scan(self) -> Iterator[RecordInfo]:
        """Yield what is held, without touching it."""
        for digest in self.table:
            item = self._peek_item(digest)
            if item is not None:
                key, entry = item
                yield RecordInfo(
                    key,
                    entry.size_bytes,
                    entry.cost_s,
                    entry.version,
                    entry.created_at,
                    entry.stale_until,
                    entry.tags,
                )

    def stats(self) -> TierStats:
        """Return counts and sizes. O(1)."""
        native = self.table.stats()
        names = ("hits", "misses", "puts", "evictions", "expirations", "rejected")
        return TierStats(
            self.name,
            self.capacity_bytes,
            int(native["bytes"]),
            int(native["entries"]),
            {name: int(native[name]) for name in names},
        )

    def close(self) -> None:
        """Drop everything."""
        self.table.clear()

    def check(self) -> list[str]:
        """Recompute the table's accounts."""
        return [f"{self.name}: {fault}" for fault in self.table.check()]

    def __repr__(self) -> str:
        stats = self.table.stats()
        return (
            f"Memory({stats['bytes']}/{self.capacity_bytes} bytes, "
            f"{stats['entries']} entries, {stats['policy']})"
        )
