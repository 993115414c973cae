"""The contract of everything that turns a value into bytes and back.

A codec is chosen by the reader's settings, never by the stored bytes: a blob whose codec id
is not the one that the reader asked for is not decoded. `infercache.testing.codec_kit` is
this contract as tests.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

Buffer = bytes | bytearray | memoryview


class Codec(abc.ABC):
    """Turns values into buffers and back. Stateless or immutable after construction: thread-safe.

    Attributes:
        id: Name and version of the format, such as "plain/1" or "plain/1+zstd/1"; written
            into every blob and compared on every read. At most 255 bytes of ASCII.
        error_bound: What a lossy codec promises about the error, in one sentence; "" if lossless.
    """

    id: str
    error_bound: str = ""

    @abc.abstractmethod
    def encode(self, value: Any) -> Sequence[Buffer]:
        """Return buffers that follow each other; large ones are views of the value, not copies.

        Raises:
            EncodeError: the value is not of a kind that this codec writes.
        """

    @abc.abstractmethod
    def decode(self, body: memoryview) -> Any:
        """Return the value; arrays and tensors may be read-only views of `body`.

        Raises:
            BlobError: the bytes are not what `encode` writes. Never another exception, and
                never code taken from the bytes.
        """
