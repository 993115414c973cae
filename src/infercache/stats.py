"""What a cache did and saved, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from infercache.tiers.base import TierStats
from infercache.tiers.counts import Tally
from infercache.units import format_duration, format_size


@dataclass(slots=True)
class NamespaceStats:
    """Counts of one namespace in this process since the cache was opened.

    Attributes:
        hits: Look-ups answered with a kept value.
        misses: Look-ups that found nothing.
        computed: Values computed.
        compute_s: Seconds spent computing them.
        saved_s: Seconds that the kept values had taken to compute, once for each hit.
    """

    hits: int = 0
    misses: int = 0
    computed: int = 0
    compute_s: float = 0.0
    saved_s: float = 0.0

    @property
    def hit_ratio(self) -> float:
        """Hits among all look-ups; 0.0 before the first."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else 0.0


@dataclass(slots=True)
class Stats:
    """A snapshot of a cache.

    Attributes:
        tiers: Each tier's own counts and sizes, fastest first.
        namespaces: Counts of each namespace.
        guards: Counts of the guards: computations, joined, handed_over, refreshes, stale_served
            and the others of `guards.counters.NAMES`.
        outages: For each tier the number of operations that failed.
        promotions: Entries copied to a faster tier.
        demotions: Entries handed to a slower tier before they were evicted.
    """

    tiers: list[TierStats]
    namespaces: dict[str, NamespaceStats]
    guards: dict[str, int] = field(default_factory=dict)
    outages: dict[str, int] = field(default_factory=dict)
    promotions: int = 0
    demotions: int = 0

    @property
    def hits(self) -> int:
        """Hits over all namespaces."""
        return sum(one.hits for one in self.namespaces.values())

    @property
    def misses(self) -> int:
        """Misses over all namespaces."""
        return sum(one.misses for one in self.namespaces.values())

    @property
    def hit_ratio(self) -> float:
        """Hits among all look-ups; 0.0 before the first."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else 0.0

    @property
    def seconds_saved(self) -> float:
        """Seconds of computation that hits made unnecessary."""
        return sum(one.saved_s for one in self.namespaces.values())

    @property
    def overhead_s(self) -> float:
        """Seconds spent in the byte tiers' own operations."""
        return sum(tier.seconds for tier in self.tiers)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        return asdict(self) | {
            "hits": self.hits,
            "misses": self.misses,
            "hit_ratio": self.hit_ratio,
            "seconds_saved": self.seconds_saved,
        }

    def __str__(self) -> str:
        lines = [
            f"{self.hits} hits, {self.misses} misses ({self.hit_ratio:.1%}), "
            f"{format_duration(self.seconds_saved)} of computation saved"
        ]
        for tier in self.tiers:
            share = tier.size_bytes / tier.capacity_bytes if tier.capacity_bytes else 0.0
            lines.append(
                f"  {tier.name}: {tier.entries} entries, {format_size(tier.size_bytes)} of "
                f"{format_size(tier.capacity_bytes)} ({share:.0%}), "
                + ", ".join(f"{number} {name}" for name, number in sorted(tier.counts.items()))
            )
        for name, one in sorted(self.namespaces.items()):
            lines.append(
                f"  namespace {name!r}: {one.hits} hits, {one.misses} misses, "
                f"{one.computed} computed in {format_duration(one.compute_s)}"
            )
        return "\n".join(lines)


class NamespaceTally:
    """What one namespace counts, on hot paths. Thread-safe."""

    __slots__ = ("compute_s", "computed", "hits", "misses", "saved_s")

    def __init__(self) -> None:
        self.hits = Tally()
        self.misses = Tally()
        self.computed = Tally()
        self.compute_s = Tally()
        self.saved_s = Tally()

    def hit(self, cost_s: float) -> None:
        """Count a hit on a value that took so long to compute."""
        self.hits.add(1)
        if cost_s:
            self.saved_s.add(cost_s)

    def compute(self, cost_s: float) -> None:
        """Count a value that was missing and was computed."""
        self.misses.add(1)
        self.computed.add(1)
        self.compute_s.add(cost_s)

    def snapshot(self) -> NamespaceStats:
        """Return the counts now."""
        return NamespaceStats(
            int(self.hits.total()),
            int(self.misses.total()),
            int(self.computed.total()),
            self.compute_s.total(),
            self.saved_s.total(),
        )


class NamespaceCounts:
    """The tallies of all namespaces. Thread-safe."""

    def __init__(self) -> None:
        self._tallies: dict[str, NamespaceTally] = {}

    def of(self, namespace: str) -> NamespaceTally:
        """Return the tally of a namespace: one for as long as the cache is open."""
        tally = self._tallies.get(namespace)
        if tally is None:
            tally = self._tallies.setdefault(namespace, NamespaceTally())
        return tally

    def snapshot(self) -> dict[str, NamespaceStats]:
        """Return a copy of all counts."""
        return {name: tally.snapshot() for name, tally in list(self._tallies.items())}
