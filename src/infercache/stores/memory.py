"""Blobs in a dict: for tests, examples, and as the plainest reading of the store contract."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from msgspec import structs

from infercache.errors import StoreFullError, StoreUnavailableError
from infercache.key import Key
from infercache.stores.base import Record, RecordInfo, Store, Stored, StoreFeatures

RECORD_CHARGE = 64


class MemoryStore(Store):
    """Keeps blobs in this process. Thread-safe; every operation holds one lock.

    Expiry is left to readers.
    """

    features = StoreFeatures(conditional_put=True)

    def __init__(self) -> None:
        self._records: dict[bytes, tuple[RecordInfo, bytes]] = {}
        self._size_bytes = 0
        self._closed = False
        self._lock = threading.Lock()

    def get_many(self, keys: Sequence[Key]) -> list[Stored | None]:
        """Return the blob or None for each key, in order."""
        with self._open_lock():
            found = [self._records.get(key.digest) for key in keys]
        return [None if known is None else Stored(known[1]) for known in found]

    def put_many(
        self,
        records: Sequence[Record],
        *,
        if_version: Sequence[int | None] | None = None,
        limit_bytes: int | None = None,
        lease: int | None = None,
    ) -> list[bool]:
        """Write records; see `Store.put_many`. Leases are ignored: nothing is fenced here."""
        with self._open_lock():
            after = dict(self._records)
            size_bytes = self._size_bytes
            done = []
            for at, record in enumerate(records):
                known = after.get(record.info.key.digest)
                expected = if_version[at] if if_version is not None else None
                done.append(_is_expected(known, expected))
                if done[-1]:
                    blob = b"".join(record.buffers)
                    charge = len(blob) + RECORD_CHARGE
                    after[record.info.key.digest] = (
                        structs.replace(record.info, size_bytes=charge),
                        blob,
                    )
                    size_bytes += charge - (known[0].size_bytes if known else 0)
            if limit_bytes is not None and size_bytes > limit_bytes:
                raise StoreFullError(
                    f"memory store would hold {size_bytes} bytes of at most {limit_bytes}; "
                    "nothing was written: evict first"
                )
            self._records, self._size_bytes = after, size_bytes
        return done

    def delete_many(self, keys: Sequence[Key]) -> int:
        """Delete records and return how many there were."""
        with self._open_lock():
            gone = [self._records.pop(key.digest, None) for key in keys]
            sizes = [known[0].size_bytes for known in gone if known is not None]
            self._size_bytes -= sum(sizes)
        return len(sizes)

    def scan(self, scope: str | None = None, namespace: str | None = None) -> Iterator[RecordInfo]:
        """Yield what is stored now."""
        with self._open_lock():
            infos = [info for info, _ in self._records.values()]
        for info in infos:
            if scope in (None, info.key.scope) and namespace in (None, info.key.namespace):
                yield info

    def check(self) -> list[str]:
        """Recompute the account."""
        with self._lock:
            size_bytes = sum(info.size_bytes for info, _ in self._records.values())
            if size_bytes == self._size_bytes:
                return []
            return [f"the account says {self._size_bytes} bytes, the records {size_bytes}"]

    def close(self) -> None:
        """Forget everything."""
        self._closed = True
        self._records = {}

    def _open_lock(self) -> threading.Lock:
        if self._closed:
            raise StoreUnavailableError("the memory store was closed")
        return self._lock


def _is_expected(known: tuple[RecordInfo, bytes] | None, expected: int | None) -> bool:
    if expected is None:
        return True
    if known is None:
        return expected == 0
    return expected == known[0].version != 0
