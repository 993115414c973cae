"""Time as the cache sees it: one object to replace when a test or a replay needs its own."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the cache takes its time from; both calls are thread-safe and cheap."""

    def now(self) -> float:
        """Return seconds since the epoch: what expiry is written in, shared between processes."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards: what durations are measured with."""


class SystemClock:
    """The machine's own clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class ManualClock:
    """A clock that stands still until `advance` is called; for tests and replays."""

    def __init__(self, start_s: float = 1_700_000_000.0) -> None:
        self._now_s = start_s

    def now(self) -> float:
        """Return the time that was set, in seconds since the epoch."""
        return self._now_s

    def monotonic(self) -> float:
        """Return the time that was set, in seconds."""
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Move the clock on; negative seconds step it back, as a real clock may."""
        self._now_s += seconds
