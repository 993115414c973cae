"""Keys of polars frames and series: by name, dtype and content; chunks do not count."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from infercache.errors import UnkeyableError
from infercache.keys.records import Parts


def encode_frame(value: Any) -> Parts:
    """Key a frame by its columns in order, and its height."""
    columns = {f"[{column.name!r}]": (column.name, *_column(column)) for column in value}
    return {"": (value.height,), **columns}


def encode_series(value: Any) -> Parts:
    """Key a series: name, dtype, items."""
    return (value.name, *_column(value))


def refuse_lazy(value: object) -> NoReturn:
    """Refuse a plan that was not run."""
    raise UnkeyableError("a polars LazyFrame is a plan, not data; pass frame.collect()")


def _column(series: Any) -> tuple[Any, ...]:
    """Return dtype, length, gaps and content as plain parts and NumPy arrays."""
    polars = sys.modules["polars"]
    dtype, base = series.dtype, series.dtype.base_type()
    gaps = series.is_null().to_numpy() if series.null_count() else None
    head = (str(dtype), len(series), gaps)
    if dtype == polars.Null:
        return head
    if base is polars.Object:
        raise UnkeyableError("a polars column of Python objects has no content key; convert it")
    if base is polars.Struct:
        return (*head, *(_column(series.struct.field(name)) for name in series.struct.fields))
    if base is polars.List:
        return (*head, series.list.len().fill_null(0).to_numpy(), _column(series.explode()))
    if base is polars.Array:
        return (*head, _column(series.explode()))
    if base in (polars.Categorical, polars.Enum):
        return (*head, _texts(series.cast(polars.String)))
    if base in (polars.String, polars.Binary):
        return (*head, _texts(series))
    if base is polars.Decimal or base is getattr(polars, "Int128", None):
        return (*head, _texts(series.cast(polars.String)))
    numbers = series.to_physical()
    return (*head, (numbers.fill_null(False if base is polars.Boolean else 0)).to_numpy())


def _texts(series: Any) -> list[Any]:
    """Return strings or bytes as a list, which the native encoder takes at about 50 ns each."""
    items: list[Any] = series.to_list()
    return items
