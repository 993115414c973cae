"""Keys of torch tensors and of the small types around them.

Tensors are compared by dtype, kind of device, shape and the bytes of their items; strides,
`requires_grad` and the index of the device do not count. The kind of device does, since what a
function returns for a tensor usually lives where the tensor lives.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, NoReturn

from infercache.errors import UnkeyableError
from infercache.keys.plain import refuse_random
from infercache.keys.records import Parts

_text = functools.lru_cache(maxsize=256)(str)  # of dtypes and layouts
_SPARSE_PARTS = {
    "torch.sparse_csr": ("crow_indices", "col_indices", "values"),
    "torch.sparse_bsr": ("crow_indices", "col_indices", "values"),
    "torch.sparse_csc": ("ccol_indices", "row_indices", "values"),
    "torch.sparse_bsc": ("ccol_indices", "row_indices", "values"),
}


def encode_tensor(value: Any) -> Parts:
    """Key a tensor. Zero-copy if dense, contiguous and on the CPU; else one copy to it."""
    try:
        return _parts(value.detach())
    except RuntimeError as error:
        raise UnkeyableError(
            f"a {type(value).__name__} whose items cannot be read has no content key: {error}"
        ) from error


def _parts(tensor: Any) -> tuple[Any, ...]:
    if tensor.is_quantized:
        raise UnkeyableError(
            "a quantised tensor has no content key; pass its int_repr() with scale and zero point"
        )
    if tensor.device.type == "meta" or tensor.is_nested:
        kind = "meta" if tensor.device.type == "meta" else "nested"
        raise UnkeyableError(f"a {kind} tensor has no content key; pass dense tensors with data")
    layout = _text(tensor.layout)
    head = (_text(tensor.dtype), tensor.device.type, tuple(tensor.shape), layout)
    if layout == "torch.strided":
        return (head, _bytes_of(tensor))
    if layout == "torch.sparse_coo":
        tensor = tensor.coalesce()
        return (head, *_parts(tensor.indices()), *_parts(tensor.values()))
    if layout in _SPARSE_PARTS:
        return (head, *(_parts(getattr(tensor, name)()) for name in _SPARSE_PARTS[layout]))
    raise UnkeyableError(f"a tensor of layout {layout} has no content key; pass a dense one")


def _bytes_of(tensor: Any) -> memoryview:
    torch = sys.modules["torch"]
    if type(tensor) is not torch.Tensor:
        tensor = tensor.as_subclass(torch.Tensor)
    if not (tensor.is_cpu and tensor.is_contiguous()):
        tensor = tensor.contiguous().cpu()
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.resolve_conj().resolve_neg()
    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())


def encode_size(value: Any) -> Parts:
    """Key a shape."""
    return tuple(value)


def encode_name(value: object) -> Parts:
    """Key a dtype, device, layout or memory format by its name."""
    return (str(value),)


def refuse_generator(value: object) -> NoReturn:
    """Refuse a source of random numbers."""
    refuse_random(value)


def refuse_module(value: object) -> NoReturn:
    """Refuse a model: hashing its weights at each call would cost more than it saves."""
    raise UnkeyableError(
        f"a torch module ({type(value).__name__}) has no content key; put a fingerprint of the "
        'model into version=, such as "resnet18@2024-05", and leave the argument out with ignore='
    )
