"""Stops asking what does not answer, and tries again later."""

from __future__ import annotations

import enum
from collections import deque

from infercache.clock import Clock
from infercache.events import Event, Events
from infercache.forks import fork_safe_lock


class State(enum.Enum):
    """What a breaker does with the next call."""

    CLOSED = "closed"  # lets it through
    OPEN = "open"  # refuses it
    HALF_OPEN = "half open"  # one probe is under way; refuses the others


class Breaker:
    """Opens after several failures within a window, and lets one probe through at a time.

    Thread-safe. Cost: two attribute reads a call while everything works; nothing but a
    comparison while open. The caller asks `allows()`, and tells `succeeded()` or `failed()`
    for every call that was allowed.

    Args:
        name: What is called, for events.
        clock: Where the time comes from.
        failures: How many failures open it.
        window_s: Within which time.
        cool_down_s: How long it stays open before each probe.
        events: Told "outage" when it opens and "recovered" when it closes, if given.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        failures: int = 5,
        window_s: float = 10.0,
        cool_down_s: float = 1.0,
        events: Events | None = None,
    ) -> None:
        self.state = State.CLOSED
        self.opened = 0
        self.refused = 0
        self._name = name
        self._clock = clock
        self._limit = failures
        self._window_s = window_s
        self._cool_down_s = cool_down_s
        self._events = events
        self._failed_at: deque[float] = deque(maxlen=failures)
        self._probe_at = 0.0
        self._mutex = fork_safe_lock()

    def allows(self) -> bool:
        """Return whether a call may be made now; the first one after the cool-down is the probe."""
        if self.is_closed():
            return True
        with self._mutex:
            if self.state is State.OPEN and self._clock.monotonic() >= self._probe_at:
                self.state = State.HALF_OPEN
                return True
            closed = self.is_closed()
            self.refused += not closed
            return closed

    def is_closed(self) -> bool:
        """Return whether calls are let through as usual."""
        return self.state is State.CLOSED

    def is_quiet(self) -> bool:
        """Return whether it is closed and nothing failed lately: a success need not be noted."""
        return self.state is State.CLOSED and not self._failed_at

    def succeeded(self) -> bool:
        """Note that a call was answered; True if that ended an outage."""
        if self.state is State.CLOSED and not self._failed_at:
            return False
        with self._mutex:
            if self.state is State.OPEN:  # a straggler from before: the probe decides
                return False
            recovered = self.state is State.HALF_OPEN
            self.state = State.CLOSED
            if recovered:
                self._failed_at.clear()
        if recovered:
            self._tell("recovered", "the probe was answered")
        return recovered

    def failed(self, why: str = "", at_once: bool = False) -> bool:
        """Note that a call failed; `at_once` opens now. True if that began an outage."""
        now = self._clock.monotonic()
        with self._mutex:
            self._failed_at.append(now)
            full = len(self._failed_at) == self._limit
            within = now - self._failed_at[0] <= self._window_s
            if self.state is State.CLOSED and not (at_once or (full and within)):
                return False
            began = self.state is State.CLOSED
            self.state = State.OPEN
            self._probe_at = now + self._cool_down_s
            self.opened += began
        if began:
            self._tell("outage", why)
        return began

    def open(self, why: str = "") -> bool:
        """Open now; True if that began an outage."""
        return self.failed(why, at_once=True)

    def _tell(self, kind: str, detail: str) -> None:
        if self._events is not None and self._events:
            self._events.emit(Event(kind, self._name, detail=detail))
