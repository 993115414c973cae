"""One level of the cache: live entries in, live entries out, never more than its capacity."""

from __future__ import annotations

import abc
import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from infercache.entry import Entry
from infercache.errors import SettingError
from infercache.key import Key
from infercache.stores.base import Invalidation, RecordInfo, SharedStore


class Outcome(enum.Enum):
    """What became of one entry of a put; the value is the sentence that `explain` shows."""

    KEPT = "kept"
    FENCED = "it was invalidated while it was computed"
    UNSTORABLE = "the tier's codec cannot write a value of this type"
    TOO_LARGE = "the value is larger than the whole tier"
    NOT_ADMITTED = "the policy kept what was there instead"
    NO_ROOM = "no room could be made"


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
        queues: Whether it answers from a queue of this process that others do not see yet.
        journal: The store whose journal tells what other processes changed, if there is one.
    """

    name: str
    shared: bool = False
    queues: bool = False
    journal: SharedStore | None = None

    @abc.abstractmethod
    def get_many(self, keys: Sequence[Key]) -> list[Entry | None]:
        """Return each entry that may still be served, fresh or stale, or None.

        Raises:
            StoreError: the tier could not answer.
        """

    @abc.abstractmethod
    def put_many(
        self, items: Sequence[tuple[Key, Entry]], lease: int | None = None
    ) -> list[Outcome]:
        """Keep entries, evicting others if need be; return what became of each.

        Args:
            items: What to keep; an entry under a known key replaces it.
            lease: What `position()` returned before the values were computed. None for what
                a user puts: it replaces every older value, in other processes too.

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

    def get(self, key: Key) -> Entry | None:
        """Return the entry of one key: `get_many` without the batch."""
        return self.get_many((key,))[0]

    def put(self, key: Key, entry: Entry, lease: int | None = None) -> Outcome:
        """Keep one entry: `put_many` without the batch."""
        return self.put_many([(key, entry)], lease)[0]

    def check(self) -> list[str]:
        """Recompute the accounts and return a sentence for each that does not add up."""
        return []

    def overtaken(self, what: Invalidation, position: int) -> None:
        """Hear that another process voided, at a position of the journal, what may be queued."""
        return

    def position(self) -> int | None:
        """Return where the journal of a shared tier stands: a lease for what is computed next."""
        return None

    def holds_many(self, keys: Sequence[Key]) -> list[bool]:
        """Return for each key whether the tier holds it, without decoding anything."""
        return [entry is not None for entry in self.get_many(keys)]

    def resize(self, capacity_bytes: int) -> None:
        """Change the bound while running; what no longer fits is demoted or leaves.

        Raises:
            SettingError: the tier's bound is not its own to change.
        """
        raise SettingError(f"the capacity of tier {self.name!r} cannot be changed from here")

    def sweep(self) -> int:
        """Remove what is past its grace; return how many entries went. O(entries)."""
        return 0
