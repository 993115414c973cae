"""Time to live, grace, early refresh, negative entries, kept exceptions, fail-safe."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from infercache.clock import ManualClock
from infercache.errors import InfercacheWarning, SettingError
from infercache.events import Event
from infercache.guards.base import Terms
from infercache.guards.engine import Guard
from infercache.key import Key
from infercache.testing.lookups import DictLookup

MakeKey = Callable[[int], Key]


def fail() -> Any:
    raise ConnectionError("source is down")


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.002)


def test_expired_value_is_computed_again(
    guard: Guard, clock: ManualClock, make_key: MakeKey
) -> None:
    terms = Terms(ttl_s=10)
    assert guard.get_or_compute(make_key(1), lambda: 1, terms) == 1
    clock.advance(9.9)
    assert guard.get_or_compute(make_key(1), lambda: 2, terms) == 1
    clock.advance(0.2)
    assert guard.get_or_compute(make_key(1), lambda: 2, terms) == 2


def test_jitter_shortens_the_time_to_live(
    guard: Guard, lookup: DictLookup, clock: ManualClock, make_key: MakeKey
) -> None:
    guard.get_or_compute(make_key(1), lambda: 1, Terms(ttl_s=10, jitter=0.2))
    entry = lookup.entries[make_key(1).digest]
    assert entry.expires_at == pytest.approx(clock.now() + 9)  # random() is 0.5 here


def test_cost_and_tags_are_kept_with_the_value(
    guard: Guard, lookup: DictLookup, clock: ManualClock, make_key: MakeKey
) -> None:
    def compute() -> int:
        clock.advance(3)
        return 1

    guard.get_or_compute(make_key(1), compute, Terms(tags=("model",)))
    entry = lookup.entries[make_key(1).digest]
    assert (entry.cost_s, entry.tags, entry.created_at) == (3.0, ("model",), clock.now())


def test_stale_value_is_served_while_one_refreshes(
    guard: Guard, lookup: DictLookup, clock: ManualClock, make_key: MakeKey
) -> None:
    terms = Terms(ttl_s=10, stale_s=60)
    guard.get_or_compute(make_key(1), lambda: "old", terms)
    clock.advance(20)
    go = threading.Event()

    def refresh() -> str:
        go.wait(5)
        return "new"

    served = [guard.get_or_compute(make_key(1), refresh, terms) for _ in range(20)]
    assert served == ["old"] * 20
    go.set()
    wait_until(lambda: guard.counts()["refreshes"] == 1)
    assert guard.get_or_compute(make_key(1), fail, terms) == "new"
    assert guard.counts()["computations"] == 2


def test_value_that_is_due_is_served_and_refreshed_early(
    guard: Guard, lookup: DictLookup, clock: ManualClock, make_key: MakeKey
) -> None:
    """The lookup calls every expiring value due if beta is infinite."""
    terms = Terms(ttl_s=10, early_refresh=math.inf)
    guard.get_or_compute(make_key(1), lambda: "old", terms)
    clock.advance(1)
    assert guard.get_or_compute(make_key(1), lambda: "new", terms) == "old"
    wait_until(lambda: guard.counts()["refreshes"] == 1)
    assert lookup.entries[make_key(1).digest].value == "new"


def test_refresh_is_dropped_and_counted_if_no_thread_is_free(
    guard: Guard, clock: ManualClock, make_key: MakeKey
) -> None:
    terms = Terms(ttl_s=10, stale_s=60)
    for number in range(5):
        guard.get_or_compute(make_key(number), lambda: "old", terms)
    clock.advance(20)
    go = threading.Event()

    def slow() -> str:
        go.wait(5)
        return "new"

    for number in range(5):
        assert guard.get_or_compute(make_key(number), slow, terms) == "old"
    assert guard.counts()["refresh_dropped"] == 3
    go.set()


def test_background_error_is_told_once_and_the_next_caller_gets_it(
    guard: Guard, clock: ManualClock, make_key: MakeKey, told: list[Event]
) -> None:
    terms = Terms(ttl_s=10, stale_s=60)
    guard.get_or_compute(make_key(1), lambda: "old", terms)
    clock.advance(20)

    def serve() -> None:
        assert guard.get_or_compute(make_key(1), fail, terms) == "old"
        wait_until(lambda: guard.counts()["refresh_failed"] == 1)

    with pytest.warns(InfercacheWarning, match="source is down"):
        serve()
    wait_until(lambda: any(e.kind == "refresh" and "source is down" in e.detail for e in told))
    with pytest.raises(ConnectionError):
        guard.get_or_compute(make_key(1), fail, terms)
    assert guard.get_or_compute(make_key(1), lambda: "new", terms) == "new"


def test_fail_safe_serves_the_old_value_until_its_grace_ends(
    guard: Guard, clock: ManualClock, make_key: MakeKey, told: list[Event]
) -> None:
    terms = Terms(ttl_s=10, stale_s=60, fail_safe=True)
    guard.get_or_compute(make_key(1), lambda: "old", terms)
    clock.advance(20)

    def serve() -> None:
        for _ in range(3):
            assert guard.get_or_compute(make_key(1), fail, terms) == "old"
            wait_until(lambda: guard.counts()["refresh_failed"] > 0)

    with pytest.warns(InfercacheWarning, match="source is down"):
        serve()
    assert guard.counts()["fail_safe_served"] == 2
    assert any(event.detail == "its last computation raised" for event in told)
    clock.advance(60)
    with pytest.raises(ConnectionError):
        guard.get_or_compute(make_key(1), fail, terms)


async def test_failing_source_is_asked_less_and_less_often(
    guard: Guard, clock: ManualClock, make_key: MakeKey
) -> None:
    terms = Terms(ttl_s=10, stale_s=1000, fail_safe=True)
    tried_at: list[float] = []

    async def new() -> str:
        return "new"

    async def refuse() -> None:
        tried_at.append(clock.monotonic())
        raise ConnectionError("source is down")

    async def let_tasks_run() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def serve_for_a_minute() -> None:
        for _ in range(240):
            assert await guard.aget_or_compute(make_key(1), refuse, terms) == "new"
            await let_tasks_run()
            clock.advance(0.25)

    await guard.aget_or_compute(make_key(1), new, terms)
    clock.advance(20)
    with pytest.warns(InfercacheWarning, match="source is down"):
        await serve_for_a_minute()
    assert [later - earlier for earlier, later in pairwise(tried_at)] == [1, 2, 4, 8, 16]
    clock.advance(30)
    await guard.aget_or_compute(make_key(1), new, terms)
    await let_tasks_run()
    assert guard.counts()["refreshes"] == 1


def test_without_grace_an_expired_value_is_never_served(
    guard: Guard, clock: ManualClock, make_key: MakeKey
) -> None:
    guard.get_or_compute(make_key(1), lambda: "old", Terms(ttl_s=10, stale_s=60))
    clock.advance(20)
    assert guard.get_or_compute(make_key(1), lambda: "new", Terms(ttl_s=10)) == "new"


def test_computed_none_has_a_time_to_live_of_its_own(
    guard: Guard, clock: ManualClock, make_key: MakeKey
) -> None:
    terms = Terms(ttl_s=100, negative_ttl_s=5)
    assert guard.get_or_compute(make_key(1), lambda: None, terms) is None
    assert guard.get_or_compute(make_key(1), lambda: 1, terms) is None
    clock.advance(6)
    assert guard.get_or_compute(make_key(1), lambda: 1, terms) == 1


def test_exceptions_are_kept_only_if_asked_and_of_the_types_named(
    guard: Guard, clock: ManualClock, make_key: MakeKey
) -> None:
    calls: list[int] = []

    def missing() -> None:
        calls.append(1)
        raise FileNotFoundError(2, "no such model")

    terms = Terms(negative_ttl_s=5, keep_exceptions=(OSError,))
    for _ in range(3):
        with pytest.raises(OSError, match="no such model"):
            guard.get_or_compute(make_key(1), missing, terms)
    assert len(calls) == 1
    with pytest.raises(FileNotFoundError):  # who accepts no kept exceptions computes
        guard.get_or_compute(make_key(1), missing, Terms())
    assert len(calls) == 2
    clock.advance(6)
    assert guard.get_or_compute(make_key(1), lambda: "there", terms) == "there"


def test_value_that_is_not_wanted_is_handed_out_but_not_kept(
    guard: Guard, lookup: DictLookup, make_key: MakeKey
) -> None:
    terms = Terms(keep_if=lambda value: value > 1)
    keys = [make_key(n) for n in range(4)]
    assert guard.get_or_compute_many(keys, [0, 1, 2, 3], lambda rows: rows, terms) == [0, 1, 2, 3]
    assert set(lookup.entries) == {keys[2].digest, keys[3].digest}
    assert guard.counts()["voided"] == 0


def test_refresh_on_demand_replaces_the_value(
    guard: Guard, lookup: DictLookup, clock: ManualClock, make_key: MakeKey
) -> None:
    guard.get_or_compute(make_key(1), lambda: "old", Terms())
    clock.advance(1)
    assert guard.refresh(make_key(1), lambda: "new", Terms())
    wait_until(lambda: lookup.entries[make_key(1).digest].value == "new")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ttl_s": -1.0}, "ttl_s=-1.0"),
        ({"stale_s": math.nan}, "stale_s=nan"),
        ({"early_refresh": -0.5}, "early_refresh=-0.5"),
        ({"jitter": 1.0}, "jitter=1.0"),
        ({"negative_ttl_s": -3.0}, "negative_ttl_s=-3.0"),
        ({"keep_exceptions": (OSError,)}, "negative_ttl_s"),
    ],
)
def test_terms_that_cannot_be_used_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Terms(**wrong)
