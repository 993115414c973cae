"""Raw buffers behind a tree of plain data, each aligned, so that they decode without a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infercache.codecs.base import Buffer
from infercache.errors import BlobError

ALIGNMENT = 64


class Writer:
    """Collects the buffers of one value. One thread.

    Attributes:
        buffers: Buffers and the zeros between them.
        size_bytes: Their length so far.
        tagged: Whether the tree holds anything that plain msgpack does not carry.
        careful: Whether integers and strings are looked at one by one, because one of them
            is too large for msgpack or not valid Unicode.
        replace: What is written in place of an array, tensor or other object; None for itself.
    """

    __slots__ = ("buffers", "careful", "replace", "size_bytes", "tagged")

    def __init__(self, careful: bool = False, replace: Callable[[Any], Any] | None = None) -> None:
        self.replace = replace
        self.buffers: list[Buffer] = []
        self.size_bytes = 0
        self.tagged = False
        self.careful = careful

    def add(self, buffer: memoryview) -> int:
        """Append bytes, and return where they start: a multiple of 64."""
        gap = -self.size_bytes % ALIGNMENT
        if gap:
            self.buffers.append(bytes(gap))
        start = self.size_bytes + gap
        self.buffers.append(buffer)
        self.size_bytes = start + buffer.nbytes
        return start


class Reader:
    """Hands out the buffers of one value. Thread-safe.

    Attributes:
        data: All buffers, as `Writer` laid them out.
        copy: Whether arrays and tensors get memory of their own, which may be written to.
    """

    __slots__ = ("copy", "data")

    def __init__(self, data: memoryview, copy: bool = False) -> None:
        self.data = data
        self.copy = copy

    def view(self, start: int, size_bytes: int) -> memoryview:
        """Return a part of the buffers.

        Raises:
            BlobError: they do not reach so far.
        """
        end = start + size_bytes
        if start < 0 or size_bytes < 0 or end > len(self.data):
            raise BlobError(
                f"the body refers to bytes {start} to {end} of {len(self.data)} bytes of buffers"
            )
        return self.data[start:end]
