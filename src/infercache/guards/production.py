"""From missing to kept: lease, compute, write, publish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Any

from infercache.clock import Clock
from infercache.entry import Entry
from infercache.guards.base import Lease, Lookup, Terms
from infercache.guards.batches import split_batch
from infercache.guards.effects import Call, Compute, Steps
from infercache.guards.failures import Failures
from infercache.guards.flight import Outcome, SingleFlight
from infercache.guards.job import Item, Job
from infercache.guards.leases import Leases, LocalLease
from infercache.guards.negative import Failure
from infercache.guards.reports import Reports
from infercache.key import Key


@dataclass(slots=True)
class Permit:
    """The leases of one computation: this process's, and the tiers' own."""

    local: LocalLease
    outer: Lease | None = None
    spent: bool = False


class Production:
    """Computes, keeps and publishes. Thread-safe: the state is in the leases and flights.

    Args:
        lookup: The tiers.
        clock: Where the time comes from.
        flights: Where values are published.
        reports: Whom to tell.
        alone: Whether no other process can invalidate what is in the tiers.
        drop: Deletes keys from the tiers, if given.
        random: Where jitter takes its numbers from.
    """

    def __init__(
        self,
        lookup: Lookup,
        clock: Clock,
        flights: SingleFlight,
        reports: Reports,
        alone: bool,
        drop: Callable[[list[Key]], object] | None,
        random: Callable[[], float],
    ) -> None:
        self.leases = Leases()
        self.failures = Failures(clock)
        self._lookup = lookup
        self._clock = clock
        self._flights = flights
        self._reports = reports
        self._alone = alone
        self._drop = drop
        self._random = random

    def produce(self, job: Job, items: Sequence[Item]) -> Steps:
        """Compute, keep and publish these items, in one batch."""
        keys = [item.key for item in items]
        permit = Permit(self.leases.take(keys, job.terms.tags))
        try:
            permit.outer = yield from self._lease(job, keys)
            started = self._clock.monotonic()
            self._reports.counters.add("computations", len(items))
            try:
                values = yield Compute(partial(job.run, items), job.work, job.compute)
                values = [values] if job.single else split_batch(values, len(items))
                keep_if = job.terms.keep_if
                wanted = keep_if and [bool(keep_if(value)) for value in values]
            except Exception as error:  # noqa: BLE001 - raised again
                yield from self._give_up(job, items, error, permit)
                return
            cost_s = (self._clock.monotonic() - started) / len(items)
            entries = [self._entry(job.terms, value, cost_s) for value in values]
            kept = yield from self._keep(items, entries, permit, wanted)
            self._publish(job, items, entries, kept, permit)
        finally:
            self._end(permit)

    def _lease(self, job: Job, keys: Sequence[Key]) -> Steps:
        take = partial(self._lookup.lease, keys, job.terms.tags)
        try:
            return (yield Call("lease", take, must_finish=True))
        except Exception as error:  # noqa: BLE001 - computed all the same, but not kept
            self._reports.fault("keep_failed", "outage", error)
            return None

    def _end(self, permit: Permit) -> None:
        """End the leases, unless they were handed over to the writing of the values."""
        if not permit.spent:
            permit.spent = True
            self.leases.end(permit.local)
            if permit.outer is not None:
                self._lookup.abandon(permit.outer)

    def _entry(self, terms: Terms, value: Any, cost_s: float) -> Entry:
        now, ttl_s = self._clock.now(), terms.ttl_s
        if terms.negative_ttl_s is not None and (value is None or type(value) is Failure):
            ttl_s = terms.negative_ttl_s
        if terms.jitter:
            ttl_s *= 1.0 - terms.jitter * self._random()
        return Entry(value, 0, cost_s, 0, now, now + ttl_s, now + ttl_s + terms.stale_s, terms.tags)

    def _keep(
        self,
        items: Sequence[Item],
        entries: Sequence[Entry],
        permit: Permit,
        wanted: Sequence[bool] | None = None,
    ) -> Steps:
        """Write the values; return for each key True, False (refused) or None (not written)."""
        outer = permit.outer
        if outer is None or (wanted is not None and not any(wanted)):
            return [None] * len(items)
        self._flights.seal(items if wanted is None else list(compress(items, wanted)))

        def write(valid: list[int]) -> list[bool]:
            chosen = valid if wanted is None else [i for i in valid if wanted[i]]
            if not chosen:
                self._lookup.abandon(outer)
                return [False] * len(valid)
            kept = self._lookup.keep_many([(items[i].key, entries[i]) for i in chosen], outer)
            if chosen is valid:
                return kept
            outcome = dict(zip(chosen, kept, strict=True))
            return [outcome.get(i, False) for i in valid]

        permit.spent = True
        settle = partial(self.leases.settle, permit.local, write, self._drop)
        try:
            kept = yield Call("keep", settle, must_finish=True)
            if wanted is None:
                return kept
            return [ok if want else None for ok, want in zip(kept, wanted, strict=True)]
        except Exception as error:  # noqa: BLE001 - the caller gets the value all the same
            self._reports.fault("keep_failed", "lost", error)
            return [None] * len(items)

    def _publish(
        self,
        job: Job,
        items: Sequence[Item],
        entries: Sequence[Entry],
        kept: Sequence[bool | None],
        permit: Permit,
    ) -> None:
        """Hand the values out.

        Who joined before an invalidation of this process may have the value, as the flight
        was detached by it. An invalidation by another process detaches nothing: where there
        may be one, those who joined look again.
        """
        for position, (item, entry, was_kept) in enumerate(zip(items, entries, kept, strict=True)):
            void = position in permit.local.void
            refused = was_kept is False and not (void and self._alone)
            if void or refused:
                self._reports.counters.add("voided")
            job.results[item.key.digest] = entry.value
            self.failures.forget(item.key.digest)
            if item.flight is not None:
                self._flights.conclude(item.flight, Outcome.VALUE, entry.value, refused=refused)

    def _give_up(self, job: Job, items: Sequence[Item], error: Exception, permit: Permit) -> Steps:
        """The computation raised: keep that if asked, tell the others, raise."""
        if len(items) == 1 and isinstance(error, job.terms.keep_exceptions):
            entry = self._entry(job.terms, Failure.of(error), 0.0)
            yield from self._keep(items, [entry], permit)
        for item in items:
            if item.flight is not None:
                self._flights.conclude(item.flight, Outcome.ERROR, error=error)
        raise error
