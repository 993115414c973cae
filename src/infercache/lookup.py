"""What the guards wrap: the chain of tiers, counted by namespace."""

from __future__ import annotations

from collections.abc import Sequence

from infercache.entry import Entry, Found, Freshness
from infercache.key import Key
from infercache.stats import NamespaceCounts
from infercache.stores.base import Invalidation
from infercache.tiers.base import Outcome
from infercache.tiers.chain import Chain, Positions


class TieredLookup:
    """`guards.base.Lookup` over a chain of tiers. Thread-safe.

    A lease is where each shared tier's journal stood; the guard adds its own, local one.
    """

    def __init__(self, chain: Chain, counts: NamespaceCounts) -> None:
        self._chain = chain
        self._counts = counts

    def find_many(
        self, keys: Sequence[Key], *, beta: float, shared_only: bool = False
    ) -> list[Found | None]:
        """Return what is known of each key."""
        if len(keys) == 1 and not shared_only:
            found = [self._chain.find(keys[0], beta=beta)]
        else:
            found = self._chain.find_many(keys, beta=beta, shared_only=shared_only)
        self._count_hits(keys, found)
        return found

    def find_local(self, keys: Sequence[Key], beta: float) -> list[Found | None]:
        """Return what this process's own tiers know: never blocks."""
        found = self._chain.find_many(keys, beta=beta, own_only=True)
        self._count_hits(keys, found)
        return found

    def _count_hits(self, keys: Sequence[Key], found: Sequence[Found | None]) -> None:
        for key, hit in zip(keys, found, strict=True):
            if hit is not None and hit.freshness is not Freshness.STALE:
                self._counts.of(key.namespace).hit(hit.entry.cost_s)

    def lease(self, keys: Sequence[Key], tags: Sequence[str]) -> Positions:
        """Return where the shared tiers' journals stand."""
        return self._chain.positions()

    def keep_many(self, items: Sequence[tuple[Key, Entry]], lease: Positions) -> list[bool]:
        """Keep what was computed; False where another process invalidated it meanwhile."""
        for key, entry in items:
            self._counts.of(key.namespace).compute(entry.cost_s)
        outcomes = self._chain.put_many(items, lease)
        return [outcome is not Outcome.FENCED for outcome in outcomes]

    def abandon(self, lease: Positions) -> None:
        """End a lease; nothing is held for it."""

    def drop(self, keys: list[Key]) -> None:
        """Delete keys from every tier."""
        for key in keys:
            self._chain.invalidate(Invalidation(digest=key.digest))
