"""A codec followed by transforms of its bytes is a codec."""

from __future__ import annotations

import abc
import struct
from collections.abc import Sequence
from typing import Any

from infercache.codecs.base import Buffer, Codec
from infercache.errors import BlobError, EncodeError, SettingError
from infercache.units import parse_size

_RAW, _SHRUNK = 0, 1
# How the body is stored, and its length before that.
_HEAD = struct.Struct("<B7xQ")
# A large body that is stored as it is starts aligned, so that arrays in it need no copy.
_ALIGNED_HEAD_BYTES = 64
_ALIGNED_FROM = 1024
# A body that shrinks by less than this part is stored as it is: reading it is then free.
_LEAST_GAIN = 1 / 16
LARGEST = "4GiB"


class Transform(abc.ABC):
    """Makes bytes smaller, and back. Thread-safe; picklable.

    Attributes:
        id: Name and version of the format; includes all that a reader needs to know.
        smallest_bytes: Below this it is not worth trying.
    """

    id: str
    smallest_bytes: int = 128

    @abc.abstractmethod
    def shrink(self, data: bytes) -> bytes | None:
        """Return the bytes in a smaller form, or None if this cannot be done."""

    @abc.abstractmethod
    def expand(self, data: memoryview, size_bytes: int) -> bytes:
        """Return what was shrunk: `size_bytes`, and never allocate more.

        Raises:
            Exception: whatever; `Pipeline` turns it into a BlobError.
        """


class Pipeline(Codec):
    """Writes values with `inner` and passes the bytes through the transforms, in this order.

    Small bodies and those that hardly shrink are stored as they are, without a copy.

    Args:
        inner: What turns values into bytes.
        transforms: What makes the bytes smaller.
        largest: Bodies that announce more than this are not expanded: a small blob cannot
            make a reader allocate more. Values that are larger are refused when written.

    Raises:
        SettingError: no transform, or one that is none.
    """

    def __init__(self, inner: Codec, *transforms: Transform, largest: int | str = LARGEST) -> None:
        if not transforms or not all(isinstance(one, Transform) for one in transforms):
            raise SettingError(f"a codec pipeline needs byte transforms, not {transforms!r}")
        self.inner = inner
        self.transforms = transforms
        self.id = "+".join((inner.id, *(one.id for one in transforms)))
        self.error_bound = inner.error_bound
        self._largest = parse_size(largest, "largest")

    def encode(self, value: Any) -> Sequence[Buffer]:
        """Return the value's bytes, shrunk where that pays. O(bytes)."""
        buffers = self.inner.encode(value)
        for transform in self.transforms:
            buffers = self._shrink(transform, buffers)
        return buffers

    def _shrink(self, transform: Transform, buffers: Sequence[Buffer]) -> Sequence[Buffer]:
        size = sum(memoryview(buffer).nbytes for buffer in buffers)
        if size > self._largest:
            raise EncodeError(f"the value takes {size} bytes, more than largest={self._largest}")
        if size >= transform.smallest_bytes:
            shrunk = transform.shrink(b"".join(buffers))
            if shrunk is not None and len(shrunk) <= size * (1 - _LEAST_GAIN):
                return (_HEAD.pack(_SHRUNK, size), shrunk)
        return (_raw_head(size), *buffers)

    def decode(self, body: memoryview) -> Any:
        """Return the value; the bytes are expanded only within `largest`."""
        for transform in reversed(self.transforms):
            body = self._expand(transform, body)
        return self.inner.decode(body)

    def _expand(self, transform: Transform, body: memoryview) -> memoryview:
        if len(body) < _HEAD.size:
            raise BlobError(f"the body is truncated: {len(body)} bytes before {transform.id}")
        kind, size = _HEAD.unpack_from(body)
        if kind == _RAW:
            start = len(_raw_head(size))
            if start + size != len(body):
                raise BlobError(f"the body has {len(body) - start} bytes where it announces {size}")
            return body[start:]
        if kind != _SHRUNK or size > self._largest:
            raise BlobError(
                f"the body announces {size} bytes of kind {kind}; "
                f"at most {self._largest} are expanded"
            )
        try:
            expanded = transform.expand(body[_HEAD.size :], size)
        except Exception as error:  # each library has its own, and the bytes are to blame
            raise BlobError(f"the body is not what {transform.id} writes: {error}") from error
        if len(expanded) != size:
            raise BlobError(f"the body expands to {len(expanded)} bytes where it announces {size}")
        return memoryview(expanded)

    def __repr__(self) -> str:
        return f"Pipeline({', '.join(map(repr, (self.inner, *self.transforms)))})"


def _raw_head(size_bytes: int) -> bytes:
    head = _HEAD.pack(_RAW, size_bytes)
    return head if size_bytes < _ALIGNED_FROM else head.ljust(_ALIGNED_HEAD_BYTES, b"\0")
