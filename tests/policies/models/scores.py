"""Models that score every entry: LFU, GDSF."""

from __future__ import annotations

from tests.policies.models.base import Model


class Lfu(Model):
    """Fewest uses leave first, then the least recently used."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.uses: dict[int, int] = {}
        self.recency: list[int] = []

    def insert(self, key: int, size: int, cost: float) -> None:
        self.uses[key] = 1
        self.recency.insert(0, key)

    def hit(self, key: int) -> None:
        self.uses[key] += 1
        self.recency.remove(key)
        self.recency.insert(0, key)

    def evict(self, incoming: int, size: int) -> int:
        victim = min(reversed(self.recency), key=lambda key: self.uses[key])
        self.forget(victim)
        return victim

    def forget(self, key: int) -> None:
        del self.uses[key]
        self.recency.remove(key)


class Gdsf(Lfu):
    """The lowest L + uses * cost / size leaves first, then the least recently used."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.inflation = 0.0
        self.worth: dict[int, float] = {}
        self.score: dict[int, float] = {}
        self.costs: list[float] = []

    def insert(self, key: int, size: int, cost: float) -> None:
        super().insert(key, size, cost)
        if cost:
            self.costs.append(cost)
        if not cost:
            cost = sum(self.costs) / len(self.costs) if self.costs else 1.0
        self.worth[key] = cost / size
        self.score[key] = self.inflation + self.worth[key]

    def hit(self, key: int) -> None:
        super().hit(key)
        self.score[key] = self.inflation + self.uses[key] * self.worth[key]

    def evict(self, incoming: int, size: int) -> int:
        victim = min(reversed(self.recency), key=lambda key: self.score[key])
        self.inflation = self.score[victim]
        self.forget(victim)
        return victim
