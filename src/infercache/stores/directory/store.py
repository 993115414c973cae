"""Small values and the index in LMDB, large values as mapped files, in one directory."""

from __future__ import annotations

import functools
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import lmdb

from infercache.clock import Clock, SystemClock
from infercache.entry import NEVER
from infercache.errors import (
    ReadOnlyError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
)
from infercache.key import Key
from infercache.stores.base import (
    Change,
    Invalidation,
    Record,
    RecordInfo,
    SharedStore,
    Stored,
    StoreFeatures,
)
from infercache.stores.directory import opening, rows
from infercache.stores.directory.audit import RepairReport, Verify, check, repair
from infercache.stores.directory.changes import Changes, read_changes
from infercache.stores.directory.generation import SharedCounter
from infercache.stores.directory.index import Index
from infercache.stores.directory.layout import claim, is_volatile, resolve, translate
from infercache.stores.directory.rows import FilePart
from infercache.stores.directory.values import Values, flatten
from infercache.units import format_size, parse_size

T = TypeVar("T")

INLINE_BYTES = 16 * 1024
JOURNAL_LENGTH = 16_384
MAP_BYTES = 1 << 30
_KEPT_TOUCHES = 1024
_SCAN_CHUNK = 512


class DirectoryStore(SharedStore):
    """Keeps records in a directory that any number of processes use at once.

    On a disk it persists; on tmpfs (`/dev/shm`) it is shared memory. A hit takes no write
    transaction: small values are copied out of LMDB (some microseconds), large ones are mapped
    once and handed out as the same read-only view for as long as their file is unchanged.
    Thread-safe, usable after a fork, and pickled as its arguments.

    Args:
        path: The directory; made if missing. It must be empty or ours.
        read_only: Only read; also chosen by itself where the directory is mounted read-only.
        clock: Where the time of expiry comes from.
        inline_bytes: Values up to this size lie in the index, larger ones in files.
        journal_length: Writes after which a reader that looked at nothing must start anew.
        map_bytes: Address space reserved for the index at first; it grows as needed.
        durable: Flush every write to the device. Without it a killed process loses nothing, but
            a power loss may undo the last seconds, invalidations included.

    Raises:
        ForeignDirectoryError: the directory holds something else, or a newer format.
        StoreError: it cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        clock: Clock | None = None,
        inline_bytes: int | str = INLINE_BYTES,
        journal_length: int = JOURNAL_LENGTH,
        map_bytes: int | str = MAP_BYTES,
        durable: bool = False,
    ) -> None:
        self._arguments = {
            "read_only": read_only, "clock": clock, "inline_bytes": inline_bytes,
            "journal_length": journal_length, "map_bytes": map_bytes, "durable": durable,
        }  # fmt: skip
        self.path = resolve(path)
        self._wants_read_only = read_only
        self._clock: Clock = clock or SystemClock()
        self._inline_bytes = parse_size(inline_bytes, "inline_bytes")
        self._journal_length = journal_length
        self._map_bytes = parse_size(map_bytes, "map_bytes")
        self._durable = durable
        self._closed = False
        self._index: Index | None = None
        self._renew_after_fork()
        self._open(create=not read_only)
        self.features = StoreFeatures(
            persistent=not is_volatile(self.path),
            shared=True,
            conditional_put=True,
            zero_copy=True,
            fenced=True,
        )
        _hook_fork(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(DirectoryStore, **self._arguments), (str(self.path),)

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self.path)!r})"

    @property
    def read_only(self) -> bool:
        """Whether puts are refused: asked for, or because the directory is mounted read-only."""
        return self._live().read_only

    # -- reading ---------------------------------------------------------------------------

    def get_many(self, keys: Sequence[Key]) -> list[Stored | None]:
        """Return the blob or None for each key, in order, from one read transaction."""
        index = self._live()
        try:
            found = index.get_rows([key.digest for key in keys])
            return [
                None if row is None else self._read(index, key.digest, row)
                for key, row in zip(keys, found, strict=True)
            ]
        except (OSError, lmdb.Error) as error:
            raise self._translated(error, index) from error

    def _read(self, index: Index, digest: bytes, row: bytes) -> Stored | None:
        _, flags, _, header, expires_at = rows.HEAD.unpack_from(row)
        if row[0] != rows.ROW_FORMAT or (expires_at != NEVER and self._clock.now() >= expires_at):
            return None
        if not flags & rows.IN_FILE:
            return Stored(row[header:])
        return self._read_file(index, digest, row)

    def _read_file(self, index: Index, digest: bytes, row: bytes) -> Stored | None:
        while True:
            file = rows.row_file(row)
            if file is None:
                return self._read(index, digest, row)
            stored = self._values.read(digest, file)
            if stored is not None:
                return stored
            # Deleted or replaced since the row was read; or the file was lost, if it still says so.
            newer = index.get_row(digest)
            if newer is None:
                return None
            if newer == row:
                self._drop_dangling(digest, row)
                return None
            row = newer

    def _drop_dangling(self, digest: bytes, row: bytes) -> None:
        if self._live().read_only:
            return

        def drop(changes: Changes) -> None:
            if changes.get(digest) == row:
                changes.evict(digest)

        self._write(drop)

    def scan(self, scope: str | None = None, namespace: str | None = None) -> Iterator[RecordInfo]:
        """Yield what is stored, in the order of digests, a chunk of records to a transaction."""
        start: bytes | None = b""
        while start is not None:
            try:
                infos, start = self._scan_chunk(self._live(), start)
            except (OSError, lmdb.Error) as error:
                raise self._translated(error, self._index) from error
            for info in infos:
                if scope in (None, info.key.scope) and namespace in (None, info.key.namespace):
                    yield info

    def _scan_chunk(self, index: Index, start: bytes) -> tuple[list[RecordInfo], bytes | None]:
        infos: list[RecordInfo] = []
        names: dict[bytes, tuple[str, str, str]] = {}
        with index.read() as txn:
            cursor = txn.cursor(index.records)
            if not (cursor.set_range(start) if start else cursor.first()):
                return infos, None
            for digest, row in cursor.iternext():
                if len(infos) >= _SCAN_CHUNK:
                    return infos, bytes(digest)
                space = rows.row_space(row)
                if space not in names:
                    names[space] = rows.decode_space(txn.get(space, None, index.spaces))
                infos.append(rows.row_info(bytes(digest), row, names[space]))
        return infos, None

    def usage(self) -> tuple[int, int]:
        """Return charged bytes and number of records, over all processes. O(1)."""
        account = self._ask(Index.account)
        return account.size_bytes, account.entries

    def generation(self) -> int:
        """Return a number that changes with every "replace" and "invalidate". Tens of ns."""
        return self._counter.load()

    def lease(self) -> int:
        """Return the journal's position now."""
        return self._ask(Index.account).sequence

    def changes(self, since: int) -> list[Change] | None:
        """Return the journal after a position, or None if it no longer reaches so far."""
        return self._ask(lambda index: read_changes(index, since, self._writer))

    def note_hits(self, digests: Iterable[bytes]) -> None:
        """Remember that records were read, and journal it with the next write; O(1) each.

        At most the 1024 newest are kept, each once: they only say what not to evict.
        """
        with self._touch_lock:
            for digest in digests:
                self._touches.pop(digest, None)
                self._touches[digest] = None
            while len(self._touches) > _KEPT_TOUCHES:
                del self._touches[next(iter(self._touches))]

    def publish_hits(self) -> None:
        """Journal what `note_hits` remembers now, for processes that read but never write."""
        if self._touches and not self._live().read_only:
            self._write(lambda changes: None)

    # -- writing ---------------------------------------------------------------------------

    def put_many(
        self,
        records: Sequence[Record],
        *,
        if_version: Sequence[int | None] | None = None,
        limit_bytes: int | None = None,
        lease: int | None = None,
    ) -> list[bool]:
        """Write records in one transaction; see `Store.put_many`."""
        if not records:
            return []
        expected = if_version or [None] * len(records)
        rows_files = self._write_aside(records)
        used: set[int] = set()

        def put(changes: Changes) -> list[bool]:
            used.clear()
            done = []
            for record, (row, space, file), version in zip(
                records, rows_files, expected, strict=True
            ):
                info = record.info
                wanted = self._is_wanted(changes, info, version, lease)
                done.append(wanted)
                if wanted:
                    changes.put(info.key, row, info.tags, space)
                    if file is not None:
                        used.add(file.serial)
            self._check_limit(changes.account.size_bytes, limit_bytes, any(done))
            return done

        try:
            return self._write(put)
        except StoreError:
            used.clear()
            raise
        finally:
            for record, (_, _, file) in zip(records, rows_files, strict=True):
                if file is not None and file.serial not in used:
                    self._values.remove(record.info.key.digest, file.serial)

    def _is_wanted(
        self, changes: Changes, info: RecordInfo, version: int | None, lease: int | None
    ) -> bool:
        if lease is not None and changes.is_fenced(info.key, info.tags, lease):
            return False
        if version is None:
            return True
        row = changes.get(info.key.digest)
        if row is not None and rows.HEAD.unpack_from(row)[4] <= self._clock.now():
            row = None
        return version == 0 if row is None else version == rows.row_version(row) != 0

    def _check_limit(self, size_bytes: int, limit_bytes: int | None, written: bool) -> None:
        if limit_bytes is not None and written and size_bytes > limit_bytes:
            raise StoreFullError(
                f"store directory {self.path} would hold {format_size(size_bytes)} of at most "
                f"{format_size(limit_bytes)}; nothing was written: evict first"
            )

    def _write_aside(self, records: Sequence[Record]) -> list[tuple[bytes, bytes, FilePart | None]]:
        """Write the large values, and return row, space and file of each record."""
        index = self._writable()
        prepared: list[tuple[bytes, bytes, FilePart | None]] = []
        try:
            for record in records:
                prepared.append(self._prepare(record))
        except (OSError, lmdb.Error) as error:
            for record, (_, _, file) in zip(records, prepared, strict=False):
                if file is not None:
                    self._values.remove(record.info.key.digest, file.serial)
            raise self._translated(error, index) from error
        return prepared

    def _prepare(self, record: Record) -> tuple[bytes, bytes, FilePart | None]:
        info, key = record.info, record.info.key
        views = flatten(record.buffers)
        blob_bytes = sum(view.nbytes for view in views)
        space = self._space(key)
        if blob_bytes <= self._inline_bytes:
            charge = rows.inline_charge(blob_bytes)
            return rows.encode_row(info, space, charge, None, b"".join(views)), space, None
        file = self._values.write(info, views)
        charge = rows.file_charge(file.file_bytes)
        return rows.encode_row(info, space, charge, file, b""), space, file

    def _space(self, key: Key) -> bytes:
        names = (key.scope, key.namespace, key.version)
        space = self._spaces.get(names)
        if space is None:
            if len(self._spaces) > _KEPT_TOUCHES:
                self._spaces.clear()
            space = self._spaces[names] = rows.space_id(*names)
        return space

    def delete_many(self, keys: Sequence[Key]) -> int:
        """Delete records, journalled as "evict": copies elsewhere stay valid."""
        digests = [key.digest for key in keys]
        return self._write(lambda changes: sum(changes.evict(digest) > 0 for digest in digests))

    def evict_many(self, digests: Sequence[bytes]) -> int:
        """Delete records to make room; return how many charged bytes that freed."""
        return self._write(lambda changes: sum(changes.evict(digest) for digest in digests))

    def invalidate(self, what: Invalidation) -> int:
        """Delete all that matches, journal and fence it; return how many records went.

        Costs O(matching records), through the lists of members of each key space and tag.
        """
        return self._write(lambda changes: changes.invalidate(what))

    def _write(self, body: Callable[[Changes], T]) -> T:
        """Run a change in one transaction, then tell the other processes and delete files."""
        index = self._writable()
        with self._touch_lock:
            touches = list(self._touches)
            self._touches.clear()

        def run(txn: Any) -> tuple[Changes, T]:
            changes = Changes(index, txn, self._writer, self._journal_length)
            result = body(changes)
            changes.touch(touches)
            changes.finish()
            return changes, result

        try:
            changes, result = index.write(run)
            if changes.loud:
                self._counter.bump()
            for digest, file in changes.doomed:
                self._values.remove(digest, file.serial)
        except (OSError, lmdb.Error) as error:
            raise self._translated(error, index) from error
        return result

    # -- care ------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Recompute account, lists and files; return a sentence for each that is wrong."""
        return self._ask(lambda index: check(index, self._values))

    def repair(self, verify: Verify | None = None) -> RepairReport:
        """Put right what `check` finds, and delete what no record refers to.

        Args:
            verify: Returns whether a blob is what its record says; others are deleted.
        """
        self._writable()
        return self._ask(
            lambda index: repair(index, self._values, self._writer, self._journal_length, verify)
        )

    def close(self) -> None:
        """Release the directory; views that were handed out stay valid."""
        if self._closed:
            return
        self._closed = True
        index, self._index = self._index, None
        self._values.clear()
        if index is not None:
            opening.release(index)

    # -- the environment -------------------------------------------------------------------

    def _open(self, *, create: bool) -> Index:
        try:
            layout = claim(self.path, create=create)
            index = opening.acquire(
                layout,
                map_bytes=self._map_bytes,
                read_only=self._wants_read_only,
                durable=self._durable,
            )
            self._counter = SharedCounter(layout, read_only=index.read_only)
        except (OSError, lmdb.Error) as error:
            if isinstance(error, StoreError):
                raise
            raise translate(error, self.path) from error
        self._values = Values(layout, durable=self._durable)
        self._index = index
        return index

    def _live(self, *, now: bool = False) -> Index:
        """Return the environment, opened anew if the directory vanished and came back."""
        index = self._index
        if index is not None and index.is_alive(now=now):
            return index
        with self._open_lock:
            if self._closed:
                raise StoreUnavailableError(f"store directory {self.path} was closed here")
            if self._index is index:
                if index is not None:
                    opening.discard(index)
                    self._index = None
                self._open(create=False)
            if self._index is None:
                raise StoreUnavailableError(f"store directory {self.path} is gone")
            return self._index

    def _writable(self) -> Index:
        index = self._live(now=True)
        if index.read_only:
            raise ReadOnlyError(
                f"store directory {self.path} is open read-only; reads work, puts do not: "
                "open it without read_only=True, or remount it writable"
            )
        return index

    def _ask(self, question: Callable[[Index], T]) -> T:
        index = self._live()
        try:
            return question(index)
        except (OSError, lmdb.Error) as error:
            raise self._translated(error, index) from error

    def _translated(self, error: OSError | lmdb.Error, index: Index | None) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if index is not None and index.is_broken_by(error):
            opening.discard(index)
        return translate(error, self.path)

    def _renew_after_fork(self) -> None:
        self._open_lock = threading.Lock()
        self._touch_lock = threading.Lock()
        self._touches: dict[bytes, None] = {}
        self._spaces: dict[tuple[str, str, str], bytes] = {}
        self._writer = secrets.token_bytes(8)


_stores: weakref.WeakSet[DirectoryStore] = weakref.WeakSet()
_hooked = False


def _hook_fork(store: DirectoryStore) -> None:
    global _hooked
    _stores.add(store)
    if not _hooked:
        os.register_at_fork(after_in_child=_renew_stores)
        _hooked = True


def _renew_stores() -> None:
    for store in list(_stores):
        store._renew_after_fork()
