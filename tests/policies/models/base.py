"""What the slow, obvious models of the policies share: a dict of what is cached."""

from __future__ import annotations


class Model:
    """A cache that evicts as its policy says, written for reading; every step may be O(entries).

    Lists hold keys, the newest first.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.sizes: dict[int, int] = {}

    def get(self, key: int) -> bool:
        """Use a key if it is there."""
        if key in self.sizes:
            self.hit(key)
        return key in self.sizes

    def put(self, key: int, size: int = 1, cost: float = 0.0) -> None:
        """Bring in a key that is not there."""
        if size > self.capacity:
            return
        self.arrive(key, size)
        while sum(self.sizes.values()) + size > self.capacity:
            victim = self.evict(key, size)
            del self.sizes[victim]
        self.sizes[key] = size
        self.insert(key, size, cost)

    def remove(self, key: int) -> None:
        """Take a key out if it is there."""
        if key in self.sizes:
            self.forget(key)
            del self.sizes[key]

    def weigh(self, keys: list[int]) -> int:
        """Return the sum of the sizes of cached keys."""
        return sum(self.sizes[key] for key in keys)

    def arrive(self, key: int, size: int) -> None:
        """Learn of a key before room is made for it."""

    def insert(self, key: int, size: int, cost: float) -> None:
        """Learn of a key that came in."""
        raise NotImplementedError

    def hit(self, key: int) -> None:
        """Learn of a use."""
        raise NotImplementedError

    def evict(self, incoming: int, size: int) -> int:
        """Choose a victim and let it go."""
        raise NotImplementedError

    def forget(self, key: int) -> None:
        """Let a key go that was removed."""
        raise NotImplementedError
