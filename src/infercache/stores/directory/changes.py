"""What a write transaction does to records, account, journal and fences, all of it together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from infercache.entry import NEVER
from infercache.key import Key
from infercache.stores.base import Change, Invalidation
from infercache.stores.directory import rows
from infercache.stores.directory.index import ACCOUNT_KEY, Index
from infercache.stores.directory.prepare import Prepared
from infercache.stores.directory.rows import FilePart

KINDS = ("put", "replace", "evict", "touch", "invalidate")
PUT, REPLACE, EVICT, TOUCH, INVALIDATE = range(len(KINDS))
KEPT_FENCES = 4096
_TRIM_EVERY = 64

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def sequence_key(sequence: int) -> bytes:
    """Return the index key of a journal line or fence; byte order is order of time."""
    return sequence.to_bytes(8, "big")


class Changes:
    """The changes of one write transaction; nothing is visible until it commits.

    Args:
        index: The environment.
        txn: A write transaction of it.
        writer: 8 bytes that name the store object, so that it knows its own journal lines.
        journal_length: Lines that the journal keeps.
    """

    def __init__(self, index: Index, txn: Any, writer: bytes, journal_length: int) -> None:
        self._index = index
        self._txn = txn
        self._writer = writer
        self._journal_length = journal_length
        self._lines: list[tuple[Any, ...]] = []
        self._replaced: list[bytes] = []
        self.account = rows.decode_account(txn.get(ACCOUNT_KEY))
        self.doomed: list[tuple[bytes, FilePart]] = []
        self.spaces: list[bytes] = []
        self.loud = False

    def get(self, digest: bytes) -> bytes | None:
        """Return a record's row as this transaction sees it."""
        row: bytes | None = self._txn.get(digest, None, self._index.records)
        return row

    def put(self, record: Prepared, replaces: bool = False) -> None:
        """Write a record, replacing the one under its key, or what was there before."""
        index, put, digest, space = self._index, self._txn.put, record.key.digest, record.space
        known = self._txn.get(digest, None, index.records)
        if known is not None:
            self._forget(digest, known, keep_space=space)
        put(digest, record.row, True, True, False, index.records)
        if space not in index.known_spaces:
            put(space, rows.encode_space(record.key), True, False, False, index.spaces)
            self.spaces.append(space)
        put(space, digest, True, True, False, index.members)
        for tag in record.tags:
            put(rows.tag_id(tag), digest, True, True, False, index.members)
        self.account.size_bytes += record.charge
        self.account.entries += 1
        if replaces:
            self._replaced.append(digest)
        replaces |= known is not None
        kind = REPLACE if replaces else PUT
        self.loud |= replaces
        self._lines.append((kind, digest, record.charge, record.cost_s, record.expires_at))

    def evict(self, digest: bytes) -> int:
        """Delete a record to make room, and return the bytes that frees; 0 if it is not there."""
        row = self.get(digest)
        if row is None:
            return 0
        self._delete(digest, row)
        self._lines.append((EVICT, digest))
        return rows.row_charge(row)

    def touch(self, digests: Sequence[bytes]) -> None:
        """Journal that records were read."""
        if digests:
            self._lines.append((TOUCH, b"".join(digests)))

    def invalidate(self, what: Invalidation) -> int:
        """Delete all that matches, journal it and fence it off; return how many there were."""
        doomed = [(digest, row) for digest, row in self._matching(what)]
        for digest, row in doomed:
            self._delete(digest, row)
        line = (INVALIDATE, what.digest, what.scope, what.namespace, what.version, what.tag)
        self._lines.append(line)
        self.loud = True
        self._fence(line)
        return len(doomed)

    def is_fenced(self, key: Key, tags: Sequence[str], lease: int) -> bool:
        """Return whether an entry computed under this lease was invalidated since."""
        if lease >= self.account.last_fence:
            return False
        if lease < self.account.fence_floor:
            return True
        cursor = self._txn.cursor(self._index.fences)
        if not cursor.set_range(sequence_key(lease + 1)):
            return False
        return any(
            _is_meant(_decode(line), key, tags) for line in cursor.iternext(keys=False, values=True)
        )

    def finish(self) -> None:
        """Write account and journal; the transaction is ready to commit."""
        if not self._lines:
            return
        if self._replaced:  # one fence for all of them
            self._fence((INVALIDATE, b"".join(self._replaced), None, None, None, None))
        account, txn, index = self.account, self._txn, self._index
        account.sequence += 1
        if self.loud:
            account.loud = account.sequence
        line = _encode((self._writer, self._lines))
        txn.put(sequence_key(account.sequence), line, True, True, True, index.journal)
        if account.sequence % _TRIM_EVERY == 0:
            self._trim(index.journal, account.sequence - self._journal_length)
        txn.put(ACCOUNT_KEY, account.encode())

    def _delete(self, digest: bytes, row: bytes) -> None:
        self._forget(digest, row)
        self._txn.delete(digest, b"", self._index.records)

    def _forget(self, digest: bytes, row: bytes, keep_space: bytes | None = None) -> None:
        """Take a record out of the account and of all lists but the records themselves."""
        txn, members = self._txn, self._index.members
        space = rows.row_space(row)
        if space != keep_space:
            txn.delete(space, digest, members)
        for tag in rows.row_tags(row):
            txn.delete(rows.tag_id(tag), digest, members)
        self.account.size_bytes -= rows.row_charge(row)
        self.account.entries -= 1
        file = rows.row_file(row)
        if file is not None:
            self.doomed.append((digest, file))

    def _matching(self, what: Invalidation) -> Iterator[tuple[bytes, bytes]]:
        for digest in dict.fromkeys(self._candidates(what)):
            row = self.get(digest)
            if row is None:
                continue
            names = self._txn.get(rows.row_space(row), None, self._index.spaces)
            key = Key(*rows.decode_space(names), digest)
            if what.matches(key, rows.row_tags(row)):
                yield digest, row

    def _candidates(self, what: Invalidation) -> Iterable[bytes]:
        if what.digest is not None:
            return [what.digest]
        if what.tag is not None:
            return self._members(rows.tag_id(what.tag))
        return [
            digest
            for space, names in self._txn.cursor(self._index.spaces)
            if what.matches(Key(*rows.decode_space(names), bytes(16)), ())
            for digest in self._members(bytes(space))
        ]

    def _members(self, group: bytes) -> list[bytes]:
        cursor = self._txn.cursor(self._index.members)
        return (
            [bytes(digest) for _, digest in cursor.iternext_dup(True, True)]
            if cursor.set_key(group)
            else []
        )

    def _fence(self, line: tuple[Any, ...]) -> None:
        txn, fences = self._txn, self._index.fences
        self.account.last_fence = self.account.sequence + 1
        txn.put(sequence_key(self.account.last_fence), _encode(line), True, True, True, fences)
        if txn.stat(fences)["entries"] > KEPT_FENCES:
            cursor = txn.cursor(fences)
            cursor.first()
            self.account.fence_floor = int.from_bytes(cursor.key(), "big")
            cursor.delete()

    def _trim(self, database: Any, last: int) -> None:
        cursor = self._txn.cursor(database)
        while cursor.first() and int.from_bytes(cursor.key(), "big") <= last:
            cursor.delete()


