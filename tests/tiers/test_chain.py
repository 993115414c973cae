from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest

from infercache.clock import ManualClock
from infercache.entry import Entry, Freshness
from infercache.errors import InfercacheWarning, StoreUnavailableError
from infercache.events import Events
from infercache.key import Key
from infercache.stores.base import Invalidation
from infercache.tiers.base import Outcome
from infercache.tiers.chain import Chain
from infercache.tiers.memory import MemoryTier


def make_key(number: int) -> Key:
    return Key("", "n", "1", number.to_bytes(16, "little"))


class LowerTier(MemoryTier):
    """A second memory that can be told to fail, and to run something while it is read."""

    shared = True

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(10**6, name="lower", clock=clock)
        self.during_read: Callable[[], object] | None = None
        self.out = False
        self.fenced: set[bytes] = set()

    def get_many(self, keys: Sequence[Key]) -> list[Entry | None]:
        if self.out:
            raise StoreUnavailableError("the cable is cut")
        entries = super().get_many(keys)
        if self.during_read is not None:
            self.during_read()
        return entries

    def put(self, key: Key, entry: Entry, lease: int | None = None) -> Outcome:
        if self.out:
            raise StoreUnavailableError("the cable is cut")
        return Outcome.FENCED if key.digest in self.fenced else super().put(key, entry)


class Fixture:
    def __init__(self, upper_bytes: int = 10**6, ttl_s: dict[str, float] | None = None) -> None:
        self.clock = ManualClock()
        self.upper = MemoryTier(upper_bytes, name="upper", clock=self.clock, policy="lru")
        self.lower = LowerTier(self.clock)
        self.events = Events()
        self.chain = Chain([self.upper, self.lower], ttl_s or {}, self.clock, self.events)
        self.upper.demote = self.chain.demote_below(0)

    def put(self, number: int, value: object = "v", **fields: float) -> None:
        now = self.clock.now()
        entry = Entry(value, created_at=now)
        entry.expires_at = now + fields.get("ttl_s", math.inf)
        entry.stale_until = entry.expires_at + fields.get("stale_s", 0.0)
        entry.cost_s = fields.get("cost_s", 0.0)
        self.chain.put_many([(make_key(number), entry)])

    def find(self, number: int, beta: float = 0.0) -> tuple[object, Freshness, str] | None:
        (found,) = self.chain.find_many([make_key(number)], beta=beta)
        return None if found is None else (found.entry.value, found.freshness, found.tier)


def test_a_put_reaches_every_tier_and_a_read_stops_at_the_first() -> None:
    fix = Fixture()
    fix.put(1)
    assert fix.find(1) == ("v", Freshness.FRESH, "upper")
    assert fix.lower.stats().counts["hits"] == 0
    assert fix.lower.stats().entries == 1


def test_what_is_found_below_is_promoted() -> None:
    fix = Fixture()
    fix.put(1)
    fix.upper.clear()
    assert fix.find(1) == ("v", Freshness.FRESH, "lower")
    assert fix.find(1) == ("v", Freshness.FRESH, "upper")
    assert fix.chain.counts["promotions"] == 1


def test_an_invalidation_that_overtakes_a_promotion_wins() -> None:
    fix = Fixture()
    fix.put(1)
    fix.put(2)
    fix.upper.clear()
    fix.lower.during_read = lambda: fix.chain.invalidate(Invalidation(digest=make_key(1).digest))
    found = fix.chain.find_many([make_key(1), make_key(2)])
    assert all(found)  # the read began before
    fix.lower.during_read = None
    assert fix.find(1) is None
    assert fix.find(2) == ("v", Freshness.FRESH, "upper")  # another key: promoted all the same


def test_what_a_shared_tier_refuses_is_not_kept_here_either() -> None:
    fix = Fixture()
    fix.lower.fenced.add(make_key(1).digest)
    entries = [(make_key(number), Entry(number)) for number in (1, 2)]
    assert fix.chain.put_many(entries, {"lower": 0}) == [Outcome.FENCED, Outcome.KEPT]
    assert fix.find(1) is None
    assert fix.find(2) is not None


def test_victims_are_demoted_before_they_are_forgotten() -> None:
    fix = Fixture(upper_bytes=3000)
    fix.lower.out = True
    with pytest.warns(InfercacheWarning, match="tier 'lower' is out and is skipped"):
        fix.put(0, "x" * 1000)
    fix.lower.out = False
    for number in range(1, 5):
        fix.put(number, "x" * 1000)
    assert make_key(0).digest not in fix.upper.table
    assert fix.find(0) == ("x" * 1000, Freshness.FRESH, "lower")
    assert fix.chain.counts["demotions"] == 1


def test_an_outage_is_a_miss_counted_and_said_once_until_it_is_over() -> None:
    fix = Fixture()
    kinds: list[str] = []
    fix.events.subscribe(lambda event: kinds.append(event.kind))
    fix.lower.out = True
    with pytest.warns(InfercacheWarning, match="the cable is cut"):
        assert fix.find(1) is None
    assert fix.find(1) is None
    assert fix.chain.outages.counts["lower"] == 2
    assert fix.chain.outages.reason("lower") == "the cable is cut"
    fix.lower.out = False
    fix.find(1)
    assert kinds == ["outage", "recovered"]


def test_a_stale_entry_is_returned_only_if_nothing_below_is_fresh() -> None:
    fix = Fixture()
    fix.put(1, "old", ttl_s=10, stale_s=100)
    fix.clock.advance(20)
    assert fix.find(1) == ("old", Freshness.STALE, "upper")
    now = fix.clock.now()
    fix.lower.put_many([(make_key(1), Entry("new", expires_at=now + 50, stale_until=now + 50))])
    assert fix.find(1) == ("new", Freshness.FRESH, "lower")


def test_an_entry_past_its_grace_is_gone() -> None:
    fix = Fixture()
    fix.put(1, "old", ttl_s=10, stale_s=5)
    fix.clock.advance(16)
    assert fix.find(1) is None


def test_a_refresh_is_due_ever_more_often_towards_the_expiry() -> None:
    fix = Fixture()
    fix.put(1, ttl_s=100, cost_s=1)

    def due() -> float:
        found = [fix.chain.find_many([make_key(1)], beta=1.0)[0] for _ in range(2000)]
        return sum(f is not None and f.freshness is Freshness.REFRESH_DUE for f in found) / 2000

    fix.clock.advance(90)
    assert due() < 0.01
    fix.clock.advance(9)  # one cost before the expiry: P = exp(-1)
    assert due() == pytest.approx(math.exp(-1), abs=0.06)
    assert fix.find(1, beta=0.0) == ("v", Freshness.FRESH, "upper")


def test_each_tier_keeps_no_longer_than_its_own_time_to_live() -> None:
    fix = Fixture(ttl_s={"upper": 5.0})
    fix.put(1)
    fix.clock.advance(6)
    assert fix.find(1) == ("v", Freshness.FRESH, "lower")


def test_tiers_can_be_asked_apart() -> None:
    fix = Fixture()
    fix.put(1)
    fix.upper.clear()
    assert fix.chain.find_many([make_key(1)], own_only=True) == [None]
    (found,) = fix.chain.find_many([make_key(1)], shared_only=True)
    assert found is not None


def test_the_way_of_a_missing_key_is_remembered() -> None:
    fix = Fixture()
    fix.put(1)
    fix.chain.invalidate(Invalidation(digest=make_key(1).digest))
    known = fix.chain.departures.reason("upper", make_key(1).digest)
    assert known is not None
    assert known[1] == "invalidated"
