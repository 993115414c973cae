"""How a record, the account and a space of keys look in the index."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import blake2b

import lmdb
import msgspec

from infercache.key import Key
from infercache.stores.base import RecordInfo

ROW_FORMAT = 1
IN_FILE = 1
PAGE_BYTES = 4096

# What a record costs in the index beside its row: its line in the journal, its place among the
# members of its space, the slack of B-tree pages that fill in random order.
RECORD_CHARGE = 256

# format, flags, length of the fixed part, length of fixed part and tags, expires_at | charge,
# cost, created_at, version, space, then for values in files: serial, blob size, file size.
# A newer version of the library may lengthen the fixed part: the lengths say where tags and
# the value begin, and what lies between is ignored.
HEAD = struct.Struct("<BBHHd")
_FIXED = struct.Struct("<BBHHdQddq16sQQQ")
_FILE_PART = struct.Struct("<QQQ")
_FILE_OFFSET = _FIXED.size - _FILE_PART.size
_CHARGE = struct.Struct("<Q")
_SPACE = slice(HEAD.size + 32, HEAD.size + 48)

Row = bytes | memoryview

_encode = msgspec.msgpack.Encoder().encode
_string_decoder = msgspec.msgpack.Decoder(list[str])


def _decode_strings(row: Row) -> list[str]:
    try:
        return _string_decoder.decode(row)
    except msgspec.DecodeError as error:
        raise lmdb.CorruptedError(f"a row of the index is damaged: {error}") from error


def space_id(scope: str, namespace: str, version: str) -> bytes:
    """Return the 16 bytes under which the members of a key space are listed."""
    return blake2b(_encode((scope, namespace, version)), digest_size=16).digest()


def tag_id(tag: str) -> bytes:
    """Return the 16 bytes under which the members of a tag are listed."""
    return blake2b(_encode(tag), digest_size=16, person=b"tag").digest()


def encode_space(key: Key) -> bytes:
    """Return the row that names a key space."""
    return _encode((key.scope, key.namespace, key.version))


def decode_space(row: Row | None) -> tuple[str, str, str]:
    """Return scope, namespace and version; what a newer version appended is ignored."""
    names = _decode_strings(row if row is not None else b"")
    if len(names) < 3:
        raise lmdb.CorruptedError("a key space of the index has no name")
    return names[0], names[1], names[2]


@dataclass(frozen=True, slots=True)
class FilePart:
    """Where a large value lies: serial number of its file, size of the blob and of the file."""

    serial: int
    blob_bytes: int
    file_bytes: int


def inline_charge(blob_bytes: int) -> int:
    """Return what a value in the index is charged.

    LMDB keeps rows of more than about half a page on pages of their own; smaller ones share
    pages that are about two thirds full when keys arrive in random order.
    """
    row_bytes = blob_bytes + _FIXED.size + 16
    if row_bytes > PAGE_BYTES // 2 - 32:
        return RECORD_CHARGE + _pages(row_bytes + 16)
    rows_in_page = (PAGE_BYTES - 16) // (row_bytes + 10)
    return RECORD_CHARGE + PAGE_BYTES * 3 // 2 // rows_in_page


def file_charge(file_bytes: int) -> int:
    """Return what a value in a file is charged: its blocks and its index record."""
    return RECORD_CHARGE + _pages(file_bytes)


def _pages(size_bytes: int) -> int:
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


def encode_row(
    info: RecordInfo, space: bytes, charge: int, file: FilePart | None, blob: bytes
) -> bytes:
    """Return the index row of a record; `blob` is empty when the value lies in a file."""
    tags = _encode(info.tags) if info.tags else b""
    head = _FIXED.pack(
        ROW_FORMAT,
        IN_FILE if file else 0,
        _FIXED.size,
        _FIXED.size + len(tags),
        info.expires_at,
        charge,
        info.cost_s,
        info.created_at,
        info.version,
        space,
        *((file.serial, file.blob_bytes, file.file_bytes) if file else (0, len(blob), 0)),
    )
    return b"".join((head, tags, blob))


def is_known(row: Row) -> bool:
    """Return whether this version of the library can read the row."""
    return len(row) >= _FIXED.size and row[0] == ROW_FORMAT


def row_charge(row: Row) -> int:
    """Return the bytes that a record is charged."""
    return int(_CHARGE.unpack_from(row, HEAD.size)[0])


def row_space(row: Row) -> bytes:
    """Return the id of the key space that a record belongs to."""
    return bytes(row[_SPACE])


def row_version(row: Row) -> int:
    """Return the number of the write."""
    return int(_FIXED.unpack_from(row)[8])


def row_cost(row: Row) -> float:
    """Return the seconds that the value took to compute."""
    return float(_FIXED.unpack_from(row)[6])


def row_tags(row: Row) -> tuple[str, ...]:
    """Return a record's tags."""
    _, _, fixed, whole, _ = HEAD.unpack_from(row)
    return tuple(_decode_strings(row[fixed:whole])) if whole > fixed else ()


def row_file(row: Row) -> FilePart | None:
    """Return where the value lies, or None if it lies in the row."""
    return FilePart(*_FILE_PART.unpack_from(row, _FILE_OFFSET)) if row[1] & IN_FILE else None


def row_info(digest: bytes, row: Row, names: tuple[str, str, str]) -> RecordInfo:
    """Return what the index knows of a record."""
    _, _, _, _, expires_at, charge, cost_s, created_at, version, *_ = _FIXED.unpack_from(row)
    return RecordInfo(
        Key(*names, digest), charge, cost_s, version, created_at, expires_at, row_tags(row)
    )


_ACCOUNT = struct.Struct("<QQQQQQ")


@dataclass(slots=True)
class Account:
    """What the whole store holds, and how far its journal is.

    Attributes:
        size_bytes: Charged bytes.
        entries: Number of records.
        sequence: Position of the journal's newest line.
        loud: Position of the newest "replace" or "invalidate".
        last_fence: Position of the newest fence.
        fence_floor: Leases older than this may have missed a fence that was dropped.
        rest: Fields of newer versions of the library, kept as they are.
    """

    size_bytes: int = 0
    entries: int = 0
    sequence: int = 0
    loud: int = 0
    last_fence: int = 0
    fence_floor: int = 0
    rest: bytes = b""

    def encode(self) -> bytes:
        """Return the account's row."""
        return (
            _ACCOUNT.pack(
                self.size_bytes, self.entries, self.sequence, self.loud, self.last_fence,
                self.fence_floor,
            )
            + self.rest
        )  # fmt: skip


def decode_account(row: bytes | None) -> Account:
    """Return the account in a row."""
    if row is None or len(row) < _ACCOUNT.size:
        raise lmdb.CorruptedError("the account of the index is missing")
    account = Account(*_ACCOUNT.unpack_from(row))
    account.rest = row[_ACCOUNT.size :]
    return account
