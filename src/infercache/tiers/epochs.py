"""Orders what enters this process's own tiers against invalidations."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from infercache.key import Key
from infercache.stores.base import Invalidation

_REMEMBERED = 1024


class Epochs:
    """Numbers invalidations and remembers the last 1,024. The caller holds its own lock."""

    def __init__(self) -> None:
        self.now = 0
        self._recent: deque[Invalidation] = deque(maxlen=_REMEMBERED)

    def advance(self, what: Invalidation) -> None:
        """Note an invalidation."""
        self.now += 1
        self._recent.append(what)

    def voided(self, since: int, key: Key, tags: Iterable[str]) -> bool:
        """Return whether an entry read or computed at epoch `since` may have become invalid."""
        missed = self.now - since
        if missed == 0:
            return False
        if missed > len(self._recent):
            return True
        return any(self._recent[-i].matches(key, tags) for i in range(1, missed + 1))


class Replacements:
    """Numbers writes and remembers the last 1,024, so that a slow reader does not undo one.

    The caller holds its own lock.
    """

    def __init__(self) -> None:
        self.now = 0
        self._recent: deque[bytes] = deque(maxlen=_REMEMBERED)

    def note(self, digest: bytes) -> None:
        """Note that a key was written."""
        self.now += 1
        self._recent.append(digest)

    def overtaken(self, since: int, digest: bytes) -> bool:
        """Return whether what was read at `since` may be older than what was written."""
        missed = self.now - since
        if missed == 0:
            return False
        if missed > len(self._recent):
            return True
        return digest in islice(self._recent, len(self._recent) - missed, None)
