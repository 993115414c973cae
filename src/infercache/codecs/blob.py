"""Bytes at rest: the one self-describing format of every tier that keeps bytes.

Layout, little-endian (docs/design/codecs.md has the table):

    fixed head (88 bytes) | names | tags | zeros up to a multiple of 64 | body | checksum

`names` and `tags` are msgpack. The checksum covers every byte before it. Nothing of the body
is decoded before all checks have passed; a blob that fails one is a `BlobError`.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from infercache import _core
from infercache.codecs import checksum
from infercache.codecs.base import Buffer, Codec
from infercache.entry import Entry
from infercache.errors import BlobError, EncodeError
from infercache.key import Key

MAGIC = b"\x93ICBLOB\n"
FORMAT = 1
ALIGNMENT = 64
# magic, format, algorithm, body offset, bytes of names, of tags, of the body,
# version, cost_s, created_at, expires_at, stale_until, digest
_HEAD = struct.Struct("<8sHBxIIIQQdddd16s")
_LARGEST_NAMES = 2**20
_LONGEST_CODEC_ID = 255

_pack_names = msgspec.msgpack.Encoder().encode
_read_names = msgspec.msgpack.Decoder(tuple[str, str, str, str]).decode
_read_tags = msgspec.msgpack.Decoder(tuple[str, ...]).decode


class BlobHeader(msgspec.Struct, frozen=True, gc=False):
    """What a blob says of itself.

    Attributes:
        key: The full key.
        codec_id: The codec that wrote the body.
        version: Number of the write; 0 for immutable values.
        cost_s: Seconds that the value took to compute.
        created_at: Seconds since the epoch.
        expires_at: Seconds since the epoch after which it is not fresh.
        stale_until: Until when it may be served stale.
        tags: Names under which it can be invalidated.
        body_bytes: Length of the body.
        keyed: Whether the checksum is keyed with a secret.
    """

    key: Key
    codec_id: str
    version: int
    cost_s: float
    created_at: float
    expires_at: float
    stale_until: float
    tags: tuple[str, ...]
    body_bytes: int
    keyed: bool


class Blob(msgspec.Struct, frozen=True, gc=False):
    """A verified blob.

    Attributes:
        header: What it says of itself.
        body: The encoded value: a view of the buffer, not a copy.
    """

    header: BlobHeader
    body: memoryview


def seal(
    key: Key,
    codec: Codec | str,
    entry: Entry,
    body: Sequence[Buffer],
    secret: bytes | None = None,
) -> tuple[Buffer, ...]:
    """Return the blob as buffers that follow each other; large bodies are not copied.

    Thread-safe. O(bytes) for the checksum.

    Args:
        key: The full key.
        codec: The codec that wrote `body`, or its id.
        entry: Version, cost, times and tags; its value is not looked at.
        body: What the codec's `encode` returned.
        secret: Key of the checksum; None for an unkeyed one.

    Raises:
        EncodeError: a name, tag or number that does not fit into the format.
    """
    names = _names(
        key.scope, key.namespace, key.version, codec if isinstance(codec, str) else codec.id
    )
    small = _seal_small(key, names, entry, body, secret)
    if small is not None:
        return (small,)
    head = _head(key, names, entry, sum(map(_size, body)), checksum.algorithm_of(secret))
    return (head, *body, checksum.checksum((head, *body), secret))


def open_blob(buffer: Buffer, key: Key, codec_id: str, secret: bytes | None = None) -> Blob:
    """Return the blob in `buffer` if every check passes; nothing is copied.

    Thread-safe. O(bytes) for the checksum. The key and the codec are compared with what the
    reader asked for; with a secret the checksum is compared in constant time.

    Raises:
        BlobError: a check failed; the message says which.
    """
    view = _bytes_of(buffer)
    names = _names(key.scope, key.namespace, key.version, codec_id)
    secret_key = None if secret is None else checksum.key_of(secret)
    opened = _core.open_blob(view, names, key.digest, secret_key)
    if opened is None:
        raise _fault_of(view, key, codec_id, secret)
    start, end, stored_tags, version, cost_s, created_at, expires_at, stale_until = opened
    header = BlobHeader(
        key, codec_id, version, cost_s, created_at, expires_at, stale_until,
        () if stored_tags is None else _parse(_read_tags, stored_tags),
        end - start, secret is not None,
    )  # fmt: skip
    return Blob(header, view[start:end])


def _fault_of(view: memoryview, key: Key, codec_id: str, secret: bytes | None) -> BlobError:
    """Return in words which check of a blob failed; the first that does, in the format's order."""
    head = _unpack(view)
    algorithm, start, names_bytes, _, body_bytes = head[2:7]
    if algorithm != checksum.algorithm_of(secret):
        return BlobError(_algorithm_fault(algorithm))
    end = start + body_bytes
    if end + checksum.SIZE_BYTES[algorithm] != len(view):
        return BlobError(
            f"the blob is truncated or overlong: {len(view)} bytes, where its header announces "
            f"{end + checksum.SIZE_BYTES[algorithm]}"
        )
    names_end = _HEAD.size + names_bytes
    if view[_HEAD.size : names_end] != _names(key.scope, key.namespace, key.version, codec_id):
        return BlobError(_names_fault(view[_HEAD.size : names_end], key, codec_id))
    if head[12] != key.digest:
        return BlobError(f"the blob belongs to digest {head[12].hex()}, not to {key}")
    return BlobError(f"the checksum of the blob of {key} does not match its bytes")


def blob_size(buffers: Sequence[Buffer]) -> int:
    """Return the bytes of a sealed blob."""
    return sum(map(_size, buffers))


