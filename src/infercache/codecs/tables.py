"""Arrow and pandas tables in the plain codec, as Arrow IPC streams."""

from __future__ import annotations

import sys
from typing import Any

from infercache.codecs.buffers import Reader, Writer
from infercache.codecs.tree import ARROW, PANDAS, VIEW, refer, refusal, tag
from infercache.errors import BlobError, EncodeError


def lower(value: Any, writer: Writer, depth: int) -> Any:
    """Return the tagged array that stands for a table.

    A pandas table is read back once: Arrow guesses the types of columns of objects, and a
    table that would come back as another one is refused.
    """
    arrow = _arrow()
    if arrow is None:
        raise refusal(value, "install pyarrow to have tables written")
    if type(value) is arrow.Table:
        return tag(ARROW, (refer(VIEW, _stream(arrow, value), writer),), writer)
    pandas = sys.modules.get("pandas")
    if pandas is None or type(value) is not pandas.DataFrame:
        raise refusal(value, "give a pandas.DataFrame or a pyarrow.Table")
    table = _from_pandas(arrow, value)
    return tag(PANDAS, (refer(VIEW, _stream(arrow, table), writer),), writer)


def _from_pandas(arrow: Any, frame: Any) -> Any:
    try:
        table = arrow.Table.from_pandas(frame)
        back = table.to_pandas()
    except (arrow.ArrowException, ValueError, TypeError) as error:
        raise EncodeError(f"Arrow does not carry this pandas.DataFrame: {error}") from error
    same = back.equals(frame) and list(back.dtypes) == list(frame.dtypes)
    if not same or not back.columns.equals(frame.columns) or not back.index.equals(frame.index):
        raise EncodeError(
            "this pandas.DataFrame does not come back from Arrow as it is; "
            "convert its columns of objects to one type each"
        )
    return table


def _stream(arrow: Any, table: Any) -> memoryview:
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def load(code: int, data: memoryview, reader: Reader) -> Any:
    """Tables have no extension of their own."""
    raise BlobError(f"extension {code} is not a table")


def build(code: int, items: list[Any]) -> Any:
    """Return the table, after Arrow has validated all of it."""
    (stream,) = items
    import pyarrow as arrow

    if type(stream) is not memoryview:
        raise BlobError("the body holds a table without content")
    table = arrow.ipc.open_stream(arrow.py_buffer(stream)).read_all()
    table.validate(full=True)
    return table if code == ARROW else table.to_pandas()


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
    except ModuleNotFoundError:
        return None
    return pyarrow
