"""A tier that cannot hold anybody up: a deadline, a breaker, and a memory for what it missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from infercache.entry import Entry
from infercache.errors import (
    ForeignDirectoryError,
    ReadOnlyError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
)
from infercache.forks import fork_safe_lock
from infercache.guards.breaker import Breaker
from infercache.guards.deadline import Deadline, DeadlineError
from infercache.key import Key
from infercache.stores.base import Invalidation, RecordInfo, SharedStore
from infercache.tiers.base import Outcome, Tier, TierStats
from infercache.tiers.memory import MemoryTier
from infercache.tiers.specs import Surroundings, TierSpec
from infercache.units import parse_duration, parse_size

T = TypeVar("T")

_MOST_MISSED = 10_000
_EVERYTHING = Invalidation()
_NOT_AN_OUTAGE = (StoreFullError, ReadOnlyError)


def protect(spec: TierSpec, around: Surroundings) -> Tier:
    """Open a tier behind a breaker, and a deadline if the spec has one.

    This process's own memory cannot hang and is returned as it is. A tier that cannot be
    reached now is opened again later, by the first call after each cool-down.

    Raises:
        ForeignDirectoryError: the directory holds something that infercache did not write.
        SettingError: a setting that cannot be used.
    """
    tier: Tier | None = None
    fault: StoreError | None = None
    try:
        tier = spec.open(around)
    except ForeignDirectoryError:
        raise
    except StoreError as error:
        fault = error
    return tier if isinstance(tier, MemoryTier) else ProtectedTier(spec, around, tier, fault)


class ProtectedTier(Tier):
    """Passes calls on while the tier answers, and refuses them at once while it does not.

    A tier that comes back must not serve what was invalidated or replaced while it was away:
    every invalidation and every put that it missed is remembered (after 10,000 of them: that
    it missed everything) and applied, as invalidations, before it is asked anything else.
    What was missed is remembered by this process only.

    Args:
        spec: What to open again if it could not be opened.
        around: What the tiers have in common.
        tier: The opened tier, or None.
        fault: Why it could not be opened.
    """

    def __init__(
        self,
        spec: TierSpec,
        around: Surroundings,
        tier: Tier | None,
        fault: StoreError | None = None,
    ) -> None:
        self.name = spec.name
        self.inner = tier
        self.shared = True if tier is None else tier.shared
        self.queues = getattr(spec, "write", "through") == "back"
        self.breaker = Breaker(spec.name, around.clock)
        limit_s = spec.deadline_s
        self._deadline = (
            None if limit_s is None else Deadline(parse_duration(limit_s, "deadline_s"), spec.name)
        )
        self._spec = spec
        self._around = around
        self._why = ""
        self._missed: dict[Invalidation, None] = {}
        self._mutex = fork_safe_lock()
        self._missed_lock = fork_safe_lock()
        if fault is not None:
            self._why = str(fault)
            self.breaker.open(self._why)

    @property
    def journal(self) -> SharedStore | None:  # type: ignore[override]
        """The journal of the tier, once it is open."""
        return None if self.inner is None else self.inner.journal

    def get_many(self, keys: Sequence[Key]) -> list[Entry | None]:
        """Return the tier's entries."""
        return self._run(lambda tier: tier.get_many(keys))

    def get(self, key: Key) -> Entry | None:
        """Return one of the tier's entries, at the cost of a look at the breaker."""
        tier = self._quiet_tier()
        if tier is None:
            return self._run(lambda opened: opened.get(key))
        try:
            return tier.get(key)
        except StoreError as error:
            self._note_failure(error)
            raise

    def put(self, key: Key, entry: Entry, lease: int | None = None) -> Outcome:
        """Put one entry, at the cost of a look at the breaker."""
        tier = self._quiet_tier()
        if tier is None:
            return self.put_many([(key, entry)], lease)[0]
        try:
            return tier.put(key, entry, lease)
        except StoreError as error:
            if not isinstance(error, ReadOnlyError):
                self._remember([Invalidation(digest=key.digest)])
                self._note_failure(error)
            raise

    def _quiet_tier(self) -> Tier | None:
        """Return the tier if it may be called directly: no deadline, nothing failed lately."""
        if self._deadline is None and not self._missed and self.breaker.is_quiet():
            return self.inner
        return None

    def _note_failure(self, error: StoreError) -> None:
        if not isinstance(error, _NOT_AN_OUTAGE):
            self._why = str(error)
            self.breaker.failed(self._why)

    def put_many(
        self, items: Sequence[tuple[Key, Entry]], lease: int | None = None
    ) -> list[Outcome]:
        """Put into the tier; what may not have arrived is invalidated when it is back."""
        try:
            return self._run(lambda tier: tier.put_many(items, lease))
        except StoreError as error:
            if not isinstance(error, ReadOnlyError):
                self._remember([Invalidation(digest=key.digest) for key, _ in items])
            raise

    def invalidate(self, what: Invalidation) -> int:
        """Invalidate in the tier, now or as soon as it is back."""
        try:
            return self._run(lambda tier: tier.invalidate(what))
        except StoreError:
            self._remember([what])
            raise

    def overtaken(self, what: Invalidation, position: int) -> None:
        """Pass on what another process voided."""
        if self.inner is not None:
            self.inner.overtaken(what, position)

    def position(self) -> int | None:
        """Return the journal's position."""
        return self._run(lambda tier: tier.position())

    def holds_many(self, keys: Sequence[Key]) -> list[bool]:
        """Return for each key whether the tier holds it."""
        return self._run(lambda tier: tier.holds_many(keys))

    def scan(self) -> Iterator[RecordInfo]:
        """Yield what the tier holds; without a deadline, as it is for people."""
        if self.inner is not None:
            yield from self.inner.scan()

    def resize(self, capacity_bytes: int) -> None:
        """Change the tier's bound."""
        self._run(lambda tier: tier.resize(capacity_bytes))

    def sweep(self) -> int:
        """Remove from the tier what is past its grace; without a deadline, as it is upkeep."""
        return 0 if self.inner is None else self.inner.sweep()

    def stats(self) -> TierStats:
        """Return the tier's counts, and those of the breaker."""
        tier = self.inner
        capacity = parse_size(getattr(self._spec, "capacity", 0))
        stats = TierStats(self.name, capacity) if tier is None else self._count(tier)
        stats.counts["skipped"] = stats.counts.get("skipped", 0) + self.breaker.refused
        stats.counts["outages"] = stats.counts.get("outages", 0) + self.breaker.opened
        return stats

    def _count(self, tier: Tier) -> TierStats:
        try:
            return self._run(lambda _: tier.stats())
        except StoreError:
            return TierStats(self.name, parse_size(getattr(self._spec, "capacity", 0)))

    def check(self) -> list[str]:
        """Recompute the tier's accounts."""
        if self.inner is None:
            return [f"tier {self.name!r} is not open: {self._why}"]
        return self.inner.check()

    def flush(self) -> None:
        """Wait until queued writes are written, where the tier queues them."""
        flush: Callable[[], None] | None = getattr(self.inner, "flush", None)
        if flush is not None:
            flush()

    def close(self) -> None:
        """Close the tier; one that hangs is left to itself."""
        try:
            if self.inner is not None and self.breaker.is_closed():
                self.inner.close()
        finally:
            if self._deadline is not None:
                self._deadline.close()

    # -- the call ------------------------------------------------------------------------

    def _run(self, call: Callable[[Tier], T]) -> T:
        if not self.breaker.allows():
            raise StoreUnavailableError(f"tier {self.name!r} is out: {self._why}")
        work = partial(self._work, call)
        try:
            answer = work() if self._deadline is None else self._deadline.run(work)
        except _NOT_AN_OUTAGE:
            self.breaker.succeeded()
            raise
        except StoreError as error:
            self._why = str(error)
            self.breaker.failed(self._why, at_once=isinstance(error, DeadlineError))
            raise
        except Exception:
            self.breaker.succeeded()  # it answered, if only with a fault of the caller's
            raise
        except BaseException:
            self.breaker.failed("interrupted")
            raise
        self.breaker.succeeded()
        return answer

    def _work(self, call: Callable[[Tier], T]) -> T:
        tier = self.inner
        if tier is None or self._missed:
            tier = self._catch_up()
        return call(tier)

    def _catch_up(self) -> Tier:
        """Open the tier if need be, and apply what it missed."""
        with self._mutex:
            tier = self.inner
            if tier is None:
                tier = self._spec.open(self._around)
                self.shared = tier.shared
                self.inner = tier
            while (what := self._next_missed()) is not None:
                tier.invalidate(what)
                with self._missed_lock:
                    self._missed.pop(what, None)
            return tier

    def _next_missed(self) -> Invalidation | None:
        with self._missed_lock:
            return next(iter(self._missed), None)

    def _remember(self, missed: Sequence[Invalidation]) -> None:
        with self._missed_lock:
            if len(self._missed) + len(missed) > _MOST_MISSED:
                self._missed = {_EVERYTHING: None}
            else:
                self._missed.update(dict.fromkeys(missed))

    def __repr__(self) -> str:
        if self.inner is None:
            return f"{self.name}(out: {self._why})"
        return repr(self.inner)
