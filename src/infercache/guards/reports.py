"""What a guard tells those who watch: counts, events, and a warning for the first fault."""

from __future__ import annotations

from infercache.events import Event, Events
from infercache.guards.counters import Counters
from infercache.key import Key
from infercache.notices import warn

_FAULTS = {
    "find_failed": "looking into the tiers raised; the value is computed instead",
    "keep_failed": "a computed value could not be kept; the caller got it all the same",
    "refresh_failed": "a background refresh raised; the old value stays until it expires",
}


class Reports:
    """Counts, and tells listeners. Thread-safe."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self.counters = Counters()
        self._told: set[str] = set()

    def tell(self, kind: str, key: Key, cost_s: float = 0.0, detail: str = "") -> None:
        """Tell listeners that something happened to a key."""
        if self.events:
            self.events.emit(Event(kind, "", key.namespace, key.digest, 0, cost_s, detail))

    def fault(self, counter: str, kind: str, error: BaseException) -> None:
        """Count a fault, tell listeners, and warn if it is the first of its kind."""
        self.counters.add(counter)
        sentence = f"{_FAULTS[counter]}: {error!r}"
        if self.events:
            self.events.emit(Event(kind, detail=sentence))
        if counter not in self._told:
            self._told.add(counter)
            warn(sentence)
