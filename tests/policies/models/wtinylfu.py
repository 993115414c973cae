"""Model of W-TinyLFU: window, probation, protected, a sketch and a climber."""

from __future__ import annotations

from collections import Counter

from tests.policies.models.base import Model

WORD = (1 << 64) - 1
SEEDS = (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F, 0xCBF29CE484222325)


class Sketch:
    """Four rows of counters up to 15, halved now and then."""

    def __init__(self) -> None:
        self.width = 64
        self.rows: list[Counter[int]] = [Counter() for _ in SEEDS]
        self.increments = 0

    def places(self, key: int) -> list[int]:
        products = [(key ^ seed) * SEEDS[(row + 1) % 4] for row, seed in enumerate(SEEDS)]
        return [((product & WORD) ^ (product >> 64)) % self.width for product in products]

    def ensure(self, entries: int) -> None:
        while self.width < entries:
            for row in self.rows:
                row.update({place + self.width: count for place, count in row.items()})
            self.width *= 2

    def count(self, key: int) -> None:
        rows = list(zip(self.rows, self.places(key), strict=True))
        self.increments += any(row[place] < 15 for row, place in rows)
        for row, place in rows:
            row[place] = min(row[place] + 1, 15)
        if self.increments >= 10 * self.width:
            self.rows = [Counter({p: n // 2 for p, n in row.items()}) for row in self.rows]
            self.increments //= 2

    def estimate(self, key: int) -> int:
        return min(row[place] for row, place in zip(self.rows, self.places(key), strict=True))


class Climber:
    """Moves the window's share in the direction in which the hit ratio rises."""

    def __init__(self) -> None:
        self.share, self.step, self.ratio = 0.2, 0.1, 0.0
        self.outcomes: list[bool] = []

    def note(self, hit: bool, entries: int) -> None:
        self.outcomes.append(hit)
        if len(self.outcomes) < max(entries, 1):
            return
        ratio = sum(self.outcomes) / len(self.outcomes)
        change = ratio - self.ratio
        step = self.step if change >= 0 else -self.step
        self.share = min(max(self.share + step, 0.01), 0.95)
        jumped = 0.1 if step > 0 else -0.1
        self.step = jumped if abs(change) >= 0.05 else step * 0.98
        self.ratio, self.outcomes = ratio, []


class WTinyLfu(Model):
    """Three lists."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.window: list[int] = []
        self.probation: list[int] = []
        self.protected: list[int] = []
        self.sketch, self.climber = Sketch(), Climber()

    @property
    def window_target(self) -> int:
        return max(int(self.capacity * self.climber.share), 1)

    @property
    def main_target(self) -> int:
        return max(self.capacity - self.window_target, 0)

    def arrive(self, key: int, size: int) -> None:
        self.sketch.ensure(len(self.sizes) + 1)
        self.sketch.count(key)
        self.climber.note(False, len(self.sizes))

    def insert(self, key: int, size: int, cost: float) -> None:
        self.window.insert(0, key)

    def hit(self, key: int) -> None:
        self.sketch.count(key)
        self.climber.note(True, len(self.sizes))
        part = self.window if key in self.window else self.protected
        self.forget(key)
        part.insert(0, key)
        self.demote()

    def demote(self) -> None:
        while self.weigh(self.protected) > int(self.main_target * 0.8):
            self.probation.insert(0, self.protected.pop())

    def evict(self, incoming: int, size: int) -> int:
        self.demote()
        while True:
            main = self.probation or self.protected
            over = self.weigh(self.window) + size > self.window_target
            if not self.window or (not over and main):
                return main.pop()
            candidate = self.window[-1]
            room = self.main_target - self.weigh(self.probation + self.protected)
            if over and self.sizes[candidate] <= room:
                self.probation.insert(0, self.window.pop())
                continue
            if not main or self.sketch.estimate(candidate) <= self.sketch.estimate(main[-1]):
                return self.window.pop()
            victim = main.pop()
            self.probation.insert(0, self.window.pop())
            return victim

    def forget(self, key: int) -> None:
        for part in (self.window, self.probation, self.protected):
            if key in part:
                part.remove(key)
