from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infercache.clock import ManualClock
from infercache.events import Event, Events
from infercache.guards.engine import Guard
from infercache.guards.machine_lock import MachineLock
from infercache.key import Key
from infercache.testing.lookups import DictLookup


@pytest.fixture
def make_key() -> Callable[[int], Key]:
    """Numbers to keys."""
    return lambda number: Key("", "stage", "1", number.to_bytes(16, "big"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def lookup(clock: ManualClock) -> DictLookup:
    return DictLookup(clock)


@pytest.fixture
def told() -> list[Event]:
    """The events that were emitted."""
    return []


@pytest.fixture
def events(told: list[Event]) -> Events:
    events = Events()
    events.subscribe(told.append)
    return events


@pytest.fixture
def guard(lookup: DictLookup, clock: ManualClock, events: Events) -> Iterator[Guard]:
    """A guard of one process, whose lookup never blocks."""
    guard = Guard(lookup, clock, events, blocking=False, drop=lookup.drop, random=lambda: 0.5)
    yield guard
    assert guard.close(wait_s=5)
    assert guard.check() == []


@pytest.fixture
def machine_guard(
    lookup: DictLookup, clock: ManualClock, events: Events, tmp_path: Path
) -> Iterator[Guard]:
    """A guard whose tiers are shared with other processes, and may block."""
    lock = MachineLock(tmp_path / "locks")
    guard = Guard(lookup, clock, events, lock, wait_s=60)
    yield guard
    assert guard.close(wait_s=5)
    assert guard.check() == []
