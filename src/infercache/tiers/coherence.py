"""Keeps this process's own tiers true to what other processes on the machine change."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from infercache._core import Generation
from infercache.forks import fork_safe_lock
from infercache.stores.base import Change, Invalidation, SharedStore
from infercache.tiers.base import Tier

_EVERYTHING = Invalidation()


class JournalWatch:
    """Follows the journal of one shared tier, and forgets here what was changed elsewhere.

    `follow` costs one read of a memory-mapped counter as long as nothing was replaced or
    invalidated. If the journal no longer reaches back to where this process stood, everything
    of its own is forgotten. Thread-safe.
    """

    def __init__(self, tier: Tier, forget: Callable[[Invalidation], int]) -> None:
        self.tier = tier
        self.gate: Generation | None = None
        self._forget = forget
        self._lock = fork_safe_lock()
        self._generation: int | None = None
        self._position = 0

    def follow(self) -> None:
        """Apply the changes since the last call.

        Raises:
            StoreError: the journal cannot be read.
        """
        store = self.tier.journal
        if store is None or store.generation() == self._generation:
            return
        with self._lock:
            # Read before the changes: what comes later raises it again.
            generation = store.generation()
            # At first, what is held here may already be out of date.
            changes = None if self._generation is None else store.changes(self._position)
            self._apply(store, changes)
            self._generation = generation
            self._note_in_gate(store, generation)

    def _note_in_gate(self, store: SharedStore, generation: int) -> None:
        """Open the gate for native readers, who look at the same counter by themselves."""
        if self.gate is None and store.generation_path is not None:
            self.gate = Generation(store.generation_path)
        if self.gate is not None:
            self.gate.seen = generation

    def _apply(self, store: SharedStore, changes: Iterable[Change] | None) -> None:
        if changes is None:
            self._position = store.lease()
            self._forget(_EVERYTHING)
            return
        for change in changes:
            self._position = change.sequence
            if not change.own and change.kind in ("replace", "invalidate"):
                self._forget(change.target or Invalidation(digest=change.digest))
