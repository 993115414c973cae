"""Keys of NumPy arrays, scalars and dtypes.

Arrays are compared by dtype (byte order included), shape and the bytes of their items in C
order; how the memory is laid out does not count. Contiguous arrays are hashed where they are.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

from infercache.errors import UnkeyableError
from infercache.keys.plain import refuse_random
from infercache.keys.records import Parts, qualified

if TYPE_CHECKING:
    import numpy as np


def encode_array(value: Any) -> Parts:
    """Key an array or a scalar: dtype, shape, items. Zero-copy if C-contiguous."""
    return _array_parts(_numpy().asarray(value))


def _array_parts(array: np.ndarray[Any, Any]) -> Parts:
    dtype = array.dtype
    head = (_dtype_name(dtype), array.shape)
    if dtype.names is not None:
        # By field: the bytes between fields are not part of the value.
        fields = {f"[{name!r}]": _array_parts(array[name]) for name in dtype.names}
        return {"": (*head, dtype.itemsize), **fields}
    if dtype.hasobject or dtype.kind in "OT":
        return {"": array.ravel().tolist(), ".dtype": head}
    return (head, bytes_of(array))


def bytes_of(array: np.ndarray[Any, Any]) -> memoryview:
    """Return the bytes of an array's items in C order, without a copy if they lie so."""
    numpy = _numpy()
    if not array.flags.c_contiguous:
        array = numpy.ascontiguousarray(array)
    return memoryview(array.reshape(-1).view(numpy.uint8))


def _dtype_name(dtype: np.dtype[Any]) -> Any:
    if dtype.isbuiltin == 1 or _unpickled_builtin(dtype):
        return dtype.str
    # Types of other makers, such as bfloat16, share the text of void types: hence the name.
    return (dtype.str, str(dtype.name) if dtype.names is None else "structured")


def _unpickled_builtin(dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype was a builtin one before it was pickled: equal, but another object."""
    if dtype.names is not None or dtype.type.__module__ != "numpy":
        return False
    return bool(_numpy().dtype(dtype.str).isbuiltin == 1)


def encode_masked_array(value: Any) -> Parts:
    """Key a masked array: the data under the mask counts too, as a function may look at it."""
    numpy = _numpy()
    return {
        ".data": numpy.asarray(numpy.ma.getdata(value)),
        ".mask": numpy.ma.getmaskarray(value),
        ".fill_value": numpy.asarray(value.fill_value),
        ".hardmask": bool(value.hardmask),
    }


def encode_dtype(value: np.dtype[Any]) -> Parts:
    """Key a dtype, with its fields if it has any."""
    if value.subdtype is not None:
        base, shape = value.subdtype
        return ("subarray", base, shape)
    if value.names is None or value.fields is None:
        return (_dtype_name(value),)
    fields = tuple((name, *value.fields[name][:2]) for name in value.names)
    return ("structured", value.itemsize, value.alignment, fields)


def encode_ufunc(value: Any) -> Parts:
    """Key one of NumPy's own functions by name and NumPy's version."""
    numpy = _numpy()
    known: Any = getattr(numpy, value.__name__, None)
    if known is not value:
        raise UnkeyableError(f"ufunc {value.__name__!r} is not one of NumPy's own; pass its name")
    return (value.__name__, str(numpy.__version__))


def refuse_generator(value: object) -> NoReturn:
    """Refuse a source of random numbers."""
    refuse_random(value)


def refuse_subclass(value: object, cls: type) -> None:
    """Refuse subclasses of types that keep what they add where it cannot be found."""
    if type(value) is not cls:
        raise UnkeyableError(
            f"{qualified(type(value))!r} extends {qualified(cls)!r} in ways that are not known "
            "here; register it with infercache.register_key"
        )


def _numpy() -> Any:
    return sys.modules["numpy"]
