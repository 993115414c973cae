"""A tier of bytes: values pass a codec, blobs are verified, a store keeps them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any

from infercache.clock import Clock, SystemClock
from infercache.codecs.base import Codec
from infercache.codecs.blob import Blob, blob_size, open_blob, seal
from infercache.entry import NEVER, Entry
from infercache.errors import (
    BlobError,
    EncodeError,
    ReadOnlyError,
    StoreFullError,
)
from infercache.events import Event, Events
from infercache.key import Key
from infercache.notices import warn
from infercache.stores.base import Invalidation, Record, RecordInfo, SharedStore, Stored
from infercache.tiers.base import Outcome, Tier, TierStats
from infercache.tiers.counts import Counts, Tally
from infercache.tiers.departures import Departures
from infercache.tiers.ledger import Ledger

_EVICTION_ROUNDS = 8
# Room is made for a little more than is needed, so that not every put has to evict.
_SLACK = 0.01


class ByteTier(Tier):
    """Keeps encoded values in a shared store, never more than `capacity_bytes` over all processes.

    Every blob is verified before it is decoded; one that fails is deleted, counted as
    "corrupt" and reads as missing. Thread-safe.

    Args:
        store: Where the blobs are kept.
        codec: How values become bytes; blobs of another codec read as missing.
        capacity_bytes: Bound on the store's charged bytes.
        policy: Name of a registered policy.
        name: Name of the tier in statistics.
        codecs: Codecs of single namespaces, where they differ; may be filled later.
        secret: Key of the blobs' checksums; None for an unkeyed one.
        clock: Where the time comes from.
        events: Who wants to know.
        departures: Where to note why a key is gone.
    """

    shared = True

    def __init__(
        self,
        store: SharedStore,
        codec: Codec,
        capacity_bytes: int,
        *,
        policy: Any = "s3fifo",
        name: str = "disk",
        codecs: Mapping[str, Codec] | None = None,
        secret: bytes | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
        departures: Departures | None = None,
    ) -> None:
        self.name = name
        self.store = self.journal = store
        self.codec = codec
        self._codecs = {} if codecs is None else codecs
        self.capacity_bytes = capacity_bytes
        self._secret = secret
        self._clock = clock or SystemClock()
        self._events = Events() if events is None else events
        self._departures = departures
        self._ledger = Ledger(store, policy, self._clock)
        self._counts = Counts()
        self._hits = Tally()
        self._misses = Tally()
        self._puts = Tally()
        self._seconds = Tally()
        self._warned: set[type] = set()

    def codec_of(self, namespace: str) -> Codec:
        """Return the codec of a namespace."""
        return self._codecs.get(namespace, self.codec)

    def get_many(self, keys: Sequence[Key]) -> list[Entry | None]:
        """Return each entry, or None. One round trip; arrays may be read-only views."""
        started = perf_counter()
        found = self.store.get_many(keys)
        entries = [
            None if stored is None else self._open(key, stored)
            for key, stored in zip(keys, found, strict=True)
        ]
        hits = [key.digest for key, entry in zip(keys, entries, strict=True) if entry]
        if hits:
            self.store.note_hits(hits)
        self._hits.add(len(hits))
        self._misses.add(len(keys) - len(hits))
        self._seconds.add(perf_counter() - started)
        return entries

    def get(self, key: Key) -> Entry | None:
        """Return one entry, or None."""
        started = perf_counter()
        stored = self.store.get_many((key,))[0]
        entry = None if stored is None else self._open(key, stored)
        if entry is None:
            self._misses.add(1)
        else:
            self.store.note_hits((key.digest,))
            self._hits.add(1)
        self._seconds.add(perf_counter() - started)
        return entry

    def _open(self, key: Key, stored: Stored) -> Entry | None:
        codec = self.codec_of(key.namespace)
        try:
            blob = stored.verified
            if not isinstance(blob, Blob):
                blob = open_blob(stored.buffer, key, codec.id, self._secret)
                stored.verified = blob
            head = blob.header
            if head.stale_until != NEVER and self._clock.now() >= head.stale_until:
                self._drop(key, "expirations", "expire")
                return None
            value = codec.decode(blob.body)
        except BlobError as error:
            self._drop(key, "corrupt", "corrupt", str(error))
            return None
        return Entry(
            value,
            len(stored.buffer),
            head.cost_s,
            head.version,
            head.created_at,
            head.expires_at,
            head.stale_until,
            head.tags,
        )

    def _drop(self, key: Key, counter: str, kind: str, detail: str = "") -> None:
        """Delete what must not be served; on a read-only store it just reads as missing."""
        self._counts.add(counter)
        self._tell(kind, key, detail=detail)
        if self._departures is not None:
            reason = f"deleted because it was damaged: {detail}" if detail else "expired"
            self._departures.note(self.name, key.digest, self._clock.now(), reason)
        with contextlib.suppress(ReadOnlyError):
            self.store.evict_many([key.digest])

    def _tell(
        self, kind: str, key: Key, size: int = 0, cost: float = 0.0, detail: str = ""
    ) -> None:
        if self._events:
            self._events.emit(Event(kind, self.name, key.namespace, key.digest, size, cost, detail))

    def put_many(
        self, items: Sequence[tuple[Key, Entry]], lease: int | None = None
    ) -> list[Outcome]:
        """Encode and keep entries; one round trip if all fit."""
        started = perf_counter()
        sealed = [self._record(key, entry) for key, entry in items]
        records = [record for record in sealed if isinstance(record, Record)]
        written = iter(self._write(records, lease) if records else ())
        outcomes = [next(written) if isinstance(one, Record) else one for one in sealed]
        for (key, _), outcome in zip(items, outcomes, strict=True):
            self._count(key, outcome, lease)
        self._seconds.add(perf_counter() - started)
        return outcomes

    def put(self, key: Key, entry: Entry, lease: int | None = None) -> Outcome:
        """Encode and keep one entry."""
        started = perf_counter()
        outcome = self._record(key, entry)
        if isinstance(outcome, Record):
            outcome = self._write((outcome,), lease)[0]
        self._count(key, outcome, lease)
        self._seconds.add(perf_counter() - started)
        return outcome

    def _count(self, key: Key, outcome: Outcome, lease: int | None) -> None:
        if outcome is Outcome.KEPT:
            self._puts.add(1)
            return
        self._counts.add(outcome.name.lower())
        if outcome is not Outcome.FENCED:
            self._displace(key, lease)

    def _displace(self, key: Key, lease: int | None) -> None:
        """Drop the older value of a key whose newer one could not be kept here."""
        with contextlib.suppress(ReadOnlyError):
            if lease is None:
                self.store.invalidate(Invalidation(digest=key.digest))
            elif self.store.get_many([key])[0] is not None:
                self.store.evict_many([key.digest])

    def _record(self, key: Key, entry: Entry) -> Record | Outcome:
        codec = self.codec_of(key.namespace)
        try:
            buffers = seal(key, codec, entry, codec.encode(entry.value), self._secret)
        except EncodeError as error:
            self._report_unstorable(key, entry.value, error)
            return Outcome.UNSTORABLE
        size = blob_size(buffers)
        if size > self.capacity_bytes:
            return Outcome.TOO_LARGE
        info = RecordInfo(
            key,
            size,
            entry.cost_s,
            entry.version,
            entry.created_at,
            max(entry.stale_until, entry.expires_at),
            entry.tags,
        )
        return Record(info, tuple(buffers))

    def _report_unstorable(self, key: Key, value: Any, error: EncodeError) -> None:
        """A value that no codec takes stays in the tiers above: said once for each type."""
        self._tell("unstorable", key, detail=str(error))
        if type(value) not in self._warned:
            self._warned.add(type(value))
            warn(
                f"values of namespace {key.namespace!r} are not kept in tier {self.name!r}: "
                f"{error}",
            )

    def _write(self, records: Sequence[Record], lease: int | None) -> list[Outcome]:
        """Write in one batch if all fit at once, otherwise one by one."""
        try:
            written = self._write_batch(records, lease)
        except StoreFullError:
            if len(records) == 1:
                return [Outcome.NO_ROOM]
            return [self._write([record], lease)[0] for record in records]
        return [Outcome.KEPT if ok else Outcome.FENCED for ok in written]

    def _write_batch(self, records: Sequence[Record], lease: int | None) -> list[bool]:
        need = sum(record.info.size_bytes for record in records)
        for _ in range(_EVICTION_ROUNDS):
            try:
                return self._put_now(records, lease)
            except StoreFullError:
                if need > self.capacity_bytes or not self._evict(need):
                    raise
        return self._put_now(records, lease)

    def _put_now(self, records: Sequence[Record], lease: int | None) -> list[bool]:
        """Write; what is put without a lease is newer than every copy anywhere."""
        return self.store.put_many(
            records, limit_bytes=self.capacity_bytes, lease=lease, replaces=lease is None
        )

    def _evict(self, need_bytes: int) -> bool:
        """Make room for `need_bytes`; return whether anything went."""
        used, _ = self.store.usage()
        surplus = used + need_bytes - self.capacity_bytes + int(self.capacity_bytes * _SLACK)
        victims = self._ledger.victims(max(surplus, need_bytes // 4, 1))
        if not victims:
            return False
        self.store.evict_many(victims)
        self._counts.add("evictions", len(victims))
        return True

    def invalidate(self, what: Invalidation) -> int:
        """Drop all that matches, in every process, and refuse puts under older leases."""
        return self.store.invalidate(what)

    def resize(self, capacity_bytes: int) -> None:
        """Change this process's bound; what no longer fits is evicted."""
        self.capacity_bytes = capacity_bytes
        if self.store.usage()[0] > capacity_bytes:
            self._evict(0)

    def sweep(self) -> int:
        """Remove what is past its grace, for all processes. O(entries)."""
        now = self._clock.now()
        expired = [info.key.digest for info in self.store.scan() if info.expires_at <= now]
        self.store.evict_many(expired)
        self._counts.add("expirations", len(expired))
        return len(expired)

    def position(self) -> int | None:
        """Return where the store's journal stands."""
        return self.store.lease()

    def holds_many(self, keys: Sequence[Key]) -> list[bool]:
        """Return for each key whether a blob is stored, without verifying or decoding it."""
        return [stored is not None for stored in self.store.get_many(keys)]

    def scan(self) -> Iterator[RecordInfo]:
        """Yield what is stored, over all processes."""
        return self.store.scan()

    def stats(self) -> TierStats:
        """Return this process's counts and the store's size over all processes."""
        size, entries = self.store.usage()
        counts = self._counts.as_dict()
        tallies = {"hits": self._hits, "misses": self._misses, "puts": self._puts}
        counts |= {name: int(tally.total()) for name, tally in tallies.items()}
        seconds = self._seconds.total()
        return TierStats(self.name, self.capacity_bytes, size, entries, counts, seconds)

    def check(self) -> list[str]:
        """Recompute the store's accounts."""
        faults = self.store.check()
        used, _ = self.store.usage()
        if used > self.capacity_bytes:
            faults.append(f"{used} bytes are charged, more than the bound of {self.capacity_bytes}")
        return [f"{self.name}: {fault}" for fault in faults]

    def close(self) -> None:
        """Release the store."""
        self.store.close()

    def __repr__(self) -> str:
        what = f"{self.store!r}, {self.capacity_bytes} bytes, {self.codec.id}"
        return f"{self.name.capitalize()}({what})"
