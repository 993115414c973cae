"""The contract of every place that keeps bytes.

A store moves opaque records in batches. It never sees live values, policies or other tiers.
A missing record is `None` (a value); a store that cannot answer raises `StoreError` (an
outage). `infercache.testing.store_kit` is this contract as tests.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from infercache.entry import NEVER
from infercache.key import Key

Buffer = bytes | bytearray | memoryview


class RecordInfo(msgspec.Struct, frozen=True, gc=False):
    """What an index knows of a record without reading its bytes.

    Attributes:
        key: The full key.
        size_bytes: Bytes that the store charges for it, its index record included.
        cost_s: Seconds that the value took to compute.
        version: Number of the write; 0 for immutable values.
        created_at: Seconds since the epoch.
        expires_at: Seconds since the epoch after which readers must treat it as missing
            (the tier's `stale_until`); `NEVER` for none.
        tags: Names under which it can be invalidated.
    """

    key: Key
    size_bytes: int
    cost_s: float = 0.0
    version: int = 0
    created_at: float = 0.0
    expires_at: float = NEVER
    tags: tuple[str, ...] = ()


class Record(msgspec.Struct, frozen=True, gc=False):
    """What is written: one blob, as one or more buffers that follow each other."""

    info: RecordInfo
    buffers: tuple[Buffer, ...]


class Stored(msgspec.Struct, eq=False):
    """What is read: one blob, as one buffer.

    The buffer stays valid while it is held, even if the record is deleted meanwhile, and may
    be a read-only view of pages shared with other processes.

    Attributes:
        buffer: The bytes.
        verified: What the reader made of these very bytes once they had verified, or None.
            The reader sets it; a store that hands out the same mapping again hands out the
            same `Stored`, as long as the file behind it is unchanged, so that a large value
            is verified once in each process and not on every hit.
    """

    buffer: Buffer
    verified: object | None = None


@dataclass(frozen=True, slots=True)
class StoreFeatures:
    """What a store can do, stated positively.

    Attributes:
        persistent: Records survive a restart of the process.
        shared: Other processes see the same records.
        conditional_put: `if_version` is honoured atomically.
        zero_copy: Large records are handed out as views, not copies.
        fenced: Invalidations are recorded, and a put under an older lease is refused.
    """

    persistent: bool = False
    shared: bool = False
    conditional_put: bool = False
    zero_copy: bool = False
    fenced: bool = False


class Store(abc.ABC):
    """Where bytes are kept. Every method is thread-safe; batches are the primitive."""

    features: StoreFeatures = StoreFeatures()

    @abc.abstractmethod
    def get_many(self, keys: Sequence[Key]) -> list[Stored | None]:
        """Return the blob or None for each key, in order. One round trip.

        Raises:
            StoreError: the store could not answer.
        """

    @abc.abstractmethod
    def put_many(
        self,
        records: Sequence[Record],
        *,
        if_version: Sequence[int | None] | None = None,
        limit_bytes: int | None = None,
        lease: int | None = None,
    ) -> list[bool]:
        """Write records, all visible whole or not at all, each for itself. One round trip.

        Args:
            records: What to write; a record under a known key replaces it.
            if_version: For each record the version that must be stored now (0: none may be),
                or None to write in any case.
            limit_bytes: Refuse with `StoreFullError` before writing anything if the store's
                charged bytes would pass this.
            lease: What `lease()` returned before the values were computed (fenced stores):
                a record whose key, tag or namespace was invalidated since is not written.

        Returns:
            For each record, whether it was written.

        Raises:
            StoreFullError: no room; nothing was written.
            StoreError: the store could not answer.
        """

    @abc.abstractmethod
    def delete_many(self, keys: Sequence[Key]) -> int:
        """Delete records and return how many there were. One round trip."""

    @abc.abstractmethod
    def scan(self, scope: str | None = None, namespace: str | None = None) -> Iterator[RecordInfo]:
        """Yield what is stored, in any order, without reading the values."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release everything; closing twice is allowed."""

    def check(self) -> list[str]:
        """Recompute the accounts and return a sentence for each that does not add up."""
        return []


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a shared store's journal.

    Attributes:
        sequence: Position in the journal, growing by one.
        kind: "put", "replace" (another value under a known key), "evict" (deleted to make
            room: copies elsewhere stay valid), "touch" (it was read) or "invalidate" (copies
            elsewhere are no longer valid).
        digest: Which key, or b"" where a tag, a namespace or all was invalidated.
        size_bytes: Charged bytes, for "put" and "replace".
        cost_s: Cost, for "put" and "replace".
        expires_at: Expiry, for "put" and "replace".
        target: For "invalidate" of more than one key: what was invalidated.
        own: Whether this very store object wrote it, so that its reader knows of it already.
    """

    sequence: int
    kind: str
    digest: bytes = b""
    size_bytes: int = 0
    cost_s: float = 0.0
    expires_at: float = NEVER
    target: Invalidation | None = None
    own: bool = False


class Invalidation(msgspec.Struct, frozen=True, gc=False):
    """What is no longer valid: the parts that are given must all match.

    Attributes:
        scope: Only this tenant's; None for every tenant's.
        namespace: Only this namespace's; None for every namespace's.
        version: Only this version of the namespace.
        tag: Only entries with this tag.
        digest: Only this key.
    """

    scope: str | None = None
    namespace: str | None = None
    version: str | None = None
    tag: str | None = None
    digest: bytes | None = None

    def matches(self, key: Key, tags: Iterable[str]) -> bool:
        """Return whether an entry under this key with these tags is meant."""
        return (
            (self.scope is None or self.scope == key.scope)
            and (self.namespace is None or self.namespace == key.namespace)
            and (self.version is None or self.version == key.version)
            and (self.digest is None or self.digest == key.digest)
            and (self.tag is None or self.tag in tags)
        )


class SharedStore(Store):
    """A store on this machine that several processes use at once, with its own account.

    The account (bytes, entries), the journal of changes and the fences of past invalidations
    live in the store's own index, written in the same transaction as what they describe.

    Attributes:
        generation_path: File whose first 8 bytes are the generation, little-endian, for
            readers that map it themselves; None if there is no such file.
    """

    generation_path: Path | None = None

    @abc.abstractmethod
    def put_many(
        self,
        records: Sequence[Record],
        *,
        if_version: Sequence[int | None] | None = None,
        limit_bytes: int | None = None,
        lease: int | None = None,
        replaces: bool = False,
    ) -> list[bool]:
        """Write records as any store does.

        With `replaces` they are newer than every copy anywhere: journalled as "replace" even
        where nothing was stored (copies of what was evicted may live on in other processes),
        and fenced: a put of these keys under an older lease is refused.
        """

    @abc.abstractmethod
    def usage(self) -> tuple[int, int]:
        """Return charged bytes and number of entries, over all processes. O(1)."""

    @abc.abstractmethod
    def generation(self) -> int:
        """Return a number that changes with every "replace" and "invalidate". Tens of ns."""

    @abc.abstractmethod
    def lease(self) -> int:
        """Return the journal's position now; given to `put_many` it fences older values off."""

    @abc.abstractmethod
    def changes(self, since: int) -> list[Change] | None:
        """Return the journal after position `since`, or None if it no longer reaches so far."""

    @abc.abstractmethod
    def invalidate(self, what: Invalidation) -> int:
        """Delete all that matches, journal it and fence it; return how many entries went."""

    @abc.abstractmethod
    def evict_many(self, digests: Sequence[bytes]) -> int:
        """Delete to make room: journalled as "evict"; return how many bytes that freed."""

    def note_hits(self, digests: Sequence[bytes]) -> None:
        """Remember that these were read; published as "touch" with the next write. No I/O."""
