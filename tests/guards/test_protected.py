"""A tier that fails, hangs, cannot be opened, and comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from infercache.clock import ManualClock
from infercache.entry import Entry
from infercache.errors import ForeignDirectoryError, StoreFullError, StoreUnavailableError
from infercache.events import Events
from infercache.guards.protected import ProtectedTier, protect
from infercache.key import Key
from infercache.stores.base import Invalidation, RecordInfo
from infercache.tiers.base import Outcome, Tier, TierStats
from infercache.tiers.memory import MemoryTier
from infercache.tiers.spaces import Spaces
from infercache.tiers.specs import Memory, Surroundings

MakeKey = Callable[[int], Key]


class PlainTier(Tier):
    """A dictionary that fails or hangs on demand."""

    name = "plain"
    shared = True

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.error: Exception | None = None
        self.hang: threading.Event | None = None
        self.calls = 0

    def _enter(self) -> None:
        self.calls += 1
        if self.hang is not None:
            self.hang.wait(10)
        if self.error is not None:
            raise self.error

    def get_many(self, keys: Sequence[Key]) -> list[Entry | None]:
        self._enter()
        return [self.entries.get(key.digest) for key in keys]

    def put_many(
        self, items: Sequence[tuple[Key, Entry]], lease: int | None = None
    ) -> list[Outcome]:
        self._enter()
        self.entries.update((key.digest, entry) for key, entry in items)
        return [Outcome.KEPT] * len(items)

    def invalidate(self, what: Invalidation) -> int:
        self._enter()
        before = len(self.entries)
        self.entries = {
            digest: entry
            for digest, entry in self.entries.items()
            if not what.matches(Key("", "stage", "1", digest), entry.tags)
        }
        return before - len(self.entries)

    def scan(self) -> Iterator[RecordInfo]:
        yield from ()

    def stats(self) -> TierStats:
        return TierStats(self.name, 0, entries=len(self.entries))

    def close(self) -> None:
        self.calls += 1


@dataclass
class PlainSpec:
    """Opens always the same tier, or fails to."""

    name: str = "plain"
    ttl_s: float | str | None = None
    deadline_s: float | str | None = None
    tier: PlainTier = field(default_factory=PlainTier)
    fault: Exception | None = None

    def open(self, around: Surroundings) -> Tier:
        if self.fault is not None:
            raise self.fault
        return self.tier


@pytest.fixture
def around(clock: ManualClock, events: Events) -> Surroundings:
    return Surroundings(clock, events, Spaces())


def protected(spec: PlainSpec, around: Surroundings) -> ProtectedTier:
    tier = protect(spec, around)
    assert isinstance(tier, ProtectedTier)
    return tier


def test_memory_is_not_wrapped(around: Surroundings) -> None:
    assert isinstance(protect(Memory("1MB"), around), MemoryTier)


def test_failing_tier_is_left_alone_after_a_few_failures_and_tried_again_later(
    around: Surroundings, clock: ManualClock, make_key: MakeKey
) -> None:
    spec = PlainSpec()
    tier = protected(spec, around)
    spec.tier.error = StoreUnavailableError("gone")
    for _ in range(100):
        with pytest.raises(StoreUnavailableError, match="gone"):
            tier.get_many([make_key(1)])
    assert spec.tier.calls == 5
    assert tier.stats().counts["skipped"] >= 95
    spec.tier.error = None
    clock.advance(1.1)
    assert tier.get_many([make_key(1)]) == [None]
    assert tier.get(make_key(1)) is None


def test_full_tier_is_not_an_outage(around: Surroundings, make_key: MakeKey) -> None:
    spec = PlainSpec()
    tier = protected(spec, around)
    spec.tier.error = StoreFullError("no room")
    for _ in range(20):
        with pytest.raises(StoreFullError):
            tier.put_many([(make_key(1), Entry(1))])
    spec.tier.error = None
    assert tier.get_many([make_key(1)]) == [None]


def test_what_was_invalidated_or_replaced_during_an_outage_is_gone_when_it_is_back(
    around: Surroundings, clock: ManualClock, make_key: MakeKey
) -> None:
    spec = PlainSpec()
    tier = protected(spec, around)
    tier.put_many([(make_key(n), Entry(f"old {n}")) for n in range(4)])
    spec.tier.error = StoreUnavailableError("gone")
    with pytest.raises(StoreUnavailableError):
        tier.invalidate(Invalidation(digest=make_key(0).digest))
    with pytest.raises(StoreUnavailableError):
        tier.put_many([(make_key(1), Entry("new 1"))])
    for _ in range(5):
        with pytest.raises(StoreUnavailableError):
            tier.get_many([make_key(3)])
    with pytest.raises(StoreUnavailableError):  # refused by the breaker now
        tier.invalidate(Invalidation(digest=make_key(2).digest))
    spec.tier.error = None
    clock.advance(1.1)
    found = tier.get_many([make_key(n) for n in range(4)])
    assert [entry and entry.value for entry in found] == [None, None, None, "old 3"]


def test_too_much_to_remember_means_everything(
    around: Surroundings, clock: ManualClock, make_key: MakeKey
) -> None:
    spec = PlainSpec()
    tier = protected(spec, around)
    tier.put_many([(make_key(1_000_000), Entry("old"))])
    spec.tier.error = StoreUnavailableError("gone")
    with pytest.raises(StoreUnavailableError):
        tier.put_many([(make_key(n), Entry(n)) for n in range(10_001)])
    spec.tier.error = None
    assert tier.get_many([make_key(1_000_000)]) == [None]


def test_hanging_tier_is_left_at_once_and_costs_nothing_afterwards(
    around: Surroundings, clock: ManualClock, make_key: MakeKey
) -> None:
    spec = PlainSpec(deadline_s="30ms")
    tier = protected(spec, around)
    spec.tier.hang = threading.Event()
    for _ in range(50):
        with pytest.raises(StoreUnavailableError):
            tier.get_many([make_key(1)])
    assert spec.tier.calls == 1
    spec.tier.hang.set()
    clock.advance(1.1)
    assert tier.get_many([make_key(1)]) == [None]
    tier.close()


def test_tier_that_cannot_be_opened_is_opened_later(
    around: Surroundings, clock: ManualClock, make_key: MakeKey
) -> None:
    spec = PlainSpec(fault=StoreUnavailableError("not mounted"))
    tier = protected(spec, around)
    assert repr(tier) == "plain(out: not mounted)"
    assert tier.check() == ["tier 'plain' is not open: not mounted"]
    assert tier.journal is None
    with pytest.raises(StoreUnavailableError, match="not mounted"):
        tier.get_many([make_key(1)])
    spec.fault = None
    clock.advance(1.1)
    assert tier.get_many([make_key(1)]) == [None]
    assert tier.check() == []


def test_foreign_directory_is_refused_at_once(around: Surroundings) -> None:
    with pytest.raises(ForeignDirectoryError):
        protect(PlainSpec(fault=ForeignDirectoryError("not ours")), around)
