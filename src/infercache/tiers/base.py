"""One level of the cache: live entries in, live entries out, never more than its capacity."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from infercache.entry import Entry
from infercache.key import Key
from infercache.stores.base import Invalidation, RecordInfo


@dataclass(slots=True)
class TierStats:
    """Counts since the tier was opened, and what it holds now.

    Attributes:
        name: The tier's name, such as "memory" or "disk".
        capacity_bytes: Its bound.
        size_bytes: Charged bytes now.
        entries: Entries now.
        counts: Named counters: hits, misses, puts, evictions, expirations, rejected, corrupt,
            outages, skipped, lost, demotions, promotions.
        seconds: Time spent in the tier's own operations.
    """

    name: str
    capacity_bytes: int
    size_bytes: int = 0
    entries: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class Tier(abc.ABC):
    """A level of the cache. Every method is thread-safe.

    Attributes:
        name: Unique within one cache.
        shared: Whether other processes on this machine (or elsewhere) see the same entries.
    """

    name: str
    shared: bool = False

    @abc.abstractmethod
    def get_many(self, keys: Sequence[Key]) -> list[Entry | None]:
        """Return each entry that may still be served, fresh or stale, or None.

        Raises:
            StoreError: the tier could not answer.
        """

    @abc.abstractmethod
    def put_many(
        self, items: Sequence[tuple[Key, Entry]], lease: int | None = None
    ) -> list[bool]:
        """Keep entries, evicting others if need be; return for each whether it was kept.

        Raises:
            StoreError: the tier could not answer.
        """

    @abc.abstractmethod
    def invalidate(self, what: Invalidation) -> int:
        """Drop all that matches, and return how many entries went."""

    @abc.abstractmethod
    def scan(self) -> Iterator[RecordInfo]:
        """Yield what is held, without touching it."""

    @abc.abstractmethod
    def stats(self) -> TierStats:
        """Return counts and sizes."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release everything; closing twice is allowed."""

    def check(self) -> list[str]:
        """Recompute the accounts and return a sentence for each that does not add up."""
        return []
