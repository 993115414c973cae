"""Keys of pandas objects: by dtype, content, index and names.

How columns lie in blocks does not count, nor whether strings are kept by Arrow or by Python.
"""

from __future__ import annotations

import sys
from typing import Any

from infercache.errors import UnkeyableError
from infercache.keys.arrays import refuse_subclass
from infercache.keys.records import Parts, qualified


def encode_series(value: Any) -> Parts:
    """Key a series: name, index, items, and `attrs` if there are any."""
    refuse_subclass(value, _pandas().Series)
    return {
        ".name": value.name,
        ".index": value.index,
        "": _column(value.array),
        ".attrs": dict(value.attrs),
    }


def encode_frame(value: Any) -> Parts:
    """Key a frame: columns in order, index, and `attrs` if there are any."""
    refuse_subclass(value, _pandas().DataFrame)
    columns = {
        f"[{name!r}]": _column(value.iloc[:, place].array)
        for place, name in enumerate(value.columns)
    }
    if len(columns) < len(value.columns):  # a name occurs twice: call the columns by number
        columns = {
            f".iloc[:, {place}]": _column(value.iloc[:, place].array)
            for place in range(len(value.columns))
        }
    return {
        ".columns": value.columns,
        ".index": value.index,
        ".attrs": dict(value.attrs),
        **columns,
    }


def encode_index(value: Any) -> Parts:
    """Key an index: kind, names, items, frequency."""
    pandas, cls = _pandas(), type(value)
    if cls.__module__.partition(".")[0] != "pandas":
        refuse_subclass(value, pandas.Index)
    head = (cls.__name__, tuple(value.names), getattr(value, "freqstr", None))
    if cls is pandas.RangeIndex:
        return (head, value.start, value.stop, value.step)
    if cls is pandas.MultiIndex:
        levels = range(value.nlevels)
        return (head, *(_column(value.get_level_values(level).array) for level in levels))
    return {".names": head, "": _column(value.array)}


def encode_extension_array(value: Any) -> Parts:
    """Key one of pandas' own arrays."""
    return {"": _column(value)}


def _column(array: Any) -> Any:
    """Return plain parts and NumPy arrays that tell a pandas array apart."""
    kind = type(array).__name__
    if type(array).__module__.partition(".")[0] != "pandas":
        raise UnkeyableError(
            f"a column of type {qualified(type(array))!r} has no content key; convert it to one "
            "of pandas' own types"
        )
    encode = _COLUMNS.get(kind)
    if encode is None:
        raise UnkeyableError(f"a pandas column of kind {kind} ({array.dtype}) has no content key")
    return encode(array)


def _numpy_column(array: Any) -> Any:
    return array.to_numpy()


def _string_column(array: Any) -> Any:
    missing = array.isna()
    texts = [None if gap else text for text, gap in zip(array, missing, strict=True)]
    return ("string", str(array.dtype.na_value), texts)


def _masked_column(array: Any) -> Any:
    """Integers, floats and bools that may be missing; what lies under the mask does not count."""
    missing = array.isna()
    filled = array.to_numpy(dtype=array.dtype.numpy_dtype, na_value=array.dtype.numpy_dtype.type(0))
    return (str(array.dtype), filled, missing)


def _categorical_column(array: Any) -> Any:
    return ("category", array.codes, array.categories, bool(array.ordered))


def _moment_column(array: Any) -> Any:
    """Dates, durations and periods: what is kept are integers."""
    return (str(array.dtype), getattr(array, "freqstr", None), array.asi8)


def _interval_column(array: Any) -> Any:
    return ("interval", str(array.closed), array.left, array.right)


def _sparse_column(array: Any) -> Any:
    return (str(array.dtype), array.to_dense())


def _arrow_column(array: Any) -> Any:
    return (str(array.dtype), array.__arrow_array__())


_COLUMNS = {
    "NumpyExtensionArray": _numpy_column,
    "StringArray": _string_column,
    "StringArrayNumpySemantics": _string_column,
    "ArrowStringArray": _string_column,
    "ArrowStringArrayNumpySemantics": _string_column,
    "IntegerArray": _masked_column,
    "FloatingArray": _masked_column,
    "BooleanArray": _masked_column,
    "Categorical": _categorical_column,
    "DatetimeArray": _moment_column,
    "TimedeltaArray": _moment_column,
    "PeriodArray": _moment_column,
    "IntervalArray": _interval_column,
    "SparseArray": _sparse_column,
    "ArrowExtensionArray": _arrow_column,
}


def encode_timestamp(value: Any) -> Parts:
    """Key a timestamp or duration by its integer, unit and zone."""
    kind, zone = type(value).__name__, getattr(value, "tzinfo", None)
    return (kind, value.unit, int(value.asm8.view("i8")), zone, getattr(value, "fold", 0))


def encode_singleton(value: object) -> Parts:
    """Key NA and NaT."""
    return (type(value).__name__,)


def encode_interval(value: Any) -> Parts:
    """Key an interval by its ends and which of them belong to it."""
    return (value.left, value.right, value.closed)


def encode_period(value: Any) -> Parts:
    """Key a period by its number and frequency."""
    return (value.ordinal, value.freqstr)


def _pandas() -> Any:
    return sys.modules["pandas"]
