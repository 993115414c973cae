"""Named counts of what guards did."""

from __future__ import annotations

import threading

NAMES = (
    "computations", "joined", "lock_waits", "handed_over", "timeouts", "circular", "voided",
    "refreshes", "refresh_dropped", "refresh_failed", "stale_served", "fail_safe_served",
    "find_failed", "keep_failed",
)  # fmt: skip


class Counters:
    """Counts by name, exact under threads. O(1)."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(NAMES, 0)
        self._mutex = threading.Lock()

    def add(self, name: str, by: int = 1) -> None:
        """Count."""
        with self._mutex:
            self._counts[name] += by

    def snapshot(self) -> dict[str, int]:
        """Return the counts now."""
        with self._mutex:
            return dict(self._counts)

    def forget_parent(self) -> None:
        """Start from nothing in a forked child."""
        self.__init__()  # type: ignore[misc]
