"""Which entries of a shared store leave: the native policy, following the store's journal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from infercache._core import Table
from infercache.clock import Clock, SystemClock
from infercache.forks import fork_safe_lock
from infercache.stores.base import Change, SharedStore


class Ledger:
    """One process's view of what a shared store holds, and the policy that picks victims.

    The store's own index holds the account, so the bound holds over all processes; this
    ledger holds only what a policy needs (key, size, cost, order of use). It is brought up to
    date from the journal when room is needed, and rebuilt from a scan if the journal no
    longer reaches back far enough, so that processes that never evict pay nothing for it.

    Thread-safe. Cost: O(changes since the last call), or O(entries) for a rebuild.
    """

    def __init__(self, store: SharedStore, policy: Any, clock: Clock) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._table = self._new_table()
        self._position: int | None = None
        self._lock = fork_safe_lock()

    def _new_table(self) -> Table:
        native_clock = None if isinstance(self._clock, SystemClock) else self._clock.now
        return Table(None, None, self._policy, clock=native_clock)

    def victims(self, need_bytes: int) -> list[bytes]:
        """Return keys whose departure frees at least `need_bytes`, or all there are.

        What has expired goes first, whatever the policy thinks of it.
        """
        with self._lock:
            self._follow()
            before = self._table.stats()["bytes"]
            chosen = self._table.sweep(len(self._table))
            freed = int(before) - int(self._table.stats()["bytes"])
            if freed < need_bytes:
                rest = self._table.victims(need_bytes - freed)
                self._table.forget(rest)
                chosen += rest
            return chosen

    def _follow(self) -> None:
        changes = None if self._position is None else self._store.changes(self._position)
        if changes is None:
            self._rebuild()
        else:
            self._apply(changes)

    def _rebuild(self) -> None:
        """Scan from a position taken before, so that changes made meanwhile are seen again."""
        self._position = self._store.lease()
        self._table = self._new_table()
        infos = sorted(self._store.scan(), key=lambda info: info.created_at)
        for info in infos:
            self._note(info.key.digest, info.size_bytes, info.cost_s, info.expires_at)

    def _note(self, digest: bytes, size: int, cost_s: float, expires_at: float) -> None:
        self._table.put(digest, None, size, cost_s, expires_at=expires_at, stale_until=expires_at)

    def _apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._position = change.sequence
            if change.kind in ("put", "replace"):
                self._note(change.digest, change.size_bytes, change.cost_s, change.expires_at)
            elif change.kind == "touch":
                self._table.touch(change.digest)
            elif change.digest:
                self._table.remove(change.digest)
            else:  # a whole tag or namespace went: only a scan can tell which keys
                self._position = None
        if self._position is None:
            self._rebuild()
