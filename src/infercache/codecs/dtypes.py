"""NumPy dtypes as plain data, and back through a list of what is allowed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from infercache.errors import BlobError, EncodeError

_UNIT = "generic|Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as"
# No objects, no long doubles (their layout differs between machines), no new-style strings.
_SIMPLE = re.compile(
    rf"[|<>](?:b1|[iu][1248]|f[248]|c8|c16|[SUV][0-9]{{1,9}}|[mM]8(?:\[[0-9]{{0,9}}(?:{_UNIT})\])?)"
)
_DEEPEST = 16
_MOST_FIELDS = 10_000


def describe(dtype: np.dtype[Any], depth: int = 0) -> Any:
    """Return a dtype as plain data: a string, or the list of its fields.

    Raises:
        EncodeError: a dtype with objects in it, or one that other machines do not have.
    """
    if dtype.names is not None:
        return _describe_fields(dtype, depth)
    # Types of other packages call themselves "V2" and the like.
    if dtype.type.__module__ == "numpy" and _SIMPLE.fullmatch(dtype.str):
        return dtype.str
    if dtype.hasobject:
        raise EncodeError(
            "an array of Python objects (dtype object) is not written; "
            "give it a numeric or fixed-width string dtype, or return a list"
        )
    raise EncodeError(f"an array of dtype {dtype} is not written; convert it with .astype()")


def _describe_fields(dtype: np.dtype[Any], depth: int) -> Any:
    names, fields = dtype.names, dtype.fields
    if names is None or fields is None or depth > _DEEPEST:
        raise EncodeError(f"an array of dtype {dtype} is nested too deep")
    described = []
    for name in names:
        if len(fields[name]) > 2:
            raise EncodeError(f"an array whose field {name!r} has a title is not written")
        base, offset = fields[name][:2]
        item, shape = base.subdtype or (base, ())
        described.append((name, describe(item, depth + 1), offset, shape))
    return [dtype.itemsize, dtype.isalignedstruct, described]


def parse(described: Any, depth: int = 0) -> np.dtype[Any]:
    """Return the dtype that `describe` described.

    Raises:
        BlobError: a dtype that is not on the list of those allowed.
    """
    if isinstance(described, str):
        if not _SIMPLE.fullmatch(described):
            raise BlobError(
                f"the body holds an array of dtype {described[:40]!r}, not an allowed one"
            )
        return np.dtype(described)
    itemsize, aligned, fields = described
    if depth > _DEEPEST or len(fields) > _MOST_FIELDS:
        raise BlobError("the body holds an array whose dtype has too many fields")
    names, formats, offsets = [], [], []
    for name, item, offset, shape in fields:
        base = parse(item, depth + 1)
        names.append(str(name))
        formats.append(np.dtype((base, tuple(map(int, shape)))) if shape else base)
        offsets.append(int(offset))
    layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": int(itemsize)}
    return np.dtype(layout, align=bool(aligned))  # type: ignore[call-overload,no-any-return]