def peek_header(buffer: Buffer) -> BlobHeader:
    """Return what a blob says of itself, unverified: for listings, never for serving.

    `buffer` may hold just the beginning of a blob. Bounded: reads at most 1 MiB of names.

    Raises:
        BlobError: not the beginning of a blob that this version of infercache reads.
    """
    view = _bytes_of(buffer)
    head = _unpack(view)
    names_end = _HEAD.size + head[4]
    tags_end = names_end + head[5]
    if tags_end > len(view):
        raise BlobError(f"the blob ends within its header, after {len(view)} bytes")
    scope, namespace, version, codec_id = _parse(_read_names, view[_HEAD.size : names_end])
    tags = _parse(_read_tags, view[names_end:tags_end]) if head[5] else ()
    key = Key(scope, namespace, version, head[12])
    return _header(key, codec_id, head, tags)


def _header(key: Key, codec_id: str, head: tuple[Any, ...], tags: tuple[str, ...]) -> BlobHeader:
    version, cost_s, created_at, expires_at, stale_until = head[7:12]
    return BlobHeader(
        key, codec_id, version, cost_s, created_at, expires_at, stale_until, tags,
        body_bytes=head[6], keyed=head[2] == checksum.BLAKE3,
    )  # fmt: skip


def _seal_small(
    key: Key, names: bytes, entry: Entry, body: Sequence[Buffer], secret: bytes | None
) -> bytes | None:
    """Return the blob in one piece; None for a large one, or one that does not fit the format."""
    numbers = (
        entry.version, entry.cost_s, entry.created_at, entry.expires_at, entry.stale_until
    )  # fmt: skip
    secret_key = None if secret is None else checksum.key_of(secret)
    try:
        tags = _pack_names(entry.tags) if entry.tags else b""
        return _core.seal_blob(names, tags, key.digest, numbers, body, secret_key)
    except (TypeError, OverflowError, UnicodeEncodeError):
        return None


def _head(key: Key, names: bytes, entry: Entry, body_bytes: int, algorithm: int) -> bytes:
    try:
        tags = _pack_names(entry.tags) if entry.tags else b""
        used = _HEAD.size + len(names) + len(tags)
        start = _aligned(used)
        if used > _LARGEST_NAMES:
            raise EncodeError(
                f"names and tags of {key} take {used} bytes; at most {_LARGEST_NAMES}"
            )
        fixed = _HEAD.pack(
            MAGIC, FORMAT, algorithm, start, len(names), len(tags), body_bytes,
            entry.version, entry.cost_s, entry.created_at, entry.expires_at, entry.stale_until,
            key.digest,
        )  # fmt: skip
    except (struct.error, OverflowError, UnicodeEncodeError) as error:
        raise EncodeError(f"the entry of {key} does not fit into a blob: {error}") from error
    return b"".join((fixed, names, tags, bytes(start - used)))


@functools.lru_cache(maxsize=4096)
def _names(scope: str, namespace: str, version: str, codec_id: str) -> bytes:
    """Return what tells a blob's place: equal bytes if and only if all four are equal."""
    if not codec_id.isascii() or not 0 < len(codec_id) <= _LONGEST_CODEC_ID:
        raise EncodeError(f"codec id {codec_id!r} is not ASCII of 1 to {_LONGEST_CODEC_ID} bytes")
    try:
        return _pack_names((scope, namespace, version, codec_id))
    except UnicodeEncodeError as error:
        raise EncodeError(f"a name of the key is not valid Unicode: {error}") from error


def _unpack(view: memoryview) -> tuple[Any, ...]:
    """Return the fixed head after checking all that it can be checked for alone."""
    if len(view) < _HEAD.size:
        raise BlobError(f"the blob is truncated: {len(view)} bytes, a header has {_HEAD.size}")
    head = _HEAD.unpack_from(view)
    if head[0] != MAGIC:
        raise BlobError("the bytes are not a blob: they do not start with its magic number")
    if head[1] != FORMAT:
        raise BlobError(f"the blob has format {head[1]}; this version of infercache reads {FORMAT}")
    if head[2] not in checksum.SIZE_BYTES:
        raise BlobError(f"the blob has an unknown checksum algorithm {head[2]}")
    used = _HEAD.size + head[4] + head[5]
    if used > _LARGEST_NAMES or head[3] != _aligned(used):
        raise BlobError("the lengths in the blob's header contradict each other")
    return head


def _bytes_of(buffer: Buffer) -> memoryview:
    view = memoryview(buffer)
    if view.format == "B" and view.ndim == 1 and view.contiguous:
        return view
    if not view.c_contiguous:
        raise BlobError("the buffer is not contiguous")
    return view.cast("B")


def _parse(read: Callable[[Buffer], tuple[str, ...]], data: Buffer) -> tuple[str, ...]:
    try:
        return read(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BlobError(f"the names in the blob's header cannot be read: {error}") from error


def _algorithm_fault(algorithm: int) -> str:
    if algorithm == checksum.BLAKE3:
        return "the blob was sealed with a secret, and the reader has none"
    return "the blob was sealed without a secret, and the reader asks for one"


def _names_fault(names: memoryview, key: Key, codec_id: str) -> str:
    try:
        *place, codec = _parse(_read_names, names)
    except BlobError as error:
        return str(error)
    if codec != codec_id:
        return f"the blob was written by codec {codec!r}, and the reader accepts {codec_id!r}"
    return f"the blob belongs to {'/'.join(place)}, not to {key}"


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


def _size(buffer: Buffer) -> int:
    return buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
