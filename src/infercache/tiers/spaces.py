"""Small numbers for key spaces, so that a native table can hold whole keys in 20 bytes."""

from __future__ import annotations

from infercache.forks import fork_safe_lock
from infercache.key import Key

Space = tuple[str, str, str]


class Spaces:
    """Numbers each (scope, namespace, version) in the order of appearance. Thread-safe.

    A table keeps the digest and this number; together they are the full key again.
    """

    def __init__(self) -> None:
        self._numbers: dict[Space, int] = {}
        self._spaces: list[Space] = []
        self._lock = fork_safe_lock()

    def number(self, scope: str, namespace: str, version: str) -> int:
        """Return the number of a space, giving it the next one if it is new."""
        space = (scope, namespace, version)
        number = self._numbers.get(space)
        if number is None:
            with self._lock:
                number = self._numbers.setdefault(space, len(self._spaces))
                if number == len(self._spaces):
                    self._spaces.append(space)
        return number

    def space(self, number: int) -> Space:
        """Return (scope, namespace, version) of a number."""
        return self._spaces[number]

    def key(self, number: int, digest: bytes) -> Key:
        """Return the full key of a digest in a numbered space."""
        return Key(*self._spaces[number], digest)

    def matching(self, scope: str | None, namespace: str | None, version: str | None) -> list[int]:
        """Return the numbers of all spaces whose given parts match."""
        return [
            number
            for number, space in enumerate(self._spaces)
            if scope in (None, space[0])
            and namespace in (None, space[1])
            and version in (None, space[2])
        ]
