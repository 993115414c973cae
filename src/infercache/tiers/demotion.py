"""Hands what leaves a tier to the tier below, before it is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from infercache.entry import Entry
from infercache.key import Key
from infercache.tiers.base import Tier
from infercache.tiers.coherence import JournalWatch
from infercache.tiers.counts import Counts

Victims = list[tuple[Key, Entry]]


class OpenChanges:
    """The puts and invalidations of this process that have not reached all of its tiers yet.

    While one is under way, this process's memory may hold what a shared tier has just dropped,
    although the journal was followed up to there: one's own lines are not applied when they are
    followed. What memory held when the change began is as old as the journal was then, so
    that is the lease under which memory may be demoted. Thread-safe.
    """

    def __init__(self, watches: Sequence[JournalWatch]) -> None:
        self._watches = watches
        self._open: dict[object, dict[int, int]] = {}

    @contextmanager
    def change(self) -> Iterator[None]:
        """Surround a change of all tiers."""
        token = object()
        self._open[token] = {id(watch): watch.position for watch in self._watches}
        try:
            yield
        finally:
            del self._open[token]

    def lease(self, tier: Tier) -> int | None:
        """Return how far back memory may be behind a tier's journal; None if it is not followed."""
        for watch in self._watches:
            if watch.tier is tier:
                # Read in this order: a change that ends in between was seen by one of the two.
                followed = watch.position
                begun = [positions[id(watch)] for positions in list(self._open.values())]
                return min([followed, *begun])
        return None


class Demotion:
    """Puts victims into the next lower tier that answers, unless it holds them already."""

    def __init__(
        self,
        tiers: Sequence[Tier],
        changes: OpenChanges,
        ask: Callable[[Tier, Callable[[], Any]], Any],
        put: Callable[[Tier, Victims, int | None], object],
        counts: Counts,
    ) -> None:
        self._tiers = tiers
        self._changes = changes
        self._ask = ask
        self._put = put
        self._counts = counts

    def below(self, level: int) -> Callable[[Victims], None]:
        """Return what the tier of a level calls with its victims before it forgets them."""

        def demote(victims: Victims) -> None:
            if not any(self._demote_to(tier, victims) for tier in self._tiers[level + 1 :]):
                self._counts.add("dropped", len(victims))

        return demote

    def _demote_to(self, tier: Tier, victims: Victims) -> bool:
        """Put what the tier lacks, and what nobody has voided since memory was surely valid."""
        lease = self._changes.lease(tier)
        if tier.journal is not None and lease is None:
            return False
        held = self._ask(tier, partial(tier.holds_many, [key for key, _ in victims]))
        if held is None:
            return False
        missing = [item for item, known in zip(victims, held, strict=True) if not known]
        if missing:
            self._put(tier, missing, lease if tier.journal is not None else None)
            self._counts.add("demotions", len(missing))
        return True
