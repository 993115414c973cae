"""Model of S3-FIFO."""

from __future__ import annotations

from tests.policies.models.base import Model


class S3Fifo(Model):
    """A small queue, a main queue and a ghost, each a plain list."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.small: list[int] = []
        self.main: list[int] = []
        self.ghost: list[tuple[int, int]] = []
        self.uses: dict[int, int] = {}

    def insert(self, key: int, size: int, cost: float) -> None:
        self.uses[key] = 0
        known = [entry for entry in self.ghost if entry[0] == key]
        for entry in known:
            self.ghost.remove(entry)
        (self.main if known else self.small).insert(0, key)

    def hit(self, key: int) -> None:
        self.uses[key] = min(self.uses[key] + 1, 3)

    def evict(self, incoming: int, size: int) -> int:
        while True:
            small_is_full = self.weigh(self.small) >= max(self.capacity // 10, 1)
            if not self.main or (self.small and small_is_full):
                key = self.small.pop()
                if self.uses[key] < 2:
                    self.remember(key)
                    return key
                self.uses[key] = 0
            else:
                key = self.main.pop()
                if self.uses[key] == 0:
                    return key
                self.uses[key] -= 1
            self.main.insert(0, key)

    def remember(self, key: int) -> None:
        self.ghost.insert(0, (key, self.sizes[key]))
        while sum(size for _, size in self.ghost) > self.capacity - self.capacity // 10:
            self.ghost.pop()

    def forget(self, key: int) -> None:
        (self.small if key in self.small else self.main).remove(key)
