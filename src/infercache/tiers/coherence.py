"""Keeps this process's own tiers true to what other processes on the machine change."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from infercache._core import Generation
from infercache.errors import StoreError
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
        self._lost = True

    @property
    def position(self) -> int:
        """Where in the journal this process's own tiers stand: what is in them is a lease old."""
        return self._position

    def follow(self) -> None:
        """Apply the changes since the last call.

        Raises:
            StoreError: the journal cannot be read. Everything of this process's own is
                forgotten then, as any of it may be out of date.
        """
        store = self.tier.journal
        if store is None or store.generation() == self._generation:
            return
        with self._lock:
            # Read before the changes: what comes later raises it again.
            generation = store.generation()
            try:
                self._apply(store, self._changes(store))
            except StoreError:
                self._lost = True
                self._forget(_EVERYTHING)
                self._generation = generation
                raise
            self._generation = generation
            self._note_in_gate(store, generation)

    def _changes(self, store: SharedStore) -> Iterable[Change] | None:
        """At first, and after a failure, what is held here may already be out of date."""
        return None if self._lost else store.changes(self._position)

    def _note_in_gate(self, store: SharedStore, generation: int) -> None:
        """Open the gate for native readers, who look at the same counter by themselves."""
        gate = self.gate
        if gate is None and store.generation_path is not None:
            gate = Generation(store.generation_path)
        if gate is not None:
            gate.seen = generation
            self.gate = gate

    def _apply(self, store: SharedStore, changes: Iterable[Change] | None) -> None:
        if changes is None:
            position = store.lease()
            self._forget(_EVERYTHING)
            self.tier.overtaken(_EVERYTHING, position)
            self._position, self._lost = position, False
            return
        position = self._position
        for change in changes:
            position = change.sequence
            if not change.own and change.kind in ("replace", "invalidate"):
                what = change.target or Invalidation(digest=change.digest)
                self._forget(what)
                self.tier.overtaken(what, change.sequence)
        # Told only now: who demotes under it relies on all before it being forgotten here.
        self._position = position
