"""Something that others wait for, from threads and from asyncio tasks alike."""

from __future__ import annotations

from collections.abc import Callable

Waker = Callable[[], None]


class Signal:
    """Fires once; whoever subscribed before is woken, whoever comes later is told at once.

    Thread-safe without a lock of its own: `subscribe` adds before it looks, and `fire` marks
    before it wakes, so that a waker may run twice but is never missed. Wakers must therefore
    be idempotent, and must not raise.
    """

    __slots__ = ("_wakers", "fired")

    def __init__(self) -> None:
        self.fired = False
        self._wakers: list[Waker] = []

    def subscribe(self, waker: Waker) -> bool:
        """Ask to be woken; False if the signal has fired already."""
        self._wakers.append(waker)
        return not self.fired

    def unsubscribe(self, waker: Waker) -> None:
        """Take a waker back; one that is gone already is ignored."""
        if waker in self._wakers:
            self._wakers.remove(waker)

    def fire(self) -> None:
        """Mark as fired and wake everyone."""
        self.fired = True
        if self._wakers:
            wakers, self._wakers = self._wakers, []
            for wake in wakers:
                wake()
