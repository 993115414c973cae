"""What leaves: names that settings may use, and the interface of policies written in Python.

The named policies are native (`infercache._core`); the same code runs in the live cache and
in `replay`. A policy written in Python implements `Policy` and is given by class or by a
registered name in the same places.
"""

from __future__ import annotations

import abc


class Policy(abc.ABC):
    """Decides which entry leaves. Called under the table's lock: it must not call back into it.

    The table calls `on_insert` once for every entry that comes in, `on_hit` for every read and
    `on_remove` for every entry that leaves, whether the policy chose it or not. Keys are the
    table's keys (bytes), or ints in `replay`.
    """

    @abc.abstractmethod
    def on_insert(self, key: bytes | int, size_bytes: int, cost_s: float) -> None:
        """An entry came in."""

    @abc.abstractmethod
    def on_hit(self, key: bytes | int) -> None:
        """An entry was read."""

    @abc.abstractmethod
    def on_remove(self, key: bytes | int) -> None:
        """An entry left: evicted, removed or expired."""

    @abc.abstractmethod
    def victims(self) -> list[bytes | int]:
        """Return entries to evict, the first first; the table skips those that are pinned.

        At least one that is not pinned, if there is one: a policy may return more than it
        would evict at once, so that the table need not ask again.
        """
