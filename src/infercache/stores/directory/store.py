"""Small values and the index in LMDB, large values as mapped files, in one directory."""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from infercache.clock import Clock, SystemClock
from infercache.entry import NEVER
from infercache.errors import StoreError, StoreFullError
from infercache.forks import forget_in_child
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
from infercache.stores.directory import rows
from infercache.stores.directory.audit import RepairReport, Verify, check, repair
from infercache.stores.directory.changes import Changes, read_changes
from infercache.stores.directory.connection import Connection, Options
from infercache.stores.directory.index import Index
from infercache.stores.directory.layout import FOREIGN, Layout, is_volatile, resolve
from infercache.stores.directory.prepare import Preparation, Prepared, discard
from infercache.stores.directory.touches import Touches
from infercache.units import format_size, parse_size

T = TypeVar("T")

INLINE_BYTES = 16 * 1024
JOURNAL_LENGTH = 16_384
MAP_BYTES = 1 << 20
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
        map_bytes: Size of the index's map at first; it grows as needed.
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
        self._reopen = functools.partial(
            DirectoryStore,
            read_only=read_only,
            clock=clock,
            inline_bytes=inline_bytes,
            journal_length=journal_length,
            map_bytes=map_bytes,
            durable=durable,
        )
        self.path = resolve(path)
        self._clock: Clock = clock or SystemClock()
        self._preparation = Preparation(parse_size(inline_bytes, "inline_bytes"))
        self._journal_length = journal_length
        self._touches = Touches()
        self._writer = secrets.token_bytes(8)
        options = Options(parse_size(map_bytes, "map_bytes"), read_only, durable)
        self._connection = Connection(self.path, options)
        self.generation_path = Layout(self.path).generation
        self.features = StoreFeatures(
            persistent=not is_volatile(self.path),
            shared=True,
            conditional_put=True,
            zero_copy=True,
            fenced=True,
        )
        forget_in_child(self)

    def forget_parent(self) -> None:
        """Become another writer than the parent process; called in a forked child."""
        self._writer = secrets.token_bytes(8)
        self._touches = Touches()

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reopen, (str(self.path),)

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self.path)!r})"

    @property
    def read_only(self) -> bool:
        """Whether puts are refused: asked for, or because the directory is mounted read-only."""
        return self._connection.live().read_only

    # -- reading ---------------------------------------------------------------------------

    def get_many(self, keys: Sequence[Key]) -> list[Stored | None]:
        """Return the blob or None for each key, in order, from one read transaction."""
        index = self._connection.live()
        try:
            if len(keys) == 1:
                digest = keys[0].digest
                row = index.get_row(digest)
                return [None if row is None else self._read(index, digest, row)]
            found = index.get_rows([key.digest for key in keys])
            return [
                None if row is None else self._read(index, key.digest, row)
                for key, row in zip(keys, found, strict=True)
            ]
        except FOREIGN as error:
            raise self._connection.translated(error) from error

    def _read(self, index: Index, digest: bytes, row: bytes) -> Stored | None:
        if not rows.is_known(row):
            return None
        _, flags, _, header, expires_at = rows.HEAD.unpack_from(row)
        if expires_at != NEVER and self._clock.now() >= expires_at:
            return None
        if not flags & rows.IN_FILE:
            return Stored(row[header:])
        return self._read_file(index, digest, row)

    def _read_file(self, index: Index, digest: bytes, row: bytes) -> Stored | None:
        while True:
            file = rows.row_file(row)
            if file is None:
                return self._read(index, digest, row)
            stored = self._connection.values.read(digest, file)
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
        if self._connection.live().read_only:
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
                infos, start = self._scan_chunk(self._connection.live(), start)
            except FOREIGN as error:
                raise self._connection.translated(error) from error
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
                if not rows.is_known(row):
                    continue
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
        return self._connection.counter.load()

    def lease(self) -> int:
        """Return the journal's position now."""
        return self._ask(Index.account).sequence

    def changes(self, since: int) -> list[Change] | None:
        """Return the journal after a position, or None if it no longer reaches so far."""
        return self._ask(lambda index: read_changes(index, since, self._writer))

    def note_hits(self, digests: Sequence[bytes]) -> None:
        """Remember that records were read, and journal it with the next write. O(1) each."""
        self._touches.add(digests)

    def publish_hits(self) -> None:
        """Journal the hits that are remembered now, for a process that reads but never writes."""
        if self._touches and not self.read_only:
            self._write(lambda changes: None)

    # -- writing ---------------------------------------------------------------------------

    def put_many(
        self,
        records: Sequence[Record],
        *,
        if_version: Sequence[int | None] | None = None,
        limit_bytes: int | None = None,
        lease: int | None = None,
        replaces: bool = False,
    ) -> list[bool]:
        """Write records in one transaction; see `SharedStore.put_many`."""
        if not records:
            return []
        self._connection.writable()
        try:
            prepared = self._preparation.prepare(self._connection.values, records)
        except OSError as error:
            raise self._connection.translated(error) from error

        def put(changes: Changes) -> list[bool]:
            for at, record in enumerate(prepared):
                expected = if_version[at] if if_version is not None else None
                record.used = self._is_wanted(changes, record, expected, lease)
                if record.used:
                    changes.put(record, replaces)
            done = [record.used for record in prepared]
            if limit_bytes is not None and any(done):
                self._check_limit(changes.account.size_bytes, limit_bytes)
            return done

        try:
            return self._write(put)
        except StoreError as error:
            for record in prepared:
                record.used = False
            if isinstance(error, StoreFullError):
                self.publish_hits()  # who makes room now must know what was read
            raise
        finally:
            discard(self._connection.values, prepared)

    def _is_wanted(
        self, changes: Changes, record: Prepared, version: int | None, lease: int | None
    ) -> bool:
        if lease is not None and changes.is_fenced(record.key, record.tags, lease):
            return False
        if version is None:
            return True
        row = changes.get(record.key.digest)
        if row is not None and rows.HEAD.unpack_from(row)[4] <= self._clock.now():
            row = None
        return version == 0 if row is None else version == rows.row_version(row) != 0

    def _check_limit(self, size_bytes: int, limit_bytes: int) -> None:
        if size_bytes > limit_bytes:
            raise StoreFullError(
                f"store directory {self.path} would hold {format_size(size_bytes)} of at most "
                f"{format_size(limit_bytes)}; nothing was written: evict first"
            )

    def delete_many(self, keys: Sequence[Key]) -> int:
        """Delete records, journalled as "evict": copies elsewhere stay valid."""
        return sum(freed > 0 for freed in self._evict([key.digest for key in keys]))

    def evict_many(self, digests: Sequence[bytes]) -> int:
        """Delete records to make room; return how many charged bytes that freed."""
        return sum(self._evict(digests))

    def _evict(self, digests: Sequence[bytes]) -> list[int]:
        try:
            return self._evict_at_once(digests)
        except StoreFullError:
            self._make_room_to_delete(digests)
            return [freed for digest in digests for freed in self._evict_at_once([digest])]

    def _evict_at_once(self, digests: Sequence[bytes]) -> list[int]:
        return self._write(lambda changes: [changes.evict(digest) for digest in digests])

    def _make_room_to_delete(self, digests: Sequence[bytes]) -> None:
        """On a full device the index has no page for deleting either: delete files first.

        A record without its file reads as missing. Transactions of one record each then need
        few pages at a time, and free more.
        """
        found = self._ask(lambda index: index.get_rows(digests))
        for digest, row in zip(digests, found, strict=True):
            file = rows.row_file(row) if row is not None else None
            if file is not None:
                self._connection.values.remove(digest, file.serial)
        self._connection.live().drop_ballast()

    def invalidate(self, what: Invalidation) -> int:
        """Delete all that matches, journal and fence it; return how many records went.

        Costs O(matching records), through the lists of members of each key space and tag.
        """
        try:
            return self._write(lambda changes: changes.invalidate(what))
        except StoreFullError:
            self._connection.live().drop_ballast()
            return self._write(lambda changes: changes.invalidate(what))

    def _write(self, body: Callable[[Changes], T]) -> T:
        """Run a change in one transaction, then tell the other processes and delete files."""
        index = self._connection.writable()
        touches = self._touches.take()

        def run(txn: Any) -> tuple[Changes, T]:
            changes = Changes(index, txn, self._writer, self._journal_length)
            result = body(changes)
            if touches:
                changes.touch(touches)
            changes.finish()
            return changes, result

        try:
            changes, result = index.write(run)
            if changes.loud:
                self._connection.counter.bump()
            if changes.spaces:
                index.known_spaces.update(changes.spaces)
            for digest, file in changes.doomed:
                self._connection.values.remove(digest, file.serial)
        except FOREIGN as error:
            self._touches.give_back(touches)
            raise self._connection.translated(error) from error
        return result

    # -- care ------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Recompute account, lists and files; return a sentence for each that is wrong."""
        return self._ask(lambda index: check(index, self._connection.values))

    def repair(self, verify: Verify | None = None) -> RepairReport:
        """Put right what `check` finds, and delete what no record refers to.

        Args:
            verify: Returns whether a blob is what its record says; others are deleted.
        """
        self._connection.writable()
        return self._ask(
            lambda index: repair(
                index, self._connection.values, self._writer, self._journal_length, verify
            )
        )

    def close(self) -> None:
        """Release the directory; views that were handed out stay valid."""
        self._connection.close()

    def _ask(self, question: Callable[[Index], T]) -> T:
        index = self._connection.live()
        try:
            return question(index)
        except FOREIGN as error:
            raise self._connection.translated(error) from error
