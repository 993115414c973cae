"""Why keys are gone, for `explain`: the last few thousand departures."""

from __future__ import annotations

from collections import OrderedDict

from infercache.forks import fork_safe_lock

_REMEMBERED = 4096


class Departures:
    """Remembers for recent keys why they left or never came. Thread-safe, bounded."""

    def __init__(self) -> None:
        self._reasons: OrderedDict[tuple[str, bytes], tuple[float, str]] = OrderedDict()
        self._lock = fork_safe_lock()

    def note(self, tier: str, digest: bytes, now: float, reason: str) -> None:
        """Remember a departure."""
        with self._lock:
            self._reasons[tier, digest] = (now, reason)
            self._reasons.move_to_end((tier, digest))
            if len(self._reasons) > _REMEMBERED:
                self._reasons.popitem(last=False)

    def forget(self, tier: str, digest: bytes) -> None:
        """Forget a departure: the key is back. A look at a dictionary where it was not known."""
        if (tier, digest) in self._reasons:
            with self._lock:
                self._reasons.pop((tier, digest), None)

    def reason(self, tier: str, digest: bytes) -> tuple[float, str] | None:
        """Return when and why a key left a tier, if that is still known."""
        return self._reasons.get((tier, digest))
