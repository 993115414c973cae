from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from infercache.entry import Entry
from infercache.errors import InfercacheWarning, StoreUnavailableError
from infercache.events import Event, Events
from infercache.key import Key
from infercache.stores.base import Invalidation, RecordInfo
from infercache.tiers.base import Outcome, Tier, TierStats
from infercache.tiers.write_back import WriteBackTier


class SlowTier(Tier):
    """A dictionary whose writes wait until they are let through, or fail."""

    name = "slow"
    shared = True

    def __init__(self) -> None:
        self.entries: dict[bytes, tuple[Key, Entry]] = {}
        self.let_through = threading.Event()
        self.writing = threading.Event()
        self.failures = 0
        self.closed = False

    def get_many(self, keys: Sequence[Key]) -> list[Entry | None]:
        found = [self.entries.get(key.digest) for key in keys]
        return [None if one is None else one[1] for one in found]

    def put_many(
        self, items: Sequence[tuple[Key, Entry]], lease: int | None = None
    ) -> list[Outcome]:
        self.writing.set()
        assert self.let_through.wait(10)
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError("the disk went away")
        self.entries.update({key.digest: (key, entry) for key, entry in items})
        return [Outcome.KEPT] * len(items)

    def invalidate(self, what: Invalidation) -> int:
        gone = [d for d, (key, entry) in self.entries.items() if what.matches(key, entry.tags)]
        for digest in gone:
            del self.entries[digest]
        return len(gone)

    def scan(self) -> Iterator[RecordInfo]:
        return (RecordInfo(key, 1) for key, _ in self.entries.values())

    def stats(self) -> TierStats:
        return TierStats(self.name, 1000, 0, len(self.entries))

    def close(self) -> None:
        self.closed = True


def make_key(number: int) -> Key:
    return Key("", "n", "1", number.to_bytes(16, "little"))


@pytest.fixture
def inner() -> SlowTier:
    return SlowTier()


@pytest.fixture
def tier(inner: SlowTier) -> Iterator[WriteBackTier]:
    wrapped = WriteBackTier(inner, queue_entries=4)
    yield wrapped
    inner.let_through.set()
    wrapped.close()
    assert inner.closed


def test_a_put_returns_at_once_and_a_read_waits_until_it_is_written(
    tier: WriteBackTier, inner: SlowTier
) -> None:
    assert tier.put_many([(make_key(1), Entry("a"))]) == [Outcome.KEPT]
    assert inner.entries == {}
    assert tier.holds_many([make_key(1), make_key(2)]) == [True, False]
    assert tier.get(make_key(2)) is None  # another key does not wait
    threading.Timer(0.05, inner.let_through.set).start()
    found = tier.get_many([make_key(1), make_key(2)])
    assert found[0] is not None
    assert found[0].value == "a"
    assert found[1] is None
    assert list(inner.entries) == [make_key(1).digest]
    assert tier.check() == []
    assert [info.key for info in tier.scan()] == [make_key(1)]


def test_a_full_queue_makes_the_caller_write(tier: WriteBackTier, inner: SlowTier) -> None:
    for number in range(4):
        tier.put_many([(make_key(number), Entry(number))])
    inner.writing.wait(10)
    threading.Timer(0.05, inner.let_through.set).start()
    for number in range(4, 12):
        tier.put_many([(make_key(number), Entry(number))])
    tier.flush()
    assert len(inner.entries) == 12


def test_the_newest_value_wins_however_it_is_written(tier: WriteBackTier, inner: SlowTier) -> None:
    tier.put_many([(make_key(1), Entry("old"))])
    inner.writing.wait(10)
    for number in range(2, 6):
        tier.put_many([(make_key(number), Entry(number))])
    threading.Timer(0.05, inner.let_through.set).start()
    tier.put_many([(make_key(1), Entry("new"))])
    tier.flush()
    assert inner.entries[make_key(1).digest][1].value == "new"


def test_an_invalidation_reaches_queued_and_half_written_values(
    tier: WriteBackTier, inner: SlowTier
) -> None:
    tier.put_many([(make_key(1), Entry("a", tags=("t",)))])
    inner.writing.wait(10)
    tier.put_many([(make_key(2), Entry("b", tags=("t",)))])
    threading.Timer(0.05, inner.let_through.set).start()
    tier.invalidate(Invalidation(tag="t"))
    tier.flush()
    assert make_key(2).digest not in inner.entries


def test_a_write_is_tried_again_after_a_failure(tier: WriteBackTier, inner: SlowTier) -> None:
    inner.failures = 1
    inner.let_through.set()
    tier.put_many([(make_key(1), Entry("a"))])
    tier.flush()
    assert len(inner.entries) == 1
    assert tier.stats().counts["queued"] == 0


@pytest.mark.filterwarnings("default::infercache.errors.InfercacheWarning")
def test_what_cannot_be_written_is_counted_told_and_warned_about(inner: SlowTier) -> None:
    events, lost = Events(), []
    events.subscribe(lambda event: lost.append(event))
    tier = WriteBackTier(inner, events=events)
    inner.failures = 100
    inner.let_through.set()
    tier.put_many([(make_key(1), Entry("a"))])
    with pytest.warns(InfercacheWarning, match="1 queued entries could not be written"):
        tier.close()
    assert tier.stats().counts["lost"] == 1
    assert [(event.kind, event.digest) for event in lost] == [("lost", make_key(1).digest)]
    assert isinstance(lost[0], Event)
