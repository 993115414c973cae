"""Models with one list: FIFO, LRU, SIEVE."""

from __future__ import annotations

from tests.policies.models.base import Model


class Fifo(Model):
    """The first in is the first out."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.queue: list[int] = []

    def insert(self, key: int, size: int, cost: float) -> None:
        self.queue.insert(0, key)

    def hit(self, key: int) -> None:
        pass

    def evict(self, incoming: int, size: int) -> int:
        return self.queue.pop()

    def forget(self, key: int) -> None:
        self.queue.remove(key)


class Lru(Fifo):
    """The least recently used leaves."""

    def hit(self, key: int) -> None:
        self.queue.remove(key)
        self.queue.insert(0, key)


class Sieve(Fifo):
    """The hand walks from old to new; None means that it starts at the oldest."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.used: set[int] = set()
        self.hand: int | None = None

    def hit(self, key: int) -> None:
        self.used.add(key)

    def newer(self, key: int) -> int | None:
        place = self.queue.index(key)
        return self.queue[place - 1] if place else None

    def evict(self, incoming: int, size: int) -> int:
        at = self.queue[-1] if self.hand is None else self.hand
        while at in self.used:
            self.used.remove(at)
            newer = self.newer(at)
            at = self.queue[-1] if newer is None else newer
        self.hand = self.newer(at)
        self.queue.remove(at)
        return at

    def forget(self, key: int) -> None:
        if self.hand == key:
            self.hand = self.newer(key)
        self.used.discard(key)
        self.queue.remove(key)
