"""Keys of Arrow tables, batches, arrays and scalars: by type and content.

Chunks, offsets and what lies under nulls do not count, nor do a schema's metadata of pandas.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from infercache.errors import UnkeyableError
from infercache.keys.records import Parts


def encode_table(value: Any) -> Parts:
    """Key a table or batch by schema, length and columns in order."""
    columns = {
        f"[{name!r}]" if value.schema.names.count(name) == 1 else f".column({place})":
        _column(value.column(place))
        for place, name in enumerate(value.schema.names)
    }  # fmt: skip
    return {
        "": (type(value).__name__, value.num_rows),
        ".schema": value.schema,
        **columns,
    }


def encode_array(value: Any) -> Parts:
    """Key an array or a chunked array; the two differ."""
    kind = "ChunkedArray" if type(value) is _arrow().ChunkedArray else "Array"
    return (kind, *_column(value))


def encode_scalar(value: Any) -> Parts:
    """Key a scalar as an array of one item."""
    arrow = _arrow()
    return ("Scalar", *_column(arrow.array([value.as_py()], type=value.type)))


def encode_schema(value: Any) -> Parts:
    """Key a schema: fields in order and metadata."""
    fields = ((field.name, field.type, field.nullable, field.metadata) for field in value)
    return (tuple(fields), value.metadata)


def encode_type(value: Any) -> Parts:
    """Key a type by its text."""
    return (str(value),)


def _column(array: Any) -> tuple[Any, ...]:
    """Return type, length, gaps and content as plain parts and NumPy arrays."""
    array = _one_chunk(array)
    gaps = _bits(array.is_null()) if array.null_count else None
    return (str(array.type), len(array), gaps, *_content(array))


def _one_chunk(array: Any) -> Any:
    arrow = _arrow()
    if not isinstance(array, arrow.ChunkedArray):
        return array
    if array.num_chunks == 1:
        return array.chunk(0)
    combined = array.combine_chunks()
    if isinstance(combined, arrow.ChunkedArray):
        raise UnkeyableError(
            "an Arrow column of more than 2 GiB of text has no content key; cast it to a large type"
        )
    return combined


def _content(array: Any) -> tuple[Any, ...]:
    arrow, kind = _arrow(), array.type
    types = arrow.types
    if types.is_null(kind):
        return ()
    if isinstance(kind, arrow.BaseExtensionType):
        return _column(array.storage)
    if types.is_dictionary(kind):
        return (*_column(array.indices), *_column(array.dictionary))
    if types.is_struct(kind):
        return tuple(_column(field) for field in array.flatten())
    if types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind):
        return _lists(array)
    if types.is_fixed_size_list(kind):
        return _column(array.drop_null().flatten())
    if types.is_run_end_encoded(kind):
        return _column(_compute().run_end_decode(array))
    if _is_text(kind):
        return _texts(array)
    if types.is_primitive(kind) or types.is_decimal(kind) or types.is_fixed_size_binary(kind):
        return (_numbers(array),)
    raise UnkeyableError(f"an Arrow column of type {kind} has no content key; cast it")


def _lists(array: Any) -> tuple[Any, ...]:
    arrow = _arrow()
    if arrow.types.is_map(array.type):
        item = arrow.struct([array.type.key_field, array.type.item_field])
        array = array.cast(arrow.list_(arrow.field("entries", item, nullable=False)))
    lengths = _compute().list_value_length(array).fill_null(0)
    return (_numbers(lengths), *_column(array.drop_null().flatten()))


def _is_text(kind: Any) -> bool:
    types = _arrow().types
    views = types.is_string_view(kind) or types.is_binary_view(kind)
    text = types.is_string(kind) or types.is_large_string(kind)
    return bool(views or text or types.is_binary(kind) or types.is_large_binary(kind))


def _texts(array: Any) -> tuple[Any, ...]:
    """Return lengths and the text of all items that are there, one after the other."""
    arrow = _arrow()
    packed = array.drop_null().cast(arrow.large_binary())
    lengths = _numbers(_compute().binary_length(packed))
    if not len(packed):
        return (lengths, b"")
    _, offsets, text = packed.buffers()
    ends = memoryview(offsets).cast("B").cast("q")
    first, last = ends[packed.offset], ends[packed.offset + len(packed)]
    return (lengths, memoryview(text)[first:last] if text is not None else b"")


def _numbers(array: Any) -> Any:
    """Return the bytes of items of fixed width; items that are missing are left out."""
    packed = array.drop_null()
    if _arrow().types.is_boolean(packed.type):
        return _bits(packed)
    width = packed.type.bit_width // 8
    _, values = packed.buffers()[:2]
    if values is None:
        return b""
    return memoryview(values)[packed.offset * width : (packed.offset + len(packed)) * width]


def _bits(array: Any) -> Any:
    """Return bools as one byte each."""
    return _numbers(array.cast(_arrow().uint8()))


def _arrow() -> Any:
    return sys.modules["pyarrow"]


def _compute() -> Any:
    return importlib.import_module("pyarrow.compute")  # not loaded by pyarrow itself
