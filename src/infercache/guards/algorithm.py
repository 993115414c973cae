"""The algorithm of a guarded lookup, without a thread, a task or a clock of its own.

`Algorithm.resolve` is a generator over `effects`: the sync and the async driver run the same
steps, and tests run many of them in every order. What a request does, for all its keys:

1. Look into the tiers. Fresh: served. Due or stale within its grace: served, and refreshed in
   the background. Otherwise missing.
2. Missing: lead the key's flight, or join it. Ours are computed first, in one batch; only
   then do we wait for others, holding nothing: no circle of waiting can form.
3. Leading: take the key's lock on this machine (polling; whoever holds it publishes to a tier
   that we share), look again since another may have been faster, take the lease, compute,
   keep, publish, release.
4. Joined: take the value, raise an own copy of the error, or look again.

A computation is never lost to a fault of the tiers, and never delayed by its neighbours for
longer than `wait_s`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from infercache.clock import Clock
from infercache.entry import Entry, Found, Freshness
from infercache.events import Events
from infercache.guards.base import Lookup, Terms
from infercache.guards.effects import Call, Sleep, Steps, Wait
from infercache.guards.flight import Flight, Outcome, Role, SingleFlight
from infercache.guards.job import Item, Job
from infercache.guards.leases import Matcher
from infercache.guards.machine_lock import MachineLock
from infercache.guards.negative import Failure, copy_error
from infercache.guards.production import Production
from infercache.guards.reports import Reports
from infercache.key import Key

_POLL_FIRST_S = 0.001
_POLL_LAST_S = 0.025
# The kernel walks all locks of a file for each new one: above this, one computation per process.
_MOST_LOCKS = 4096

_SETTLE_S = 10.0


class Algorithm:
    """Yields what has to be done to serve a request. Thread-safe: the state is in its parts."""

    def __init__(
        self,
        lookup: Lookup,
        clock: Clock,
        events: Events,
        machine_lock: MachineLock | None,
        drop: Callable[[list[Key]], object] | None,
        random: Callable[[], float],
    ) -> None:
        self.lookup = lookup
        self.clock = clock
        self.machine_lock = machine_lock
        self.flights = SingleFlight()
        self.reports = Reports(events)
        self.production = Production(
            lookup, clock, self.flights, self.reports, machine_lock is None, drop, random
        )
        self._bounded = drop is not None

    def forget(self, what: Matcher) -> Steps:
        """Detach the flights and void the leases of all that matches, before it is deleted.

        Returns when nothing computed before can be written any more. With `drop` that wait is
        bounded, as a value that is written later is taken back by its writer.
        """
        self.flights.detach(what.matches)
        for lease in self.production.leases.void(what):
            if lease.writer != threading.get_ident():
                yield Wait(lease, _SETTLE_S if self._bounded else None)

    # -- a request -----------------------------------------------------------------------

    def resolve(self, job: Job, found: list[Found | None] | None = None, seen: int = -1) -> Steps:
        """Fill `job.results`.

        Args:
            job: The request.
            found: What the caller saw in the tiers already, if it looked.
            seen: `flights.concluded` from before that look.
        """
        locked: set[bytes] = set()
        items: Sequence[Item] = job.items
        try:
            while items:
                if found is None:
                    seen = self.flights.concluded
                    found = yield from self._find(items, job.terms.early_refresh)
                items = self._sort_out(job, items, found)
                found = None
                if items:
                    items = yield from self._obtain(job, items, locked, seen)
        finally:
            self._release(locked, list(locked))
            left = self.flights.close_work(job.work)
            if left and not job.refresh:
                self.reports.counters.add("handed_over", left)

    def _find(self, items: Sequence[Item], beta: float, shared_only: bool = False) -> Steps:
        keys = [item.key for item in items]
        find = partial(self.lookup.find_many, keys, beta=beta, shared_only=shared_only)
        try:
            return (yield Call("find", find))
        except Exception as error:  # noqa: BLE001 - a fault of the tiers is a miss, reported
            self.reports.fault("find_failed", "outage", error)
            return [None] * len(keys)

    def _sort_out(
        self, job: Job, items: Sequence[Item], found: Sequence[Found | None]
    ) -> list[Item]:
        """Serve what was found, note what is due, and return what is missing."""
        missing = []
        for item, hit in zip(items, found, strict=True):
            if hit is None or not self._serve(job, item, hit):
                missing.append(item)
        return missing

    def _serve(self, job: Job, item: Item, hit: Found) -> bool:
        entry, digest = hit.entry, item.key.digest
        if hit.freshness is Freshness.STALE:
            if job.refresh or not self._may_serve_stale(job.terms, digest, entry):
                return False
            safe = digest in self.production.failures
            self.reports.counters.add("fail_safe_served" if safe else "stale_served")
            detail = "its last computation raised" if safe else ""
            self.reports.tell("stale_served", item.key, entry.cost_s, detail)
        value = entry.value
        if type(value) is Failure:
            error = value.rebuild(job.terms.keep_exceptions)
            if error is None:
                return False
            raise error
        if hit.freshness is not Freshness.FRESH:
            job.due.append((item, entry.created_at))
        job.results[digest] = value
        return True

    def _may_serve_stale(self, terms: Terms, digest: bytes, entry: Entry) -> bool:
        """Whether an expired value may stand in while a refresh runs.

        Once a refresh has raised it may only with `fail_safe`: otherwise the next caller
        computes in the foreground and gets the error.
        """
        age_s = self.clock.now() - entry.expires_at
        return 0 < terms.stale_s >= age_s and (
            terms.fail_safe or digest not in self.production.failures
        )

    # -- flights -------------------------------------------------------------------------

    def _obtain(self, job: Job, items: Sequence[Item], locked: set[bytes], seen: int) -> Steps:
        """Compute what nobody computes, wait for the rest; return what must be looked up again."""
        led, joined = self._enter(job, items)
        look_again = self.flights.concluded != seen
        yield from self._lead(job, led, locked, look_again)
        return (yield from self._join(job, joined))

    def _enter(self, job: Job, items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
        led: list[Item] = []
        joined: list[Item] = []
        for item in items:
            role, item.flight = self.flights.enter(item.key, job.terms.tags, job.work)
            item.late = role is Role.LATE
            (led if role is Role.LEAD else joined).append(item)
        if job.refresh:
            return led, []
        return led, joined

    def _join(self, job: Job, joined: Sequence[Item]) -> Steps:
        again: list[Item] = []
        alone: list[Item] = []
        for item in joined:
            flight = item.flight
            assert flight is not None
            self.reports.counters.add("joined")
            if not self.flights.may_wait(job.work, flight):
                self.reports.counters.add("circular")
                alone.append(item)
                continue
            done = yield from self._await(job, flight)
            if not done:
                self.reports.counters.add("timeouts")
                alone.append(item)
            elif not self._share(job, item, flight):
                again.append(item)
        if alone:
            for item in alone:
                item.flight = None
            yield from self.production.produce(job, alone)
        return again

    def _await(self, job: Job, flight: Flight) -> Steps:
        try:
            if not flight.fired:
                yield Wait(flight, self._patience(job))
        finally:
            job.work.waits_for = None
        return flight.fired

    def _share(self, job: Job, item: Item, flight: Flight) -> bool:
        """Take what came of somebody else's flight; False if it must be looked up again."""
        if flight.outcome is Outcome.ERROR:
            assert flight.error is not None
            raise copy_error(flight.error)
        if flight.outcome is Outcome.RETRY or item.late or flight.refused:
            return False
        job.results[item.key.digest] = flight.value
        return True

    def _patience(self, job: Job) -> float | None:
        if job.wait_until is None:
            return None
        return max(0.0, job.wait_until - self.clock.monotonic())

    # -- the machine's lock --------------------------------------------------------------

    def _lead(self, job: Job, items: Sequence[Item], locked: set[bytes], look_again: bool) -> Steps:
        """Compute what we lead; what another process computes is polled for afterwards."""
        if self.machine_lock is None or len(items) > _MOST_LOCKS:
            if look_again:
                items = yield from self._look_again(job, items, shared_only=False)
            if items:
                yield from self.production.produce(job, items)
            return
        pause_s = _POLL_FIRST_S
        while items:
            mine, busy = self._acquire(items, locked)
            if busy and (job.refresh or self._patience(job) == 0):
                mine, busy = mine + ([] if job.refresh else busy), []
            if mine:
                pause_s = _POLL_FIRST_S
                left = yield from self._look_again(job, mine, shared_only=not look_again)
                if left:
                    yield from self.production.produce(job, left)
                self._release(locked, [item.key.digest for item in mine])
            if busy:
                self.reports.counters.add("lock_waits")
                yield Sleep(pause_s)
                pause_s = min(2 * pause_s, _POLL_LAST_S)
            items = busy

    def _acquire(self, items: Sequence[Item], locked: set[bytes]) -> tuple[list[Item], list[Item]]:
        assert self.machine_lock is not None
        mine, busy = [], []
        for item in items:
            if self.machine_lock.try_acquire(item.key.digest):
                locked.add(item.key.digest)
                mine.append(item)
            else:
                busy.append(item)
        return mine, busy

    def _release(self, locked: set[bytes], digests: Sequence[bytes]) -> None:
        for digest in digests:
            if digest in locked:
                assert self.machine_lock is not None
                locked.discard(digest)
                self.machine_lock.release(digest)

    def _look_again(self, job: Job, items: Sequence[Item], shared_only: bool) -> Steps:
        """Serve what somebody else has computed since we looked; return what is still missing.

        Our joiners are sent to look for themselves: a value that we merely found may have
        been invalidated before one of them asked.
        """
        found = yield from self._find(items, 0.0, shared_only)
        if job.refresh:
            made = {item.key.digest: at for item, at in job.due}
            found = [
                hit if hit and hit.entry.created_at > made[item.key.digest] else None
                for item, hit in zip(items, found, strict=True)
            ]
        missing = self._sort_out(job, items, found)
        for item in items:
            if item.key.digest in job.results and item.flight is not None:
                self.flights.conclude(item.flight, Outcome.RETRY)
        return missing

    def forget_parent(self) -> None:
        """Drop what a forked child inherited: flights and leases of threads that it lacks."""
        self.flights.forget_parent()
        self.production.leases.forget_parent()
        self.reports.counters.forget_parent()
