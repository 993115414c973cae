"""Closing, refreshing on demand, and what the accounts say meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from infercache.clock import ManualClock
from infercache.events import Event, Events
from infercache.guards.base import Terms
from infercache.guards.engine import Guard
from infercache.key import Key
from infercache.testing.lookups import DictLookup

MakeKey = Callable[[int], Key]
TERMS = Terms(ttl_s=10, stale_s=60)


@pytest.fixture
def open_guard(lookup: DictLookup, clock: ManualClock, events: Events) -> Guard:
    """A guard that the test closes itself."""
    return Guard(lookup, clock, events, blocking=False)


def test_close_waits_for_a_refresh(
    open_guard: Guard, lookup: DictLookup, clock: ManualClock, make_key: MakeKey
) -> None:
    open_guard.get_or_compute(make_key(1), lambda: "old", TERMS)
    clock.advance(20)
    inside = threading.Event()

    def refresh() -> str:
        inside.set()
        threading.Event().wait(0.1)
        return "new"

    open_guard.get_or_compute(make_key(1), refresh, TERMS)
    inside.wait(5)
    assert open_guard.close(wait_s=10)
    assert lookup.entries[make_key(1).digest].value == "new"


def test_close_abandons_a_refresh_that_hangs(
    open_guard: Guard, clock: ManualClock, make_key: MakeKey
) -> None:
    open_guard.get_or_compute(make_key(1), lambda: "old", TERMS)
    clock.advance(20)
    go = threading.Event()
    open_guard.get_or_compute(make_key(1), lambda: go.wait(10), TERMS)
    assert not open_guard.close(wait_s=0.05)
    assert open_guard.check() == ["1 flights are open", "1 leases are open"]
    assert open_guard.get_or_compute(make_key(2), lambda: "still works", TERMS) == "still works"
    go.set()


async def test_close_cancels_a_refreshing_task(
    open_guard: Guard, clock: ManualClock, make_key: MakeKey
) -> None:
    async def forever() -> None:
        await asyncio.sleep(60)

    await open_guard.aget_or_compute(make_key(1), lambda: "old", TERMS)
    clock.advance(20)
    assert await open_guard.aget_or_compute(make_key(1), forever, TERMS) == "old"
    await asyncio.sleep(0.01)
    assert open_guard.counts()["flights"] == 1
    assert not open_guard.close(wait_s=0)
    for _ in range(100):
        await asyncio.sleep(0.005)
        if not open_guard.check():
            break
    assert open_guard.check() == []


async def test_refresh_on_demand_in_a_task_is_not_started_twice(
    guard: Guard, lookup: DictLookup, clock: ManualClock, make_key: MakeKey, told: list[Event]
) -> None:
    go = asyncio.Event()

    async def refresh() -> str:
        await go.wait()
        return "new"

    await guard.aget_or_compute(make_key(1), lambda: "old", TERMS)
    clock.advance(1)
    assert await guard.arefresh(make_key(1), refresh, TERMS)
    assert not await guard.arefresh(make_key(1), refresh, TERMS)
    go.set()
    for _ in range(100):
        await asyncio.sleep(0.005)
        if guard.counts()["refreshes"]:
            break
    assert lookup.entries[make_key(1).digest].value == "new"
    assert [event.kind for event in told] == ["refresh"]


def test_refresh_of_a_key_that_is_being_computed_is_left_to_that(
    guard: Guard, make_key: MakeKey
) -> None:
    inside, go = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        go.wait(10)
        return "computed"

    caller = threading.Thread(target=guard.get_or_compute, args=(make_key(1), slow, TERMS))
    caller.start()
    inside.wait(5)
    assert guard.refresh(make_key(1), lambda: "refreshed", TERMS)
    assert guard.close(wait_s=10)
    go.set()
    caller.join(10)
    assert guard.get_or_compute(make_key(1), lambda: "again", TERMS) == "computed"
    assert guard.counts()["computations"] == 1


def test_refresh_is_left_to_another_process_that_is_at_it(
    machine_guard: Guard, lookup: DictLookup, make_key: MakeKey
) -> None:
    from infercache.guards.machine_lock import MachineLock

    machine_guard.get_or_compute(make_key(1), lambda: "old", TERMS)
    lock = machine_guard._steps.machine_lock
    assert lock is not None
    rival = MachineLock(lock.path)
    assert rival.try_acquire(make_key(1).digest)
    assert machine_guard.refresh(make_key(1), lambda: "new", TERMS)
    assert machine_guard._refreshers.close(wait_s=10)
    assert lookup.entries[make_key(1).digest].value == "old"
    rival.close()


def test_who_waits_for_another_process_too_long_computes_for_itself(
    lookup: DictLookup, make_key: MakeKey, tmp_path: object
) -> None:
    from infercache.clock import SystemClock
    from infercache.guards.machine_lock import MachineLock

    path = f"{tmp_path}/locks"
    rival = MachineLock(path)
    assert rival.try_acquire(make_key(1).digest)
    guard = Guard(lookup, SystemClock(), Events(), MachineLock(path), wait_s=0.1)
    assert guard.get_or_compute(make_key(1), lambda: "own", TERMS) == "own"
    assert guard.counts()["lock_waits"] > 1
    assert guard.close()
    rival.close()
