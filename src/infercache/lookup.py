"""What the guards wrap: the chain of tiers, with leases around what is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infercache.entry import Entry, Found
from infercache.guards.leases import Leases, LocalLease
from infercache.key import Key
from infercache.stats import NamespaceCounts
from infercache.stores.base import Invalidation
from infercache.tiers.chain import Chain, Positions


@dataclass(frozen=True, slots=True)
class ComputationLease:
    """Permission to keep what is computed: voided here by `local`, elsewhere by `positions`."""

    local: LocalLease
    positions: Positions


class TieredLookup:
    """`guards.base.Lookup` over a chain of tiers. Thread-safe."""

    def __init__(self, chain: Chain, leases: Leases, counts: NamespaceCounts) -> None:
        self._chain = chain
        self._leases = leases
        self._counts = counts

    def find_many(
        self, keys: Sequence[Key], *, beta: float, shared_only: bool = False
    ) -> list[Found | None]:
        """Return what is known of each key."""
        return self._chain.find_many(keys, beta=beta, shared_only=shared_only)

    def lease(self, keys: Sequence[Key], tags: Sequence[str]) -> ComputationLease:
        """Return a lease; the local one first, so that no invalidation falls between."""
        return ComputationLease(self._leases.take(keys, tags), self._chain.positions())

    def keep_many(self, items: Sequence[tuple[Key, Entry]], lease: ComputationLease) -> list[bool]:
        """Keep what was computed; False for each whose lease was voided. Ends the lease."""
        return self._leases.settle(
            lease.local,
            lambda valid: self._chain.put_many([items[i] for i in valid], lease.positions),
            self._take_back,
        )

    def _take_back(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self._chain.invalidate(Invalidation(digest=key.digest))

    def abandon(self, lease: ComputationLease) -> None:
        """End a lease without keeping anything."""
        self._leases.end(lease.local)
