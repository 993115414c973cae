"""torch tensors in the plain codec: their memory as it is, every dtype kept."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import torch

from infercache.codecs.buffers import Reader, Writer
from infercache.codecs.tree import TENSOR, Ext, refusal
from infercache.errors import BlobError, EncodeError

_pack = msgspec.msgpack.Encoder().encode
_MOST_DIMENSIONS = 64
_NAMES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
    "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
)  # fmt: skip
_DTYPES: dict[str, Any] = {name: getattr(torch, name) for name in _NAMES if hasattr(torch, name)}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class _Reference(msgspec.Struct, array_like=True, frozen=True):
    """Where a tensor lies behind the tree, and how to read it."""

    dtype: str
    shape: tuple[int, ...]
    start: int


_read_reference = msgspec.msgpack.Decoder(_Reference).decode


def lower(value: Any, writer: Writer, depth: int) -> Any:
    """Return the extension that stands for a tensor; one on a device is copied to the CPU."""
    if type(value) is not torch.Tensor:
        raise refusal(value, "give plain tensors: parameters by .detach() or state_dict()")
    name = _DTYPE_NAMES.get(value.dtype)
    if name is None or value.layout is not torch.strided or value.device.type == "meta":
        raise EncodeError(
            f"a tensor of dtype {value.dtype}, layout {value.layout} on {value.device} is not "
            "written; convert it to a dense one"
        )
    raw = memory_of(value)
    return Ext(TENSOR, _pack(_Reference(name, tuple(value.shape), writer.add(raw))))


def memory_of(tensor: Any) -> memoryview:
    """Return a tensor's bytes in C order; a view unless it lies elsewhere or is not contiguous."""
    dense = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    if not dense.numel():
        return memoryview(b"")
    return memoryview(dense.reshape(-1).view(torch.uint8).numpy())


def load(code: int, data: memoryview, reader: Reader) -> Any:
    """Return the tensor, sharing the stored bytes unless the reader wants copies."""
    reference = _read_reference(data)
    dtype = _DTYPES.get(reference.dtype)
    if dtype is None:
        raise BlobError(
            f"the body holds a tensor of dtype {reference.dtype[:40]!r}, not a known one"
        )
    shape = reference.shape
    if len(shape) > _MOST_DIMENSIONS or any(not 0 <= size < 2**48 for size in shape):
        raise BlobError(f"the body holds a tensor of shape {shape[:8]}, which no tensor has")
    view = reader.view(reference.start, math.prod(shape) * dtype.itemsize)
    if not len(view):
        return torch.empty(shape, dtype=dtype)
    raw = share(view)
    if reader.copy or raw.data_ptr() % dtype.itemsize:
        raw = raw.clone()
    return raw.view(dtype).reshape(shape)


class _Pages:
    """Read-only memory that claims to be writable, and keeps it alive.

    torch has no read-only tensors and warns about read-only buffers; the promise not to write
    is the caller's (see `PlainCodec`).
    """

    def __init__(self, pages: np.ndarray[Any, Any]) -> None:
        address = pages.__array_interface__["data"][0]
        self._pages = pages
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "shape": pages.shape,
            "data": (address, False),
        }


def share(view: memoryview) -> Any:
    """Return a tensor of bytes that shares the memory of `view` and keeps it alive."""
    pages = np.frombuffer(view, np.uint8)
    if not pages.flags.writeable:
        pages = np.asarray(_Pages(pages))
    return torch.from_numpy(pages)
