"""Float arrays and tensors in 8 bits: the first codec that loses something, by a stated bound."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from infercache.codecs.base import Buffer
from infercache.codecs.plain import PlainCodec
from infercache.codecs.tree import register_type
from infercache.errors import BlobError, SettingError

_LEVELS = 127
# Smaller ones would grow.
_FEWEST_ITEMS = 32
_SCALE_BITS = (np.dtype(np.uint32), np.dtype(np.uint64))
_TENSOR_DTYPES = ("float16", "bfloat16", "float32", "float64")
Array = np.ndarray[Any, Any]


class Quantized:
    """One array as 8-bit codes and a scale for each group of neighbours in its last axis."""

    __slots__ = ("codes", "dtype", "group", "scales", "tensor")

    def __init__(self, codes: Array, scales: Array, group: int, dtype: str, tensor: bool) -> None:
        self.codes = codes
        self.scales = scales
        self.group = group
        self.dtype = dtype
        self.tensor = tensor


class Int8Codec(PlainCodec):
    """The plain codec with float arrays and tensors as int8, symmetric, one scale a group.

    float16, bfloat16, float32 and float64 are quantised and come back in their own dtype.
    Everything else is kept as it is: Python floats, other dtypes, arrays of fewer than 32
    items, and any array that holds an infinity or a NaN, a magnitude above half of the range
    of float32 (float64 for float64), or a group whose largest magnitude is below 1e-305.

    Args:
        group_size: Neighbours in the last axis that share a scale; 0 for the whole last axis
            (one scale a channel).
        writable: As for `PlainCodec`.

    Raises:
        SettingError: a negative group size.
    """

    error_bound = (
        "|x - x'| <= max|group| / 254, plus max|group| * eps/2 for rounding to the dtype "
        "(eps: 2**-7 bfloat16, 2**-10 float16, 2**-23 float32, 2**-52 float64)"
    )

    def __init__(self, group_size: int = 64, writable: str = "view") -> None:
        super().__init__(writable)
        if group_size < 0:
            raise SettingError(f"int8:{group_size}: a group has at least 1 item; 0 for a channel")
        self.group_size = group_size
        self.id = f"plain/1+int8/1:{group_size}"

    @classmethod
    def from_number(cls, number: int) -> Int8Codec:
        """Return the codec that "int8:128" names."""
        return cls(group_size=number)

    def encode(self, value: Any) -> Sequence[Buffer]:
        """Return the value with float arrays quantised. O(items)."""
        return self._encode(value, self._replace)

    def _replace(self, value: Any) -> Any:
        """Return what is written in place of an array or tensor: itself if nothing is lost."""
        if type(value) is np.ndarray:
            kind = value.dtype
            if kind.kind != "f" or kind.itemsize > 8 or value.size < _FEWEST_ITEMS:
                return value
            return self._quantize(value, kind.str, tensor=False) or value
        torch = sys.modules.get("torch")
        if torch is None or type(value) is not torch.Tensor:
            return value
        name = str(value.dtype).removeprefix("torch.")
        usable = value.layout is torch.strided and value.device.type != "meta"
        if name not in _TENSOR_DTYPES or not usable or value.numel() < _FEWEST_ITEMS:
            return value
        flat = value.detach().cpu()
        array = (flat.float() if name in ("float16", "bfloat16") else flat).numpy()
        return self._quantize(array, name, tensor=True) or value

    def _quantize(self, array: Array, dtype: str, tensor: bool) -> Quantized | None:
        wide = np.float64 if array.dtype.itemsize == 8 else np.float32
        rows = np.ascontiguousarray(array, dtype=wide).reshape(-1, array.shape[-1])
        group = self.group_size or rows.shape[1]
        grouped = _grouped(rows, group)
        scales = _scales(grouped)
        if scales is None:
            return None
        divisors = np.where(scales > 0, scales, 1).astype(scales.dtype)
        codes = np.rint(grouped / divisors[..., None]).clip(-_LEVELS, _LEVELS).astype(np.int8)
        kept = codes.reshape(len(rows), -1)[:, : rows.shape[1]].reshape(array.shape)
        return Quantized(np.ascontiguousarray(kept), scales, group, dtype, tensor)

    def __reduce__(self) -> tuple[Any, ...]:
        return Int8Codec, (self.group_size, "copy" if self._copy else "view")

    def __repr__(self) -> str:
        return f"Int8Codec({self.group_size})"


def _grouped(rows: Array, group: int) -> Array:
    """Return rows x groups x items, the last group of a row filled up with zeros."""
    missing = -rows.shape[1] % group
    if missing:
        rows = np.pad(rows, ((0, 0), (0, missing)))
    return rows.reshape(len(rows), -1, group)


def _scales(grouped: Array) -> Array | None:
    """Return a scale for each group, or None if one of them cannot have any."""
    largest: Array = np.abs(grouped).max(axis=2)
    # Not above half of the range either: the largest code times its scale might overflow.
    if not (largest <= np.finfo(grouped.dtype).max / 2).all():
        return None
    for dtype in (grouped.dtype, np.dtype(np.float64)):
        scales = largest.astype(dtype) / dtype.type(_LEVELS)
        # A scale below the normal numbers has too few bits left for the bound to hold.
        if ((largest == 0) | (scales >= np.finfo(dtype).tiny)).all():
            found: Array = scales
            return found
    return None


def _dump(value: Quantized) -> Any:
    # As integers: the scales are floats themselves and must not be quantised in their turn.
    scales = value.scales.view(f"u{value.scales.itemsize}")
    return [value.dtype, value.tensor, value.group, value.codes, scales]


def _load(plain: Any) -> Any:
    dtype, tensor, group, codes, scales = plain
    _check(group, codes, scales)
    scales = scales.view(f"f{scales.itemsize}")
    rows = codes.reshape(-1, codes.shape[-1])
    wide = np.repeat(scales, group, axis=1)[:, : rows.shape[1]]
    array = (rows * wide).reshape(codes.shape)
    return _as_tensor(array, dtype) if tensor else _as_array(array, dtype)


def _check(group: Any, codes: Any, scales: Any) -> None:
    if type(codes) is not np.ndarray or type(scales) is not np.ndarray or type(group) is not int:
        raise BlobError("the body holds quantised values without codes, scales or group size")
    if codes.dtype != np.int8 or scales.dtype not in _SCALE_BITS or not codes.size * codes.ndim:
        raise BlobError(f"the body holds quantised values of {codes.dtype} and {scales.dtype}")
    columns = codes.shape[-1]
    if not 1 <= group <= max(columns, 2**16):
        raise BlobError(f"the body holds quantised values in groups of {group}")
    if scales.shape != (codes.size // columns, -(-columns // group)):
        raise BlobError("the body holds quantised values whose scales do not fit their codes")


def _as_array(array: Array, dtype: Any) -> Array:
    if dtype not in ("<f2", "<f4", "<f8", ">f2", ">f4", ">f8"):
        raise BlobError(f"the body holds quantised values of dtype {str(dtype)[:40]!r}")
    return array.astype(dtype, copy=False)


def _as_tensor(array: Array, dtype: Any) -> Any:
    import torch

    if dtype not in _TENSOR_DTYPES:
        raise BlobError(f"the body holds quantised values of dtype {str(dtype)[:40]!r}")
    return torch.from_numpy(np.ascontiguousarray(array)).to(getattr(torch, dtype))


register_type(Quantized, "int8/1", _dump, _load)
