"""JSON, for caches that people or other programs read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from infercache.codecs.base import Buffer, Codec
from infercache.errors import BlobError, EncodeError

_DEEPEST = 100
_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder().decode


class JsonCodec(Codec):
    """Writes what JSON carries faithfully, and refuses everything else.

    None, bool, int of 64 bits, finite float, str, list, and dict with str keys. No tuples, no
    bytes, no NaN: they would come back as something else.
    """

    id = "json/1"

    def encode(self, value: Any) -> Sequence[Buffer]:
        """Return the JSON text. O(items)."""
        _check(value, 0)
        try:
            return (_write(value),)
        except (OverflowError, UnicodeEncodeError) as error:
            raise EncodeError(f"JSON does not carry this value: {error}") from error

    def decode(self, body: memoryview) -> Any:
        """Return the value."""
        try:
            return _read(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
            raise BlobError(f"the body is not JSON: {error}") from error

    def __repr__(self) -> str:
        return "JsonCodec()"


def _check(value: Any, depth: int) -> None:
    kind = type(value)
    if depth > _DEEPEST:
        raise EncodeError(f"the value is nested deeper than {_DEEPEST} levels, or contains itself")
    if kind is list:
        for item in value:
            _check(item, depth + 1)
    elif kind is dict:
        if not all(type(name) is str for name in value):
            raise EncodeError("JSON carries only dicts whose keys are all str; use codec 'auto'")
        for item in value.values():
            _check(item, depth + 1)
    elif kind is float and not math.isfinite(value):
        raise EncodeError(f"JSON does not carry the float {value}; use codec 'auto'")
    elif kind is int and not -(2**63) <= value < 2**63:
        raise EncodeError("JSON carries an integer of more than 64 bits badly; use codec 'auto'")
    elif kind not in (type(None), bool, int, float, str):
        raise EncodeError(
            f"JSON does not carry a {kind.__module__}.{kind.__qualname__} faithfully; "
            "use codec 'auto'"
        )
