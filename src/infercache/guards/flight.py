"""One computation per key in this process, across threads and asyncio tasks."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from infercache.guards.signal import Signal
from infercache.key import Key


class Outcome(enum.IntEnum):
    """How a flight ended."""

    PENDING = 0
    VALUE = 1
    ERROR = 2
    RETRY = 3  # its leader left, or the value is in the tiers: look again


class Role(enum.IntEnum):
    """What a caller who enters does."""

    LEAD = 0
    JOIN = 1
    LATE = 2  # joined after the value was sealed: must look again when the flight has ended


class Work:
    """One caller's running request: what it leads, and whom it waits for.

    Attributes:
        outer: The request inside whose computation this one was made, if any.
        led: The flights that it leads and must conclude.
    """

    __slots__ = ("inner", "led", "outer", "waits_for")

    def __init__(self, outer: Work | None) -> None:
        self.outer = outer
        self.led: list[Flight] = []
        self.inner: set[Work] = set()
        self.waits_for: Flight | None = None


inside: ContextVar[Work | None] = ContextVar("infercache_inside", default=None)
"""The request whose computation the current thread or task is running."""


class Flight(Signal):
    """One computation of one key, and what came of it.

    Attributes:
        refused: The value was not kept because another process invalidated the key meanwhile:
            only the leader, who asked before, may use it.
    """

    __slots__ = ("error", "key", "outcome", "refused", "sealed", "tags", "value", "work")

    def __init__(self, key: Key, tags: Sequence[str], work: Work) -> None:
        super().__init__()
        self.key = key
        self.tags = tags
        self.work = work
        self.outcome = Outcome.PENDING
        self.value: Any = None
        self.error: BaseException | None = None
        self.sealed = False
        self.refused = False


class HasFlight(Protocol):
    """Something that is computed in a flight, or without one."""

    flight: Flight | None


class SingleFlight:
    """Lets one caller compute a key while the others wait for it. Thread-safe, O(1) each.

    A leader that goes away (cancelled, interrupted) concludes its flights with `RETRY`: every
    waiter looks again, one of them leads a new flight, nobody else notices. Asking for a key
    from inside its own computation, directly or around several threads, would wait forever:
    `may_wait` sees the circle, and the caller computes for itself instead.

    Attributes:
        concluded: How many flights have ended: if it has not moved since a caller looked into
            the tiers, nothing has been computed in between that it would have to look for.
    """

    def __init__(self) -> None:
        self.concluded = 0
        self._flights: dict[bytes, Flight] = {}
        # Re-entrant: a collected coroutine may conclude its flight at any allocation.
        self._mutex = threading.RLock()

    def __len__(self) -> int:
        return len(self._flights)

    def enter(self, key: Key, tags: Sequence[str], work: Work) -> tuple[Role, Flight]:
        """Join the flight of this key, or lead a new one."""
        digest = key.digest
        with self._mutex:
            flight = self._flights.get(digest)
            if flight is not None:
                return (Role.LATE if flight.sealed else Role.JOIN), flight
            flight = Flight(key, tags, work)
            work.led.append(flight)
            self._flights[digest] = flight
            return Role.LEAD, flight

    def lead(self, key: Key, tags: Sequence[str], work: Work) -> Flight | None:
        """Lead a new flight, or return None if there is one already."""
        role, flight = self.enter(key, tags, work)
        return flight if role is Role.LEAD else None

    def seal(self, led: Iterable[HasFlight]) -> None:
        """From now on nobody new may use the value of these flights.

        Called before the value is kept: an invalidation by another process is noticed up to
        that moment, and whoever asks later must see one that came after it.
        """
        with self._mutex:
            for item in led:
                if item.flight is not None:
                    item.flight.sealed = True

    def conclude(
        self,
        flight: Flight,
        outcome: Outcome,
        value: Any = None,
        error: BaseException | None = None,
        refused: bool = False,
    ) -> None:
        """End a flight and wake everyone who waits; ending it again is ignored."""
        with self._mutex:
            if flight.outcome is not Outcome.PENDING:
                return
            flight.value, flight.error, flight.refused = value, error, refused
            flight.outcome = outcome
            self.concluded += 1
            if self._flights.get(flight.key.digest) is flight:
                del self._flights[flight.key.digest]
        flight.fire()

    def detach(self, matches: Callable[[Key, Sequence[str]], bool]) -> int:
        """Let callers from now on start anew for matching keys; return how many flights.

        Those who joined before keep their flight: they asked before the invalidation.
        """
        with self._mutex:
            gone = [f for f in self._flights.values() if matches(f.key, f.tags)]
            for flight in gone:
                del self._flights[flight.key.digest]
        return len(gone)

    def open_work(self) -> Work:
        """Return a new request, known to the computation that it is made from, if any."""
        outer = inside.get()
        work = Work(outer)
        if outer is not None:
            with self._mutex:
                outer.inner.add(work)
        return work

    def close_work(self, work: Work) -> int:
        """End a request: what it still leads goes over to those who wait; return how many."""
        left = [flight for flight in work.led if flight.outcome is Outcome.PENDING]
        for flight in left:
            self.conclude(flight, Outcome.RETRY)
        if work.outer is not None:
            with self._mutex:
                work.outer.inner.discard(work)
        return len(left)

    def may_wait(self, work: Work, flight: Flight) -> bool:
        """Note that a request waits for a flight; False if that would be a circle."""
        with self._mutex:
            if work.outer is not None and self._circular(work, flight):
                return False
            work.waits_for = flight
            return True

    def _circular(self, work: Work, flight: Flight) -> bool:
        mine: set[Work] = set()
        up: Work | None = work
        while up is not None:
            mine.add(up)
            up = up.outer
        seen: set[Work] = set()
        stack = [flight.work]
        while stack:
            node = stack.pop()
            if node in mine:
                return True
            if node in seen:
                continue
            seen.add(node)
            stack.extend(node.inner)
            waited = node.waits_for
            if waited is not None and waited.outcome is Outcome.PENDING:
                stack.append(waited.work)
        return False

    def forget_parent(self) -> None:
        """Drop the flights of the parent process: nobody here will ever conclude them."""
        self._mutex = threading.RLock()
        self._flights = {}
        inside.set(None)
