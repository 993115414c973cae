"""Calls that hang, and when to stop asking."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infercache.clock import ManualClock
from infercache.errors import StoreUnavailableError
from infercache.events import Event, Events
from infercache.guards.breaker import Breaker, State
from infercache.guards.deadline import Deadline, DeadlineError
from infercache.guards.workers import Workers


@pytest.fixture
def breaker(clock: ManualClock, events: Events) -> Breaker:
    return Breaker("disk", clock, failures=3, window_s=10, cool_down_s=5, events=events)


def test_answer_and_error_pass_through() -> None:
    deadline = Deadline(5, "disk")
    assert deadline.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        deadline.run(lambda: 1 // 0)
    deadline.close()


def test_call_that_hangs_is_left_at_the_deadline() -> None:
    deadline = Deadline(0.05, "disk")
    go = threading.Event()
    with pytest.raises(DeadlineError, match=r"disk: no answer within 0.05 s"):
        deadline.run(lambda: go.wait(10))
    go.set()
    deadline.close()


def test_hung_calls_never_pile_up_threads() -> None:
    deadline = Deadline(0.02, "disk")
    before = threading.active_count()
    go = threading.Event()

    def call() -> str:
        try:
            deadline.run(lambda: go.wait(10))
        except StoreUnavailableError as error:
            return str(error)
        return "answered"

    with ThreadPoolExecutor(20) as pool:
        said = list(pool.map(lambda _: call(), range(200)))
    assert "answered" not in said
    assert any("hang in earlier calls" in sentence for sentence in said)
    assert threading.active_count() - before <= 8
    go.set()
    deadline.close()


def test_workers_refuse_what_they_cannot_take() -> None:
    workers = Workers(2, "test", queue_limit=1)
    go = threading.Event()
    taken = [workers.submit(lambda: go.wait(10)) for _ in range(4)]
    assert [future is not None for future in taken] == [True, True, True, False]
    assert not workers.close(wait_s=0.01)
    go.set()
    assert workers.close(wait_s=10)
    assert workers.submit(lambda: 1) is None


def test_breaker_opens_after_failures_within_the_window(
    breaker: Breaker, clock: ManualClock, told: list[Event]
) -> None:
    for _ in range(2):
        assert not breaker.failed("broken")
    clock.advance(11)
    assert not breaker.failed("broken")  # the first ones are too old by now
    assert breaker.allows()
    assert not breaker.failed("broken")
    assert breaker.failed("broken")
    assert not breaker.allows()
    assert [(event.kind, event.tier, event.detail) for event in told] == [
        ("outage", "disk", "broken")
    ]


def test_one_probe_at_a_time_decides(
    breaker: Breaker, clock: ManualClock, told: list[Event]
) -> None:
    assert breaker.open("hung")
    assert not breaker.allows()
    clock.advance(5)
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    assert not breaker.failed("still hung")
    assert not breaker.allows()
    clock.advance(5)
    assert breaker.allows()
    assert breaker.succeeded()
    assert breaker.allows()
    assert [event.kind for event in told] == ["outage", "recovered"]
    assert (breaker.opened, breaker.refused) == (1, 4)


def test_straggler_from_before_the_outage_does_not_close_it(
    breaker: Breaker, clock: ManualClock
) -> None:
    breaker.open("hung")
    assert not breaker.succeeded()
    assert not breaker.allows()


def test_of_many_threads_one_probes(breaker: Breaker, clock: ManualClock) -> None:
    breaker.open("hung")
    clock.advance(6)
    with ThreadPoolExecutor(16) as pool:
        allowed = list(pool.map(lambda _: breaker.allows(), range(200)))
    assert sum(allowed) == 1


@given(st.lists(st.sampled_from(["ask", "ok", "bad", "hang", "tick"]), max_size=60))
def test_breaker_follows_its_model(actions: list[str]) -> None:
    """Open refuses all; only an answered probe closes it; at most one probe is out."""
    clock = ManualClock()
    breaker = Breaker("x", clock, failures=3, window_s=10, cool_down_s=5)
    out = 0
    steps: dict[str, Callable[[], object]] = {
        "ok": breaker.succeeded,
        "bad": breaker.failed,
        "hang": breaker.open,
    }
    for action in actions:
        before = breaker.state
        if action == "tick":
            clock.advance(3)
        elif action == "ask":
            allowed = breaker.allows()
            out += allowed
            assert allowed == (before is State.CLOSED or breaker.state is not before)
        elif out:
            out -= 1
            steps[action]()
            if action == "hang":
                assert breaker.state is State.OPEN
            if before is State.OPEN:
                assert breaker.state is State.OPEN
