"""NumPy arrays and scalars in the plain codec: their memory as it is, dtype and order kept."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec
import numpy as np

from infercache.codecs.buffers import Reader, Writer
from infercache.codecs.dtypes import describe, parse
from infercache.codecs.tree import ARRAY, SCALAR, Ext, refusal
from infercache.errors import BlobError, EncodeError

_pack = msgspec.msgpack.Encoder().encode
_MOST_DIMENSIONS = 64


class _Reference(msgspec.Struct, array_like=True, frozen=True):
    """Where an array lies behind the tree, and how to read it."""

    dtype: Any
    shape: tuple[int, ...]
    start: int
    fortran: bool


_read_reference = msgspec.msgpack.Decoder(_Reference).decode
_read_scalar = msgspec.msgpack.Decoder(tuple[Any, bytes]).decode


def lower(value: Any, writer: Writer, depth: int) -> Any:
    """Return the extension that stands for an array or a scalar."""
    if type(value) is np.ndarray:
        return Ext(ARRAY, _pack(_lay(value, writer)))
    if isinstance(value, np.generic) and type(value).__module__ == "numpy":
        raw = value.tobytes()[: value.dtype.itemsize]
        return Ext(SCALAR, _pack((describe(value.dtype), raw)))
    raise refusal(value, "convert it with numpy.asarray()")


def _lay(array: np.ndarray[Any, Any], writer: Writer) -> _Reference:
    described = describe(array.dtype)
    if array.dtype.itemsize == 0:
        raise EncodeError(f"an array of dtype {array.dtype}, whose items have no bytes")
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    flat = array.ravel(order="F" if fortran else "C")
    return _Reference(described, array.shape, writer.add(flat.view(np.uint8).data), fortran)


def load(code: int, data: memoryview, reader: Reader) -> Any:
    """Return the array, a read-only view unless the reader wants copies, or the scalar."""
    if code == SCALAR:
        return _load_scalar(data)
    if code != ARRAY:
        raise BlobError(f"extension {code} is not an array")
    reference = _read_reference(data)
    dtype = parse(reference.dtype)
    shape = _checked(reference.shape)
    order: Literal["F", "C"] = "F" if reference.fortran else "C"
    view = reader.view(reference.start, math.prod(shape) * dtype.itemsize)
    array: np.ndarray[Any, Any] = np.ndarray(shape, dtype, view, order=order)
    if reader.copy or not array.flags.aligned:
        array = array.copy(order=order)
    array.flags.writeable = reader.copy
    return array


def _load_scalar(data: memoryview) -> Any:
    described, raw = _read_scalar(data)
    dtype = parse(described)
    if len(raw) != dtype.itemsize:
        raise BlobError(f"the body holds a {dtype} of {len(raw)} bytes")
    if not raw:
        return dtype.type()
    return np.frombuffer(raw, dtype)[0]


def _checked(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) > _MOST_DIMENSIONS or any(not 0 <= size < 2**48 for size in shape):
        raise BlobError(f"the body holds an array of shape {shape[:8]}, which no array has")
    return shape
