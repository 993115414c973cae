"""Our own access logs as Parquet, and other tables with the same columns."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from infercache.errors import MissingExtraError
from infercache.simulate.readers.base import Source
from infercache.simulate.readers.numbers import keys_of, mix
from infercache.simulate.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NAMES = {
    "key": ("key", "digest", "id"),
    "time": ("time", "time_s", "at", "at_s", "timestamp"),
    "size": ("size", "size_bytes"),
    "cost": ("cost", "cost_s"),
    "namespace": ("namespace",),
}


class ParquetReader:
    """Reads key (whole number, digest or text), time, size, cost and namespace."""

    unit = "record"
    promise = "infercache's access log: Parquet with key, time, size, cost, namespace"

    def detect(self, source: Source) -> bool:
        """Return whether the file carries Parquet's mark."""
        return source.data[:4] == b"PAR1"

    def read(self, source: Source) -> Trace:
        """Return one access a row; equal keys of two namespaces are two keys."""
        table = _open(source)
        columns = {
            name: table.column(found[0]).combine_chunks()
            for name, names in _NAMES.items()
            if (found := [one for one in names if one in table.column_names])
        }
        if "key" not in columns:
            raise source.fail(
                "columns", f"{', '.join(table.column_names) or 'none'}; expected one named 'key'"
            )
        for name, column in columns.items():
            _refuse_empty(source, name, column)
        keys = _keys(source, columns["key"])
        if "namespace" in columns:
            names = columns["namespace"].to_pylist()
            keys = mix(keys, keys_of([str(name).encode() for name in names]))
        return Trace(
            source.name,
            "parquet",
            keys,
            _floats(source, columns, "time"),
            _sizes(source, columns),
            _floats(source, columns, "cost"),
        )


def _open(source: Source) -> Any:
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("Parquet needs pyarrow: pip install pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(pa.BufferReader(source.data))
    except (pa.ArrowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise source.fail("the whole file", f"damaged or cut off Parquet ({first})") from error


def _refuse_empty(source: Source, name: str, column: Any) -> None:
    if column.null_count:
        first = column.is_null().to_pylist().index(True)
        raise source.fail(f"record {first + 1}", f"no {name}; expected one in each record")


def _keys(source: Source, column: Any) -> NDArray[np.uint64]:
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if pa.types.is_integer(kind):
        numbers = column.to_numpy(zero_copy_only=False)
        wide = np.uint64 if numbers.dtype.kind == "u" else np.int64
        whole: NDArray[np.uint64] = numbers.astype(wide).view(np.uint64)
        return whole
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width >= 8:
        data = np.frombuffer(column.buffers()[1], dtype=np.uint8)
        start = column.offset * kind.byte_width
        rows = data[start : start + len(column) * kind.byte_width].reshape(-1, kind.byte_width)
        return np.ascontiguousarray(rows[:, :8]).view("<u8")[:, 0].astype(np.uint64)
    if any(is_kind(kind) for is_kind in (pa.types.is_binary, pa.types.is_large_binary)):
        return keys_of(column.to_pylist())
    if any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string)):
        return keys_of([key.encode() for key in column.to_pylist()])
    raise source.fail("column key", f"{kind}; expected whole numbers, digests or text")


def _floats(source: Source, columns: dict[str, Any], name: str) -> NDArray[np.float64] | None:
    import numpy as np
    import pyarrow as pa

    if name not in columns:
        return None
    column = columns[name]
    if pa.types.is_timestamp(column.type):
        nanoseconds = column.cast(pa.timestamp("ns")).cast(pa.int64())
        return nanoseconds.to_numpy(zero_copy_only=False) / 1e9  # type: ignore[no-any-return]
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "iuf":
        raise source.fail(f"column {name}", f"{column.type}; expected seconds")
    seconds: NDArray[np.float64] = values.astype(np.float64)
    return seconds


def _sizes(source: Source, columns: dict[str, Any]) -> Any:
    if "size" not in columns:
        return None
    values = columns["size"].to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "iu":
        raise source.fail("column size", f"{columns['size'].type}; expected whole bytes")
    return values
