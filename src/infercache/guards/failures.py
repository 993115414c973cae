"""Refreshes that raised: when to try again, so that a failing source is not hammered."""

from __future__ import annotations

from infercache.clock import Clock

_FIRST_S = 1.0
_LONGEST_S = 30.0
_MOST = 100_000


class Failures:
    """Remembers which keys could not be refreshed. Thread-safe; O(1).

    After a failure the next try waits 1 s, then twice as long each time, at most 30 s. Only
    the last 100,000 keys are remembered.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pauses: dict[bytes, tuple[float, float]] = {}

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._pauses

    def note(self, digest: bytes) -> None:
        """A refresh of this key has raised."""
        _, pause_s = self._pauses.pop(digest, (0.0, _FIRST_S / 2))
        pause_s = min(2 * pause_s, _LONGEST_S)
        self._pauses[digest] = (self._clock.monotonic() + pause_s, pause_s)
        if len(self._pauses) > _MOST:
            self._pauses.pop(next(iter(self._pauses)), None)

    def forget(self, digest: bytes) -> None:
        """This key has been computed."""
        if self._pauses:
            self._pauses.pop(digest, None)

    def may_try(self, digest: bytes) -> bool:
        """Return whether the pause after the last failure, if any, is over."""
        retry_at, _ = self._pauses.get(digest, (0.0, 0.0))
        return not retry_at or self._clock.monotonic() >= retry_at
