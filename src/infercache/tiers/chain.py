"""The tiers, fastest first: read-through with promotion, write-through, demotion, coherence.

Races between whoever fills this process's own tiers (readers that promote, writers) and
invalidations are settled by epochs. A reader notes the epoch before it reads a lower tier, and
promotes only what no invalidation since then matches, and what no write since then replaced.
An invalidation clears the own tiers and
raises the epoch both before and after it clears the shared ones: a reader that saw the old
value below either promotes before the second clearing, which removes it, or finds the epoch
raised and does not promote. Tiers shared between processes settle the same race with leases in
their own index: a lease is taken before anything below is read, and puts and invalidations
reach the lowest tier first, so that who takes a later lease can find nothing old below.

What memory demotes goes out under the position up to which this process has followed the
tier's journal: what another process invalidated or replaced since is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar, cast

from infercache._core import Generation
from infercache.clock import Clock
from infercache.entry import Entry, Found, Freshness
from infercache.errors import StoreError
from infercache.events import Event, Events
from infercache.forks import fork_safe_lock
from infercache.key import Key
from infercache.stores.base import Invalidation
from infercache.tiers.base import Outcome, Tier
from infercache.tiers.coherence import JournalWatch
from infercache.tiers.counts import Counts
from infercache.tiers.demotion import Demotion, OpenChanges
from infercache.tiers.departures import Departures
from infercache.tiers.epochs import Epochs, Replacements
from infercache.tiers.judging import better, judge_age, shorten
from infercache.tiers.outages import Outages

T = TypeVar("T")
Items = Sequence[tuple[Key, Entry]]
Positions = dict[str, int]
_EPOCH = ""  # no tier's name


class Moment(NamedTuple):
    """When something was read: numbers of the last invalidation and of the last own write."""

    epoch: int
    written: int


class Chain:
    """Asks and fills the tiers in order. Thread-safe. Never raises `StoreError`.

    Args:
        tiers: Fastest first.
        ttl_s: For each tier's name the longest time that it keeps an entry.
        clock: Where the time comes from.
        events: Who wants to know.
    """

    def __init__(
        self,
        tiers: Sequence[Tier],
        ttl_s: dict[str, float],
        clock: Clock,
        events: Events,
        departures: Departures | None = None,
    ) -> None:
        self.tiers = tuple(tiers)
        self.outages = Outages(events)
        self.departures = Departures() if departures is None else departures
        self.counts = Counts()
        self._ttl_s = ttl_s
        self._clock = clock
        self._events = events
        self._own = tuple(tier for tier in tiers if not tier.shared)
        self._shared = tuple(tier for tier in tiers if tier.shared)
        self._epochs = Epochs()
        self._replacements = Replacements()
        self._gate = fork_safe_lock()
        self._watches = [
            JournalWatch(tier, self._forget_own)
            for tier in self._shared
            if self._own or tier.queues
        ]
        self._changes = OpenChanges(self._watches)
        self._demotion = Demotion(self.tiers, self._changes, self._guarded, self._put, self.counts)
        self._keep_coherent()

    # -- reading -------------------------------------------------------------------------

    def find_many(
        self,
        keys: Sequence[Key],
        *,
        beta: float = 0.0,
        shared_only: bool = False,
        own_only: bool = False,
    ) -> list[Found | None]:
        """Return what is known of each key, promoting what was found below.

        An expired entry is only returned if no lower tier has a fresh one. Cost: one round
        trip for each tier that is asked; tiers below the last one needed are not asked.
        """
        positions = self.positions() if len(self._shared) > 1 else {}
        self._keep_coherent()  # after the leases: what is queued here is heard of only by this
        since = self._moment()
        found, wanted = cast("list[Found | None]", [None] * len(keys)), list(range(len(keys)))
        for level, tier in enumerate(self.tiers):
            if own_only if tier.shared else shared_only:
                continue
            fresh = self._ask(tier, keys, wanted, found, beta)
            if fresh and level:
                self._promote(level, [(keys[i], found[i]) for i in fresh], since, positions)
            served = set(fresh)
            wanted = [i for i in wanted if i not in served]
            if not wanted:
                break
        return found

    def find(self, key: Key, *, beta: float = 0.0) -> Found | None:
        """Return what is known of one key: `find_many` without the batch."""
        if self._watches:
            self._keep_coherent()
        since = self._moment()
        stale: Found | None = None
        positions: Positions | None = {} if len(self._shared) < 2 else None
        for level, tier in enumerate(self.tiers):
            if positions is None and tier.shared:
                positions = self.positions()
                self._keep_coherent()
            entry = self._get(tier, key)
            if entry is None:
                continue
            if entry.expires_at == math.inf:
                found = Found(entry, Freshness.FRESH, tier.name)
            elif self._clock.now() >= max(entry.stale_until, entry.expires_at):
                continue
            else:
                found = Found(entry, judge_age(entry, self._clock, beta), tier.name)
                if found.freshness is Freshness.STALE:
                    stale = stale or found
                    continue
            if level:
                self._promote(level, [(key, found)], since, positions or {})
            return found
        return stale

    def _get(self, tier: Tier, key: Key) -> Entry | None:
        try:
            entry = tier.get(key)
        except StoreError as error:
            self.outages.failed(tier.name, error)
            return None
        if self.outages.any:
            self.outages.worked(tier.name)
        return entry

    def _ask(
        self,
        tier: Tier,
        keys: Sequence[Key],
        wanted: list[int],
        found: list[Found | None],
        beta: float,
    ) -> list[int]:
        """Fill `found` from one tier, and return which keys it had fresh."""
        entries = self._guarded(tier, partial(tier.get_many, [keys[i] for i in wanted]))
        fresh = []
        for i, entry in zip(wanted, entries or (), strict=False):
            if entry is None or self._clock.now() >= max(entry.stale_until, entry.expires_at):
                continue
            freshness = judge_age(entry, self._clock, beta)
            if freshness is Freshness.STALE and found[i] is not None:
                continue
            found[i] = Found(entry, freshness, tier.name)
            if freshness is not Freshness.STALE:
                fresh.append(i)
        return fresh

    def _promote(
        self,
        level: int,
        found: Sequence[tuple[Key, Found | None]],
        since: Moment,
        positions: Positions,
    ) -> None:
        items = [(key, hit.entry) for key, hit in found if hit is not None]
        epoch, written = since
        for tier in self.tiers[:level]:
            if not tier.shared:
                self._put_own(tier, items, epoch, written)
            elif tier.name in positions or tier.journal is None:
                self._put(tier, items, positions.get(tier.name))
        self.counts.add("promotions", len(items))

    def _moment(self) -> Moment:
        return Moment(self._epochs.now, self._replacements.now)

    def _put_own(
        self, tier: Tier, items: Items, epoch: int, written: int | None = None
    ) -> list[Outcome]:
        """Put what is not void since `epoch`; `written` is given for what was read below."""
        with self._gate:
            void = [self._is_void(key, entry, epoch, written) for key, entry in items]
            valid = [item for item, gone in zip(items, void, strict=True) if not gone]
            outcomes = iter(self._put(tier, valid, None))
            return [Outcome.FENCED if gone else next(outcomes) for gone in void]

    def _is_void(self, key: Key, entry: Entry, epoch: int, written: int | None) -> bool:
        """Decide, under the gate, and note what is about to be written."""
        voided = self._epochs.voided(epoch, key, entry.tags)
        if written is not None:
            return voided or self._replacements.overtaken(written, key.digest)
        if len(self.tiers) > 1:
            self._replacements.note(key.digest)
        if voided:  # not kept here, but written below: an older value promoted meanwhile must go
            for tier in self._own:
                tier.invalidate(Invalidation(digest=key.digest))
        return voided

    # -- writing -------------------------------------------------------------------------

    def positions(self) -> Positions:
        """Return where each shared tier's journal stands: a lease for what is computed next.

        The epoch is part of it, taken first: what this process learns of invalidations from
        now on, and before the value is kept, concerns the value too.
        """
        epoch = self._epochs.now
        taken = {tier.name: self._guarded(tier, tier.position) for tier in self._shared}
        positions = {name: position for name, position in taken.items() if position is not None}
        return {**positions, _EPOCH: epoch}

    def put_many(self, items: Items, positions: Positions | None = None) -> list[Outcome]:
        """Write to every tier, shared ones first; return the best that became of each.

        `FENCED` means that an invalidation forbade it, and that no tier has it.

        A value that a tier could not take (full, out, unstorable) is still kept in the others.
        Shared tiers come first since they may know of an invalidation by another process; what
        they refuse for that reason is not kept here either.
        """
        self._keep_coherent()  # so that what memory demotes is not refused without need
        leased = positions is not None
        positions = positions or {}
        epoch = positions.get(_EPOCH, self._epochs.now)
        with self._changes.change():
            return self._put_into_all(items, positions, epoch, leased)

    def _put_into_all(
        self, items: Items, positions: Positions, epoch: int, leased: bool
    ) -> list[Outcome]:
        best = [Outcome.NO_ROOM] * len(items)
        for tier in reversed(self._shared):
            if leased and tier.name not in positions and tier.journal is not None:
                self._note_all(tier, items, "the tier was out when the computation began")
                continue
            outcomes = self._put(tier, items, positions.get(tier.name))
            best = list(map(better, best, outcomes or best))
        open_ones = [i for i, outcome in enumerate(best) if outcome is not Outcome.FENCED]
        for tier in self._own:
            outcomes = self._put_own(tier, [items[i] for i in open_ones], epoch)
            for i, outcome in zip(open_ones, outcomes, strict=True):
                best[i] = better(best[i], outcome)
        return best

    def _note_all(self, tier: Tier, items: Items, reason: str) -> None:
        for key, _ in items:
            self._note(tier, key.digest, f"not taken: {reason}")

    def put(self, key: Key, entry: Entry) -> Outcome:
        """Write one entry of a user's to every tier: `put_many` without the batch and a lease."""
        if self._watches:
            self._keep_coherent()
        epoch = self._epochs.now
        best = Outcome.NO_ROOM
        with self._changes.change():
            for tier in reversed(self._shared):
                best = better(best, self._put_one(tier, key, entry))
            for tier in self._own:
                with self._gate:
                    if not self._is_void(key, entry, epoch, None):
                        best = better(best, self._put_one(tier, key, entry))
        return best

    def _put_one(self, tier: Tier, key: Key, entry: Entry) -> Outcome | None:
        if self._ttl_s or self._events:
            return next(iter(self._put(tier, [(key, entry)], None)), None)
        try:
            outcome = tier.put(key, entry)
        except StoreError as error:
            self.outages.failed(tier.name, error)
            return None
        if self.outages.any:
            self.outages.worked(tier.name)
        self._note_outcome(tier, key, outcome)
        return outcome

    def _put(self, tier: Tier, items: Items, position: int | None) -> Sequence[Outcome]:
        ttl_s = self._ttl_s.get(tier.name, math.inf)
        if ttl_s != math.inf:
            latest = self._clock.now() + ttl_s
            items = [(key, shorten(entry, latest)) for key, entry in items]
        outcomes = self._guarded(tier, partial(tier.put_many, items, position))
        if outcomes is None:
            return ()
        for (key, entry), outcome in zip(items, outcomes, strict=True):
            self._note_outcome(tier, key, outcome)
            if self._events:
                kind = "put" if outcome is Outcome.KEPT else "rejected"
                self._tell(kind, tier, key, entry, outcome.value)
        return outcomes

    def demote_below(self, level: int) -> Callable[[list[tuple[Key, Entry]]], None]:
        """Return what a tier calls with its victims before it forgets them."""
        return self._demotion.below(level)

    # -- invalidation --------------------------------------------------------------------

    def invalidate(self, what: Invalidation) -> int:
        """Drop all that matches from every tier; return how many entries the fullest tier lost."""
        with self._changes.change():
            most = self._forget_own(what)
            for tier in reversed(self._shared):
                most = max(most, self._guarded(tier, partial(tier.invalidate, what)) or 0)
            self._forget_own(what)
        if what.digest is not None:
            for tier in self.tiers:
                self._note(tier, what.digest, "invalidated")
        if self._events:
            self._events.emit(Event("invalidate", detail=str(what)))
        return most

    def _forget_own(self, what: Invalidation) -> int:
        with self._gate:
            self._epochs.advance(what)
            return max((tier.invalidate(what) for tier in self._own), default=0)

    def _keep_coherent(self) -> None:
        """Apply what other processes replaced or invalidated. One memory read if nothing was."""
        for watch in self._watches:
            try:
                watch.follow()
            except StoreError as error:
                self.outages.failed(watch.tier.name, error)

    # -- outages -------------------------------------------------------------------------

    def _guarded(self, tier: Tier, operation: Callable[[], T]) -> T | None:
        """Run a tier's operation; an outage is None, counted and said once."""
        try:
            answer = operation()
        except StoreError as error:
            self.outages.failed(tier.name, error)
            return None
        self.outages.worked(tier.name)
        return answer

    def _tell(self, kind: str, tier: Tier, key: Key, entry: Entry, detail: str) -> None:
        size, cost_s = entry.size_bytes, entry.cost_s
        self._events.emit(Event(kind, tier.name, key.namespace, key.digest, size, cost_s, detail))

    def _note_outcome(self, tier: Tier, key: Key, outcome: Outcome) -> None:
        if outcome is Outcome.KEPT:
            self.departures.forget(tier.name, key.digest)
        else:
            self._note(tier, key.digest, f"not taken: {outcome.value}")

    def _note(self, tier: Tier, digest: bytes, reason: str) -> None:
        self.departures.note(tier.name, digest, self._clock.now(), reason)

    def gates(self) -> list[Generation | None]:
        """Return the counters that tell native readers whether something changed elsewhere."""
        return [watch.gate for watch in self._watches]

    def check(self) -> list[str]:
        """Recompute every tier's accounts."""
        return [fault for tier in self.tiers for fault in tier.check()]

    def close(self) -> None:
        """Close every tier, the last one too if an earlier one fails."""
        errors: list[BaseException] = []
        for tier in self.tiers:
            try:
                tier.close()
            except StoreError as error:
                errors.append(error)
        if errors:
            raise errors[0]
