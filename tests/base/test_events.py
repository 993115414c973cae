from __future__ import annotations

import pytest

from infercache.clock import ManualClock, SystemClock
from infercache.errors import InfercacheWarning
from infercache.events import Event, Events


def test_listeners_hear_events_until_they_unsubscribe() -> None:
    events = Events()
    heard: list[Event] = []
    stop = events.subscribe(heard.append)
    assert events
    events.emit(Event("hit", "memory"))
    stop()
    events.emit(Event("miss"))
    assert [event.kind for event in heard] == ["hit"]
    assert not events


def test_a_listener_that_raises_is_removed_and_reported_and_the_others_still_hear() -> None:
    events = Events()
    heard: list[Event] = []

    def broken(event: Event) -> None:
        raise RuntimeError("no")

    events.subscribe(broken)
    events.subscribe(heard.append)
    with pytest.warns(InfercacheWarning, match="raised RuntimeError"):
        events.emit(Event("hit"))
    events.emit(Event("hit"))
    assert len(heard) == 2


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(10.0)
    clock.advance(2.5)
    assert clock.now() == clock.monotonic() == 12.5
    assert SystemClock().now() > 1e9
