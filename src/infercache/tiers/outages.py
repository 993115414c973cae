"""A tier's outage is a miss that is counted, and said once."""

from __future__ import annotations

from infercache.errors import StoreError
from infercache.events import Event, Events
from infercache.forks import fork_safe_lock
from infercache.notices import warn
from infercache.tiers.counts import Counts


class Outages:
    """Remembers which tiers are out, so that each outage is reported once. Thread-safe."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._out: dict[str, str] = {}
        self._lock = fork_safe_lock()
        self.counts = Counts()

    def failed(self, tier: str, error: StoreError) -> None:
        """Count a failed operation; the first one of an outage warns."""
        self.counts.add(tier)
        with self._lock:
            first = tier not in self._out
            self._out[tier] = str(error)
        if first:
            self._events.emit(Event("outage", tier, detail=str(error)))
            warn(
                f"tier {tier!r} is out and is skipped; the work goes on without it: {error}",
                stacklevel=3,
            )

    def worked(self, tier: str) -> None:
        """Note that a tier answered. A dictionary look-up where nothing was out."""
        if tier in self._out:
            with self._lock:
                was_out = self._out.pop(tier, None) is not None
            if was_out:
                self._events.emit(Event("recovered", tier))

    @property
    def any(self) -> bool:
        """Whether some tier is out."""
        return bool(self._out)

    def reason(self, tier: str) -> str:
        """Return why a tier is out, or "" if it is not."""
        return self._out.get(tier, "")
