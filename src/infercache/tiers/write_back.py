"""Write-back: puts return at once, and a background thread writes them down in batches."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from infercache.entry import Entry
from infercache.errors import StoreError
from infercache.events import Event, Events
from infercache.forks import forget_in_child
from infercache.key import Key
from infercache.notices import warn
from infercache.stores.base import Invalidation, RecordInfo
from infercache.tiers.base import Outcome, Tier, TierStats
from infercache.tiers.counts import Counts

_BATCH = 64
_TRIES = 3
_FENCES = 1024
_PAUSE_S = 0.2


class _Pending(NamedTuple):
    key: Key
    entry: Entry
    lease: int | None


class WriteBackTier(Tier):
    """Wraps a tier so that puts are queued; a read of a queued key waits for it. Thread-safe.

    The queue is bounded: a put that finds it full writes its own items down itself. `flush`
    and `close` wait until all is written. What cannot be written after three tries is counted
    as "lost", told as an event and warned about once. In a forked child the queue is empty:
    what was queued is the parent's to write.

    Args:
        inner: The tier to write to.
        queue_entries: Bound on the number of queued entries.
        events: Who wants to know.
    """

    def __init__(
        self, inner: Tier, *, queue_entries: int = 1024, events: Events | None = None
    ) -> None:
        self.inner = inner
        self.name = inner.name
        self.shared = inner.shared
        self.queues = True
        self.journal = inner.journal
        self._queue_entries = queue_entries
        self._events = Events() if events is None else events
        self._counts = Counts()
        self.forget_parent()
        forget_in_child(self)

    def forget_parent(self) -> None:
        """Start with an empty queue and no thread."""
        self._pending: dict[bytes, _Pending] = {}
        self._writing: dict[bytes, _Pending] = {}
        self._void: set[bytes] = set()  # queued or being written, and no longer to be read
        self._fences: deque[tuple[int, Invalidation]] = deque(maxlen=_FENCES)
        self._last_fence = -1
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._told_loss = False

    def get_many(self, keys: Sequence[Key]) -> list[Entry | None]:
        """Ask the inner tier, once what is queued of these keys has been written.

        What the queue holds is not handed out: only the store can tell whether another process
        has invalidated it. A queued key is usually answered by the memory above.
        """
        self._wait_for(keys)
        return self.inner.get_many(keys)

    def get(self, key: Key) -> Entry | None:
        """Ask the inner tier, once the key has been written if it is queued."""
        self._wait_for((key,))
        return self.inner.get(key)

    def _wait_for(self, keys: Sequence[Key]) -> None:
        if not self._pending and not self._writing:
            return
        with self._changed:
            while any(key.digest in self._pending or key.digest in self._writing for key in keys):
                self._ensure_thread()
                self._changed.wait()

    def _queued(self, digest: bytes) -> _Pending | None:
        if digest in self._void:
            return None
        return self._pending.get(digest) or self._writing.get(digest)

    def put_many(
        self, items: Sequence[tuple[Key, Entry]], lease: int | None = None
    ) -> list[Outcome]:
        """Queue entries; their lease is taken now if none is given."""
        if lease is None:
            lease = self.inner.position()
        with self._changed:
            fresh = [item for item in items if not self._is_fenced(item, lease)]
            queued = self._try_queue(fresh, lease)
        outcomes = [Outcome.KEPT] * len(fresh) if queued else self.inner.put_many(fresh, lease)
        kept = dict(zip([key.digest for key, _ in fresh], outcomes, strict=True))
        return [kept.get(key.digest, Outcome.FENCED) for key, _ in items]

    def _try_queue(self, items: Sequence[tuple[Key, Entry]], lease: int | None) -> bool:
        """Queue, or make sure that nothing older of these keys is on its way; under the lock."""
        if not self._closing and len(self._pending) + len(items) <= self._queue_entries:
            for key, entry in items:
                self._pending[key.digest] = _Pending(key, entry, lease)
                self._void.discard(key.digest)
            if items:
                self._ensure_thread()
                self._changed.notify_all()
            return True
        for key, _ in items:
            self._pending.pop(key.digest, None)
        while any(key.digest in self._writing for key, _ in items):
            self._changed.wait()
        return False

    def _is_fenced(self, item: tuple[Key, Entry], lease: int | None) -> bool:
        """Whether it was invalidated since its lease, as far as this process has heard."""
        if lease is None or lease >= self._last_fence:
            return False
        key, entry = item
        if len(self._fences) == _FENCES and lease < self._fences[0][0]:
            return True
        return any(lease < at and what.matches(key, entry.tags) for at, what in self._fences)

    def _fence(self, position: int, what: Invalidation) -> None:
        self._fences.append((position, what))
        self._last_fence = max(self._last_fence, position)

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._drain, name=f"infercache-write-back-{self.name}", daemon=True
            )
            self._thread.start()

    def _drain(self) -> None:
        try:
            self._drain_until_closed()
        finally:  # should reporting a loss raise (warnings as errors), a later call starts anew
            with self._changed:
                self._writing = {}
                self._thread = None
                self._changed.notify_all()

    def _drain_until_closed(self) -> None:
        while True:
            with self._changed:
                while not self._pending:
                    if self._closing:
                        return
                    self._changed.wait()
                digests = list(self._pending)[:_BATCH]
                self._writing = {digest: self._pending.pop(digest) for digest in digests}
            self._write(list(self._writing.values()))
            with self._changed:
                self._void -= self._writing.keys() - self._pending.keys()
                self._writing = {}
                self._changed.notify_all()

    def _write(self, batch: list[_Pending]) -> None:
        """Write one batch, grouped by lease; report what could not be written."""
        by_lease: dict[int | None, list[tuple[Key, Entry]]] = {}
        for one in batch:
            by_lease.setdefault(one.lease, []).append((one.key, one.entry))
        for lease, items in by_lease.items():
            error = self._try_write(items, lease)
            if error is not None:
                self._report_loss(items, error)

    def _try_write(self, items: list[tuple[Key, Entry]], lease: int | None) -> Exception | None:
        error: Exception | None = None
        for _ in range(_TRIES):
            try:
                self.inner.put_many(items, lease)
            except Exception as failure:  # noqa: BLE001 - reported as a loss, whatever it is
                error = failure
                if self._closing or not isinstance(failure, StoreError):
                    break
                threading.Event().wait(_PAUSE_S)
            else:
                return None
        return error

    def _report_loss(self, items: list[tuple[Key, Entry]], error: Exception) -> None:
        self._counts.add("lost", len(items))
        for key, entry in items:
            self._events.emit(
                Event("lost", self.name, key.namespace, key.digest, entry.size_bytes,
                      entry.cost_s, str(error))
            )  # fmt: skip
        if not self._told_loss:
            self._told_loss = True
            warn(
                f"{len(items)} queued entries could not be written to tier {self.name!r} "
                f"and are lost to it: {error}",
            )

    def flush(self) -> None:
        """Wait until everything queued so far is written or reported as lost."""
        with self._changed:
            while self._pending or self._writing:
                self._ensure_thread()
                self._changed.wait()

    def invalidate(self, what: Invalidation) -> int:
        """Drop what is queued, and below; a batch being written is fenced by its older lease."""
        with self._changed:
            queued = [
                digest
                for digest, one in self._pending.items()
                if what.matches(one.key, one.entry.tags)
            ]
            for digest in queued:
                del self._pending[digest]
        below = self.inner.invalidate(what)
        position = self.inner.position()
        if position is not None:  # what was queued meanwhile under an older lease
            self.overtaken(what, position)
        with self._changed:
            while any(what.matches(one.key, one.entry.tags) for one in self._writing.values()):
                self._changed.wait()
        return len(queued) + below

    def overtaken(self, what: Invalidation, position: int) -> None:
        """Read no more what is queued under a lease from before; the store will refuse it."""

        def is_meant(one: _Pending) -> bool:
            is_old = one.lease is not None and one.lease < position
            return is_old and what.matches(one.key, one.entry.tags)

        with self._changed:
            self._fence(position, what)
            for queued in (self._pending, self._writing):
                self._void |= {digest for digest, one in queued.items() if is_meant(one)}

    def position(self) -> int | None:
        """Return where the inner tier's journal stands."""
        return self.inner.position()

    def holds_many(self, keys: Sequence[Key]) -> list[bool]:
        """Return for each key whether it is queued or held below."""
        below = self.inner.holds_many(keys)
        with self._changed:
            return [
                held or self._queued(key.digest) is not None
                for key, held in zip(keys, below, strict=True)
            ]

    def scan(self) -> Iterator[RecordInfo]:
        """Yield what is written."""
        self.flush()
        return self.inner.scan()

    def resize(self, capacity_bytes: int) -> None:
        """Change the inner tier's bound."""
        self.inner.resize(capacity_bytes)

    def sweep(self) -> int:
        """Remove from the inner tier what is past its grace."""
        return self.inner.sweep()

    def stats(self) -> TierStats:
        """Return the inner tier's statistics with "queued" and "lost" added."""
        stats = self.inner.stats()
        stats.counts.update(self._counts.as_dict())
        stats.counts["queued"] = len(self._pending) + len(self._writing)
        return stats

    def check(self) -> list[str]:
        """Check the inner tier, with nothing queued."""
        self.flush()
        return self.inner.check()

    def close(self) -> None:
        """Write everything down, stop the thread and close the inner tier."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self.flush()
        self.inner.close()

    def __repr__(self) -> str:
        return f"WriteBack({self.inner!r})"
