"""Model of ARC, after Figure 4 of the paper where all sizes are 1."""

from __future__ import annotations

from tests.policies.models.base import Model

Ghosts = list[tuple[int, int]]


def weigh(ghosts: Ghosts) -> int:
    """Return the sum of the sizes of what a ghost list remembers."""
    return sum(size for _, size in ghosts)


def drop(ghosts: Ghosts, key: int) -> bool:
    """Forget a key; return whether it was remembered."""
    found = [entry for entry in ghosts if entry[0] == key]
    for entry in found:
        ghosts.remove(entry)
    return bool(found)


class Arc(Model):
    """T1 and B1: used once; T2 and B2: used again."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.t1: list[int] = []
        self.t2: list[int] = []
        self.b1: Ghosts = []
        self.b2: Ghosts = []
        self.target = 0.0
        self.came_from = ""

    def arrive(self, key: int, size: int) -> None:
        b1, b2 = weigh(self.b1), weigh(self.b2)
        self.came_from = ""
        if drop(self.b1, key):
            self.came_from = "b1"
            self.target = min(self.target + max(b2 / max(b1, 1), 1.0) * size, self.capacity)
        elif drop(self.b2, key):
            self.came_from = "b2"
            self.target = max(self.target - max(b1 / max(b2, 1), 1.0) * size, 0.0)

    def insert(self, key: int, size: int, cost: float) -> None:
        (self.t2 if self.came_from else self.t1).insert(0, key)
        while self.b1 and self.weigh(self.t1) + weigh(self.b1) > self.capacity:
            self.b1.pop()
        everything = self.weigh(self.t1) + self.weigh(self.t2) + weigh(self.b1)
        while self.b2 and everything + weigh(self.b2) > 2 * self.capacity:
            self.b2.pop()

    def hit(self, key: int) -> None:
        self.forget(key)
        self.t2.insert(0, key)

    def evict(self, incoming: int, size: int) -> int:
        once = self.weigh(self.t1)
        from_once = once > self.target or (self.came_from == "b2" and once == self.target)
        if (from_once and self.t1) or not self.t2:
            victim = self.t1.pop()
            self.b1.insert(0, (victim, self.sizes[victim]))
        else:
            victim = self.t2.pop()
            self.b2.insert(0, (victim, self.sizes[victim]))
        return victim

    def forget(self, key: int) -> None:
        (self.t1 if key in self.t1 else self.t2).remove(key)


class PaperArc(Arc):
    """Figure 4 to the letter: ghosts make room before the entry comes in. Sizes of 1 only."""

    def put(self, key: int, size: int = 1, cost: float = 0.0) -> None:
        assert size == 1
        self.arrive(key, size)
        if not self.came_from:
            self.make_room_for_a_new_key(key)
        elif len(self.sizes) == self.capacity:
            del self.sizes[self.evict(key, 1)]
        self.sizes[key] = 1
        (self.t2 if self.came_from else self.t1).insert(0, key)

    def make_room_for_a_new_key(self, key: int) -> None:
        if len(self.t1) + len(self.b1) == self.capacity:
            if len(self.t1) < self.capacity:
                self.b1.pop()
                self.replace(key)
            else:
                del self.sizes[self.t1.pop()]
        elif len(self.t1) + len(self.t2) + len(self.b1) + len(self.b2) >= self.capacity:
            if len(self.t1) + len(self.t2) + len(self.b1) + len(self.b2) == 2 * self.capacity:
                self.b2.pop()
            self.replace(key)

    def replace(self, key: int) -> None:
        del self.sizes[self.evict(key, 1)]
