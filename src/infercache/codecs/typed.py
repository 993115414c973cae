"""Values of one known type: dataclasses, msgspec structs, and what msgspec builds of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from infercache import _core
from infercache.codecs.base import Buffer, Codec
from infercache.errors import BlobError, EncodeError, SettingError

_encoder = msgspec.msgpack.Encoder()


class TypedCodec(Codec):
    """Writes values of one type as msgpack, and checks them against the type when reading.

    The codec id holds a digest of the type's schema: after a change of the type, what was
    written before reads as missing.

    Args:
        kind: A dataclass, a `msgspec.Struct`, a TypedDict, a NamedTuple, or a generic such as
            `list[Point]`.

    Raises:
        SettingError: a type that msgspec cannot read.
    """

    def __init__(self, kind: Any) -> None:
        try:
            self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(kind)
            schema = msgspec.json.encode(msgspec.json.schema(kind), order="sorted")
        except TypeError as error:
            raise SettingError(f"TypedCodec cannot read values of {kind!r}: {error}") from error
        self.kind = kind
        self.id = f"typed/1:{_core.xxh3_128(schema).hex()}"

    def encode(self, value: Any) -> Sequence[Buffer]:
        """Return msgpack that was read back once, so that no other type was written silently."""
        try:
            data = _encoder.encode(value)
            back = self._decoder.decode(data)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise EncodeError(f"the value is not a {self.kind!r}: {error}") from error
        if type(back) is not type(value) or _encoder.encode(back) != data:
            raise EncodeError(
                f"the value, a {type(value).__qualname__}, does not come back as it is "
                f"from codec TypedCodec({self.kind!r})"
            )
        return (data,)

    def decode(self, body: memoryview) -> Any:
        """Return the value."""
        try:
            return self._decoder.decode(body)
        except Exception as error:  # also what the type's own __post_init__ raises
            raise BlobError(f"the body is not a {self.kind!r}: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return TypedCodec, (self.kind,)

    def __repr__(self) -> str:
        return f"TypedCodec({self.kind!r})"
