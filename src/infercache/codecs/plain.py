"""The default codec: plain data, arrays, tensors, images and tables, in any nesting.

Body: `tagged` (1 byte), 7 zeros, length of the tree (8 bytes, little-endian), the tree in
msgpack, zeros up to a multiple of 64, then the raw buffers, each aligned to 64 bytes.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from infercache._core import is_plain
from infercache.codecs.base import Buffer, Codec
from infercache.codecs.buffers import ALIGNMENT, Reader, Writer
from infercache.codecs.tree import lift, load_extension, lower
from infercache.errors import BlobError, EncodeError, SettingError

_HEAD = struct.Struct("<B7xQ")
_pack = msgspec.msgpack.Encoder().encode
_read_untagged = msgspec.msgpack.Decoder(ext_hook=lambda code, data: _refuse_extension(code)).decode


class PlainCodec(Codec):
    """Writes plain data with types kept, and arrays and tensors without a copy.

    None, bool, int of any size, float, str, bytes, bytearray, complex, Decimal, UUID, dates and
    times, list, tuple, dict with any plain keys, OrderedDict, set, frozenset; NumPy arrays and
    scalars, torch tensors, PIL images, pandas and Arrow tables, anywhere inside. Everything
    else, subclasses included, is refused: a codec that guesses gives back another type.

    NumPy arrays decode to read-only views of the stored bytes. Torch tensors decode to CPU
    tensors that share the stored bytes, without their gradient history; torch has no read-only
    flag, so they MUST NOT be written in place: clone them first, or use `writable="copy"`.

    Args:
        writable: "view" shares the stored bytes; "copy" gives arrays and tensors memory of
            their own.

    Raises:
        SettingError: another `writable`.
    """

    id = "plain/1"

    def __init__(self, writable: str = "view") -> None:
        if writable not in ("view", "copy"):
            raise SettingError(f'writable={writable!r} is not "view" or "copy"')
        self._copy = writable == "copy"

    def encode(self, value: Any) -> Sequence[Buffer]:
        """Return head and tree, then the arrays' own memory. O(items of plain data).

        Raises:
            EncodeError: a value of another type, or nested too deep.
        """
        return self._encode(value)

    def _encode(self, value: Any, replace: Callable[[Any], Any] | None = None) -> Sequence[Buffer]:
        if is_plain(value):
            try:
                tree = _pack(value)
                return (_HEAD.pack(0, len(tree)) + tree,)
            except (OverflowError, UnicodeEncodeError):
                pass  # a big integer or a lone surrogate: the walk below writes it
        try:
            tree, writer = _pack_tree(value, replace)
        except RecursionError as error:
            raise EncodeError("the value is nested too deep, or contains itself") from error
        head = _HEAD.pack(writer.tagged, len(tree))
        if not writer.buffers:
            return (head + tree,)
        gap = bytes(-(len(head) + len(tree)) % ALIGNMENT)
        return (b"".join((head, tree, gap)), *writer.buffers)

    def decode(self, body: memoryview) -> Any:
        """Return the value; arrays and tensors share the memory of `body`.

        Raises:
            BlobError: anything that `encode` does not write.
        """
        try:
            return _unpack_tree(body, self._copy)
        except BlobError:
            raise
        except Exception as error:  # whatever the bytes provoke: they are to blame
            raise BlobError(f"the body is not what codec {self.id} writes: {error}") from error

    def __repr__(self) -> str:
        return "PlainCodec(writable='copy')" if self._copy else "PlainCodec()"


def _pack_tree(value: Any, replace: Callable[[Any], Any] | None) -> tuple[bytes, Writer]:
    writer = Writer(replace=replace)
    try:
        return _pack(lower(value, writer)), writer
    except (OverflowError, UnicodeEncodeError):
        # An integer beyond 64 bits or a lone surrogate somewhere: rare, so looked for only now.
        writer = Writer(careful=True, replace=replace)
        return _pack(lower(value, writer)), writer


def _unpack_tree(body: memoryview, copy: bool) -> Any:
    tagged, tree_bytes = _HEAD.unpack_from(body)
    end = _HEAD.size + tree_bytes
    if end > len(body):
        raise BlobError(f"the body ends before its tree of {tree_bytes} bytes")
    tree = body[_HEAD.size : end]
    if not tagged:
        return _read_untagged(tree)
    reader = Reader(body[end + -end % ALIGNMENT :], copy)
    hook = functools.partial(load_extension, reader=reader)
    return lift(msgspec.msgpack.decode(tree, ext_hook=hook))


def _refuse_extension(code: int) -> Any:
    raise BlobError(f"the body holds extension {code} in a tree without extensions")
