"""A Hypothesis state machine: the table against a plain dict of what may be in it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from infercache._core import Table
from infercache.clock import ManualClock
from infercache.policies import POLICIES
from infercache.testing.policy_kit import key_of

KEYS = st.integers(0, 11).map(key_of)
SIZES = st.integers(0, 30)


class TableMachine(RuleBasedStateMachine):
    """`known` holds what was put last: (value, size, expiry, grace). An entry may have left."""

    policy: Any = "lru"

    @initialize(capacity=st.integers(0, 80), entries=st.none() | st.integers(0, 8))
    def open(self, capacity: int, entries: int | None) -> None:
        self.clock = ManualClock()
        self.table = Table(capacity, entries, self.policy, clock=self.clock.now)
        self.capacity, self.entries = capacity, entries
        self.known: dict[bytes, tuple[int, int, float, float]] = {}
        self.pins: dict[bytes, int] = {}
        self.leaving: set[bytes] = set()
        self.count = 0

    def gone(self, key: bytes) -> None:
        """Forget a key that must not be in the table any more."""
        for place in (self.known, self.pins):
            place.pop(key, None)
        self.leaving.discard(key)
        assert self.table.peek(key) is None

    def settle(self) -> None:
        """Find out what the table evicted: nothing that is pinned, or leaving."""
        for key in set(self.known) - set(self.table):
            assert key not in self.pins, "a pinned entry was evicted"
            assert key not in self.leaving, "an entry left before it was forgotten"
            del self.known[key]

    @rule(key=KEYS, size=SIZES, ttl=st.none() | st.integers(1, 9), grace=st.integers(0, 5))
    def put(self, key: bytes, size: int, ttl: int | None, grace: int) -> None:
        self.count += 1
        expires_at = float("inf") if ttl is None else self.clock.now() + ttl
        entry = (self.count, size, expires_at, expires_at + grace)
        kept = self.table.put(key, self.count, size, 1.0, 0, 0.0, *entry[2:])
        self.leaving.discard(key)
        if kept:
            self.known[key] = entry
            assert self.table.peek(key) is not None
        else:
            self.gone(key)
        self.settle()

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        value = self.table.get(key)
        self.expire(key)
        entry = self.known.get(key)
        fresh = entry is not None and self.clock.now() < entry[2]
        assert value == (entry[0] if entry is not None and fresh else None)

    @rule(key=KEYS)
    def read(self, key: bytes) -> None:
        row = self.table.read(key)
        self.expire(key)
        entry = self.known.get(key)
        if entry is None:
            assert row is None
        else:
            assert row is not None
            state = 0 if self.clock.now() < entry[2] else 2
            assert (row[0], row[1], row[2], row[6], row[7]) == (state, *entry)

    def expire(self, key: bytes) -> None:
        """A key that was looked at is removed if it is past its grace."""
        if key in self.known and self.clock.now() >= self.known[key][3]:
            self.gone(key)

    @rule(key=KEYS)
    def remove(self, key: bytes) -> None:
        assert self.table.remove(key) == (key in self.known)
        self.gone(key)

    @rule(key=KEYS)
    def pin(self, key: bytes) -> None:
        pinned = self.table.pin(key)
        self.expire(key)
        assert pinned == (key in self.known)
        if pinned:
            self.pins[key] = self.pins.get(key, 0) + 1
            self.leaving.discard(key)

    @rule(key=KEYS)
    def unpin(self, key: bytes) -> None:
        assert self.table.unpin(key) == (key in self.pins)
        if key in self.pins:
            self.pins[key] -= 1
            if not self.pins[key]:
                del self.pins[key]

    @rule(size=SIZES, key=st.none() | KEYS)
    def choose(self, size: int, key: bytes | None) -> None:
        chosen = self.table.choose(size, 1, key)
        if chosen is not None:
            assert len(set(chosen)) == len(chosen)
            assert not set(chosen) & (self.leaving | set(self.pins) | {key})
            assert set(chosen) <= set(self.known)
            self.leaving |= set(chosen)

    @rule(number=st.integers(0, 3))
    def forget(self, number: int) -> None:
        keys = sorted(self.leaving)[:number]
        assert self.table.forget(keys) == len(keys)
        for key in keys:
            self.gone(key)

    @rule(number=st.integers(0, 3))
    def keep(self, number: int) -> None:
        keys = sorted(self.leaving)[:number]
        assert self.table.keep(keys) == len(keys)
        self.leaving -= set(keys)

    @rule(capacity=st.integers(0, 80))
    def resize(self, capacity: int) -> None:
        pinned = sum(self.known[key][1] for key in self.pins)
        if pinned > capacity or (self.entries is not None and len(self.pins) > self.entries):
            with pytest.raises(ValueError, match="pinned"):
                self.table.resize(capacity, self.entries)
            return
        for key in self.table.resize(capacity, self.entries):
            assert key not in self.pins
            self.gone(key)
        self.capacity = capacity

    @rule(seconds=st.integers(-2, 6))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(limit=st.integers(0, 20))
    def sweep(self, limit: int) -> None:
        for key in self.table.sweep(limit):
            assert self.clock.now() >= self.known[key][3]
            self.gone(key)

    @invariant()
    def adds_up(self) -> None:
        assert self.table.check() == []
        assert set(self.table) == set(self.known)
        stats = self.table.stats()
        assert stats["bytes"] == sum(entry[1] for entry in self.known.values()) <= self.capacity
        most = len(self.known) if self.entries is None else self.entries
        assert stats["entries"] == len(self.known) <= most
        assert stats["pinned"] == len(self.pins)
        assert stats["held_entries"] == len(set(self.pins) | self.leaving)


@pytest.mark.parametrize("policy", POLICIES.names())
def test_the_table_behaves_as_a_bounded_dict(policy: str) -> None:
    """Whatever the order of operations, under every policy."""
    machine = type(f"Machine_{policy}", (TableMachine,), {"policy": policy})
    machine.TestCase.settings = settings(  # type: ignore[attr-defined]
        max_examples=60, stateful_step_count=40, deadline=None
    )
    machine.TestCase().runTest()  # type: ignore[attr-defined]