def read_changes(index: Index, since: int, writer: bytes) -> list[Change] | None:
    """Return the journal after a position, or None if it does not reach that far back.

    The touched keys of one line share its position.
    """
    with index.read(buffers=False) as txn:
        head = rows.decode_account(txn.get(ACCOUNT_KEY)).sequence
        if since == head:
            return []
        if since > head:
            return None
        cursor = txn.cursor(index.journal)
        if not cursor.set_range(sequence_key(since + 1)):
            return None
        lines = [(int.from_bytes(key, "big"), _decode(line)) for key, line in cursor.iternext()]
    if len(lines) != head - since:
        return None
    return [
        change
        for sequence, (who, line) in lines
        for part in line
        for change in _changes(sequence, part, own=who == writer)
    ]


def _changes(sequence: int, part: Sequence[Any], *, own: bool) -> Iterator[Change]:
    kind = part[0]
    if kind in (PUT, REPLACE):
        _, digest, charge, cost_s, expires_at = part[:5]
        yield Change(sequence, KINDS[kind], digest, charge, cost_s, expires_at, own=own)
    elif kind == EVICT:
        yield Change(sequence, "evict", part[1], own=own)
    elif kind == TOUCH:
        for start in range(0, len(part[1]), 16):
            yield Change(sequence, "touch", part[1][start : start + 16], own=own)
    elif kind == INVALIDATE:
        what = _invalidation(part)
        digest = what.digest or b""
        yield Change(sequence, "invalidate", digest, 0, 0.0, NEVER, what, own)


def _is_meant(fence: Sequence[Any], key: Key, tags: Sequence[str]) -> bool:
    digests = fence[1]
    if digests is not None and len(digests) > len(key.digest):  # of a batch that was replaced
        size = len(key.digest)
        return key.digest in {digests[at : at + size] for at in range(0, len(digests), size)}
    return _invalidation(fence).matches(key, tags)


def _invalidation(part: Sequence[Any]) -> Invalidation:
    _, digest, scope, namespace, version, tag = part[:6]
    return Invalidation(scope, namespace, version, tag, digest)
