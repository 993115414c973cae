"""The guard that a cache asks through: one computation, whoever asks, however often."""

from __future__ import annotations

import asyncio
import contextvars
import random as stdlib_random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from infercache.clock import Clock
from infercache.entry import Found, Freshness
from infercache.events import Event, Events
from infercache.forks import forget_in_child
from infercache.guards.algorithm import Algorithm
from infercache.guards.base import Lookup, Terms
from infercache.guards.effects import run_async, run_sync
from infercache.guards.flight import Work, inside
from infercache.guards.job import Item, Job
from infercache.guards.leases import Matcher
from infercache.guards.machine_lock import MachineLock
from infercache.guards.negative import Failure
from infercache.guards.workers import Workers
from infercache.key import Key

_FRESH = Freshness.FRESH
_CALLS = 4
_MOST_CALLS_WAITING = 100_000

FindLocal = Callable[[Sequence[Key], float], "list[Found | None]"]
Start = Callable[[Job], bool]


class Guard:
    """Serves values from a lookup, and computes each missing one once. Thread-safe.

    Works from threads and from tasks of any number of event loops at once; both share flights.
    Safe to fork: a child starts without its parent's flights, leases, locks and threads.

    Args:
        lookup: The tiers.
        clock: Where the time comes from.
        events: Who wants to know.
        machine_lock: Given if some tier is shared between processes of this machine.
        wait_s: Longest that a caller waits for somebody else's computation before it computes
            for itself; None for as long as it takes.
        blocking: Whether the lookup may block (a disk): async callers then use a thread.
        find_local: Looks into the tiers that never block, for async callers: (keys, beta).
        drop: Deletes keys from the tiers; bounds how long an invalidation waits for a write.
        refresh_threads: Most background refreshes at a time for sync callers.
        random: Where jitter takes its numbers from, in [0, 1).
    """

    def __init__(
        self,
        lookup: Lookup,
        clock: Clock,
        events: Events,
        machine_lock: MachineLock | None = None,
        *,
        wait_s: float | None = None,
        blocking: bool = True,
        find_local: FindLocal | None = None,
        drop: Callable[[list[Key]], object] | None = None,
        refresh_threads: int = 2,
        random: Callable[[], float] = stdlib_random.random,
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._events = events
        self._wait_s = wait_s
        self._find_local = find_local
        self._steps = Algorithm(lookup, clock, events, machine_lock, drop, random)
        self._refreshers = Workers(refresh_threads, "infercache-refresh")
        self._callers = Workers(_CALLS, "infercache-call", _MOST_CALLS_WAITING)
        self._io = self._callers if blocking else None
        self._refreshing: set[bytes] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        forget_in_child(self)

    # -- sync ----------------------------------------------------------------------------

    def get_or_compute(self, key: Key, compute: Callable[[], Any], terms: Terms) -> Any:
        """Return the value of a key, computing it if nobody has.

        Raises:
            Exception: whatever `compute` raised; callers who waited for another caller's
                computation get a copy of their own, caused by the original.
        """
        seen = self._steps.flights.concluded
        found = self._look((key,), terms)
        hit = found[0]
        if hit is not None and hit.freshness is _FRESH:
            value = hit.entry.value
            if type(value) is not Failure:
                return value
        job = self._job([Item(key, None)], compute, terms, single=True)
        run_sync(self._steps.resolve(job, found, seen))
        if job.due:
            self._refresh_due(job, self._start_thread)
        return job.results[key.digest]

    def get_or_compute_many(
        self,
        keys: Sequence[Key],
        rows: Sequence[Any],
        compute_batch: Callable[[list[Any]], Sequence[Any]],
        terms: Terms,
    ) -> list[Any]:
        """Return the value of each key, computing those that nobody has in one batch.

        A key that occurs twice is computed once. `compute_batch` gets the missing rows in the
        caller's order; rows that others are computing are waited for afterwards.

        Raises:
            BatchSizeError: it returned more or fewer results than rows; nothing was kept.
            Exception: whatever it raised.
        """
        seen = self._steps.flights.concluded
        found = self._look(keys, terms)
        values = _all_fresh(found)
        if values is not None:
            return values
        items, found = _unique(keys, rows, found)
        job = self._job(items, compute_batch, terms, single=False)
        run_sync(self._steps.resolve(job, found, seen))
        if job.due:
            self._refresh_due(job, self._start_thread)
        return [job.results[key.digest] for key in keys]

    def refresh(self, key: Key, compute: Callable[[], Any], terms: Terms) -> bool:
        """Compute a key anew in the background; False if that is under way or no thread is free."""
        return self._refresh_due(self._all_due(key, compute, terms), self._start_thread)

    # -- async ---------------------------------------------------------------------------

    async def aget_or_compute(
        self, key: Key, compute: Callable[[], Awaitable[Any] | Any], terms: Terms
    ) -> Any:
        """Return the value of a key as `get_or_compute` does, without blocking the event loop.

        Hits of tiers that never block are answered inline. `compute` may be a coroutine
        function, or a plain one, which then runs in a thread.
        """
        seen = self._steps.flights.concluded
        found = self._look_inline((key,), terms)
        hit = found[0] if found is not None else None
        if hit is not None and hit.freshness is _FRESH:
            value = hit.entry.value
            if type(value) is not Failure:
                return value
        if self._io is not None and not _usable(hit):
            found = None
        job = self._job([Item(key, None)], compute, terms, single=True)
        await run_async(self._steps.resolve(job, found, seen), self._io)
        if job.due:
            self._refresh_due(job, self._start_task)
        return job.results[key.digest]

    async def aget_or_compute_many(
        self,
        keys: Sequence[Key],
        rows: Sequence[Any],
        compute_batch: Callable[[list[Any]], Awaitable[Sequence[Any]] | Sequence[Any]],
        terms: Terms,
    ) -> list[Any]:
        """Return the value of each key as `get_or_compute_many` does, without blocking the loop."""
        seen = self._steps.flights.concluded
        looked = self._look_inline(keys, terms)
        values = None if looked is None else _all_fresh(looked)
        if values is not None:
            return values
        items, hits = _unique(keys, rows, looked or [None] * len(keys))
        found = hits if self._io is None or all(map(_usable, hits)) else None
        job = self._job(items, compute_batch, terms, single=False)
        await run_async(self._steps.resolve(job, found, seen), self._io)
        if job.due:
            self._refresh_due(job, self._start_task)
        return [job.results[key.digest] for key in keys]

    async def arefresh(
        self, key: Key, compute: Callable[[], Awaitable[Any] | Any], terms: Terms
    ) -> bool:
        """Compute a key anew in a task of its own; False if that is under way."""
        return self._refresh_due(self._all_due(key, compute, terms), self._start_task)

    # -- invalidation and life -----------------------------------------------------------

    def is_idle(self) -> bool:
        """Return whether nothing is being computed: `forget` would find nothing."""
        return not len(self._steps.flights) and not len(self._steps.production.leases)

    def forget(self, what: Matcher) -> None:
        """Prepare an invalidation; call it before deleting from the tiers.

        From its return on, nothing that was computed before can enter the tiers, and nobody
        who asks joins a computation from before. Waits for values that are being written now.
        """
        run_sync(self._steps.forget(what))

    async def aforget(self, what: Matcher) -> None:
        """Prepare an invalidation as `forget` does, without blocking the event loop."""
        await run_async(self._steps.forget(what), self._io)

    def counts(self) -> dict[str, int]:
        """Return what happened since the start, and how many flights and leases are open."""
        counts = self._steps.reports.counters.snapshot()
        counts["flights"] = len(self._steps.flights)
        counts["leases"] = len(self._steps.production.leases)
        return counts

    def check(self) -> list[str]:
        """Return a sentence for each account that does not add up while nobody is asking."""
        counts = self.counts()
        lock = self._steps.machine_lock
        faults = [f"{counts[n]} {n} are open" for n in ("flights", "leases") if counts[n]]
        if lock is not None and lock.held():
            faults.append(f"{lock.held()} keys are locked")
        return faults

    def close(self, wait_s: float = 5.0) -> bool:
        """Wait for background refreshes, at most so long; return whether all have ended.

        Those that have not are abandoned: threads end with the process, tasks are cancelled.
        """
        ended = self._refreshers.close(wait_s)
        for task in list(self._tasks):
            ended = False
            loop = task.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)
        self._callers.close()
        lock = self._steps.machine_lock
        if lock is not None and ended:
            lock.close()
        return ended

    def forget_parent(self) -> None:
        """Start anew in a forked child."""
        self._steps.forget_parent()
        self._refreshing = set()
        self._tasks = set()

    # -- parts ---------------------------------------------------------------------------

    def _job(
        self, items: list[Item], compute: Callable[..., Any], terms: Terms, single: bool
    ) -> Job:
        until = None if self._wait_s is None else self._clock.monotonic() + self._wait_s
        return Job(items, compute, single, terms, self._steps.flights.open_work(), until)

    def _look(self, keys: Sequence[Key], terms: Terms) -> list[Found | None]:
        try:
            return self._lookup.find_many(keys, beta=terms.early_refresh)
        except Exception as error:  # noqa: BLE001 - a fault of the tiers is a miss, reported
            self._steps.reports.fault("find_failed", "outage", error)
            return [None] * len(keys)

    def _look_inline(self, keys: Sequence[Key], terms: Terms) -> list[Found | None] | None:
        """Look where it cannot block; None if the lookup may block everywhere."""
        if self._find_local is not None:
            return self._find_local(keys, terms.early_refresh)
        return self._look(keys, terms) if self._io is None else None

    # -- refreshing ----------------------------------------------------------------------

    def _all_due(self, key: Key, compute: Callable[[], Any], terms: Terms) -> Job:
        item = Item(key, None)
        return Job([item], compute, True, terms, Work(None), due=[(item, self._clock.now())])

    def _refresh_due(self, job: Job, start: Start) -> bool:
        """Start one background refresh of all that is due and not being refreshed."""
        may_try = self._steps.production.failures.may_try
        due = [
            (item, made_at)
            for item, made_at in job.due
            if item.key.digest not in self._refreshing and may_try(item.key.digest)
        ]
        if not due:
            return False
        digests = {item.key.digest for item, _ in due}
        self._refreshing |= digests
        items = [Item(item.key, item.row) for item, _ in due]
        refresh = Job(items, job.compute, job.single, job.terms, Work(None), due=due, refresh=True)
        if start(refresh):
            return True
        self._refreshing -= digests
        self._steps.reports.counters.add("refresh_dropped", len(due))
        return False

    def _start_thread(self, job: Job) -> bool:
        context = contextvars.copy_context()
        context.run(inside.set, None)
        run = partial(context.run, self._refresh_sync, job)
        return self._refreshers.submit(run) is not None

    def _start_task(self, job: Job) -> bool:
        context = contextvars.copy_context()
        context.run(inside.set, None)
        task = context.run(asyncio.ensure_future, self._refresh_async(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def _refresh_sync(self, job: Job) -> None:
        try:
            run_sync(self._steps.resolve(job, [None] * len(job.items)))
        except BaseException as error:  # noqa: BLE001 - nobody waits for it: reported
            self._refresh_failed(job, error)
        else:
            self._refreshed(job)
        finally:
            self._refreshing -= {item.key.digest for item in job.items}

    async def _refresh_async(self, job: Job) -> None:
        try:
            await run_async(self._steps.resolve(job, [None] * len(job.items)), self._io)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - nobody waits for it: reported
            self._refresh_failed(job, error)
        else:
            self._refreshed(job)
        finally:
            self._refreshing -= {item.key.digest for item in job.items}

    def _refreshed(self, job: Job) -> None:
        for item in job.items:
            if item.key.digest in job.results:
                self._steps.reports.counters.add("refreshes")
                if self._events:
                    self._events.emit(Event("refresh", "", item.key.namespace, item.key.digest))

    def _refresh_failed(self, job: Job, error: BaseException) -> None:
        for item in job.items:
            self._steps.production.failures.note(item.key.digest)
        self._steps.reports.fault("refresh_failed", "refresh", error)


def _usable(hit: Found | None) -> bool:
    """Whether a slower tier need not be asked for something better."""
    return hit is not None and hit.freshness is not Freshness.STALE


def _all_fresh(found: Sequence[Found | None]) -> list[Any] | None:
    """Return the values if all are there, fresh and no failures."""
    values = []
    for hit in found:
        if hit is None or hit.freshness is not _FRESH or type(hit.entry.value) is Failure:
            return None
        values.append(hit.entry.value)
    return values


def _unique(
    keys: Sequence[Key], rows: Sequence[Any], found: Sequence[Found | None]
) -> tuple[list[Item], list[Found | None]]:
    """Return an item for each key, once, and what was found of it."""
    items: dict[bytes, Item] = {}
    hits = []
    for key, row, hit in zip(keys, rows, found, strict=True):
        if key.digest not in items:
            items[key.digest] = Item(key, row)
            hits.append(hit)
    return list(items.values()), hits
