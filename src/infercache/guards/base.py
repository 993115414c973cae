"""What guards wrap, and the terms under which a computed value is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from infercache.entry import NEVER, Entry, Found, Freshness
from infercache.errors import SettingError
from infercache.key import Key

__all__ = ["Found", "Freshness", "Lease", "Lookup", "Terms"]


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which terms values are computed, kept and served.

    Attributes:
        ttl_s: Seconds for which a value is fresh.
        jitter: Fraction of `ttl_s` by which each entry's own time to live is shortened at
            random, so that values written together do not expire together.
        stale_s: Seconds after expiry during which the old value may be served while a refresh
            runs, or (with `fail_safe`) after a computation that raised.
        early_refresh: XFetch's beta; 0 turns early refresh off. Source: Vattani, Chierichetti,
            Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
        negative_ttl_s: If given, a computed None is kept for so long ("there is nothing").
            If not given, None is kept like any other value.
        keep_exceptions: Exceptions of these types are kept for `negative_ttl_s` and raised
            again; all others are never kept.
        fail_safe: Serve the expired value, within `stale_s`, when the computation raises.
        tags: Names under which the values can be invalidated.
        keep_if: If given, only values for which it returns True are kept; the others are
            handed to the caller and to everybody who waited, and computed again next time.
    """

    ttl_s: float = NEVER
    jitter: float = 0.0
    stale_s: float = 0.0
    early_refresh: float = 1.0
    negative_ttl_s: float | None = None
    keep_exceptions: tuple[type[BaseException], ...] = ()
    fail_safe: bool = False
    tags: tuple[str, ...] = ()
    keep_if: Callable[[Any], bool] | None = None

    def __post_init__(self) -> None:
        for name in ("ttl_s", "stale_s", "early_refresh", "negative_ttl_s"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise SettingError(f"{name}={value!r}: give a number from 0 upwards")
        if not 0 <= self.jitter < 1:
            raise SettingError(f"jitter={self.jitter!r}: give a fraction from 0 to below 1")
        if self.keep_exceptions and self.negative_ttl_s is None:
            raise SettingError("keep_exceptions is set: say in negative_ttl_s for how long")


Lease = Any
"""What a lookup hands out as permission to keep what is computed; its meaning is its own."""


class Lookup(Protocol):
    """What a guard wraps: the chain of tiers. Every method is thread-safe.

    Never raises `StoreError`: a tier's outage is a miss that the chain has counted.
    """

    def find_many(
        self, keys: Sequence[Key], *, beta: float, shared_only: bool = False
    ) -> list[Found | None]:
        """Return what is known of each key; `shared_only` skips this process's own tiers."""

    def lease(self, keys: Sequence[Key], tags: Sequence[str]) -> Lease:
        """Return a lease, to be taken before the computation reads anything."""

    def keep_many(self, items: Sequence[tuple[Key, Entry]], lease: Lease) -> list[bool]:
        """Keep what was computed; False for each whose lease was voided. Ends the lease."""

    def abandon(self, lease: Lease) -> None:
        """End a lease without keeping anything."""
