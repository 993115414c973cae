"""Plain Python data as msgpack: what msgpack lacks is tagged, so that types come back as they went.

`lower` turns a value into what msgspec writes as msgpack; `lift` turns it back. A leaf that
msgpack lacks (a big integer, a date, an array) is an extension of its own. A container that it
lacks (a tuple, a set) is an array whose first item is an extension without content, which says
what the rest is.
"""

from __future__ import annotations

import datetime as dt
import decimal
import importlib
import struct
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from infercache.codecs.buffers import Reader, Writer
from infercache.errors import BlobError, EncodeError, SettingError

Ext = msgspec.msgpack.Ext

DEEPEST = 100
# Bytes from which on a `bytes` object is laid behind the tree instead of being copied into it.
_LARGE_BYTES = 64 * 1024

BIG_INT, COMPLEX, DECIMAL, UUID, DATETIME, DATE, TIME, TIMEDELTA = range(1, 9)
BYTEARRAY, SURROGATES, BYTES, VIEW = range(9, 13)
TUPLE, SET, FROZENSET, DICT, ORDERED_DICT, NAMED = range(20, 26)
ARRAY, SCALAR, TENSOR, IMAGE, ARROW, PANDAS = range(32, 38)

ATOMS = frozenset({type(None), bool, int, float, str, bytes})
_CAREFUL_ATOMS = ATOMS - {int, str}
_COMPLEX = struct.Struct("<dd")
_TIMEDELTA = struct.Struct("<iii")

# Packages whose values are not plain data, and the module that knows them. It is imported when
# the first such value is met, at which time the package itself has been imported already.
_FOREIGN = {
    "numpy": "infercache.codecs.arrays",
    "torch": "infercache.codecs.tensors",
    "PIL": "infercache.codecs.images",
    "pandas": "infercache.codecs.tables",
    "pyarrow": "infercache.codecs.tables",
}
_FOREIGN_CODES = {
    ARRAY: "infercache.codecs.arrays",
    SCALAR: "infercache.codecs.arrays",
    TENSOR: "infercache.codecs.tensors",
    IMAGE: "infercache.codecs.images",
    ARROW: "infercache.codecs.tables",
    PANDAS: "infercache.codecs.tables",
}
_named_types: dict[type, tuple[str, Callable[[Any], Any]]] = {}
_named_loaders: dict[str, Callable[[Any], Any]] = {}


class Marker:
    """The first item of an array that stands for a container which msgpack lacks."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


_MARKERS = {
    code: Marker(code)
    for code in (TUPLE, SET, FROZENSET, DICT, ORDERED_DICT, NAMED, IMAGE, ARROW, PANDAS)
}


def register_type(
    kind: type, name: str, dump: Callable[[Any], Any], load: Callable[[Any], Any]
) -> None:
    """Let the plain codec write a type: `dump` returns plain data, `load` builds the value of it.

    Writer and reader must both register it; a stored name that the reader did not register is
    a `BlobError`. Meant for start-up: not to be called while values are encoded.

    Args:
        kind: The exact type.
        name: What stands for it in stored bytes, such as "infercache.Failure/1".
        dump: Value to plain data.
        load: Plain data to value; must check what it is given, and run nothing of it.

    Raises:
        SettingError: the name is taken.
    """
    if name in _named_loaders and _named_types.get(kind, ("",))[0] != name:
        raise SettingError(f"codec type {name!r} is registered already; choose another name")
    _named_types[kind] = (name, dump)
    _named_loaders[name] = load


def lower(value: Any, writer: Writer, depth: int = 0) -> Any:
    """Return what msgspec writes in place of `value`; large buffers go to `writer`.

    Raises:
        EncodeError: a value that is not plain data, an array, a tensor, an image or a table.
    """
    if depth > DEEPEST:
        raise EncodeError(f"the value is nested deeper than {DEEPEST} levels, or contains itself")
    lowering = _LOWER.get(type(value))
    if lowering is not None:
        return lowering(value, writer, depth)
    return _lower_other(value, writer, depth)


def tag(code: int, items: Iterable[Any], writer: Writer) -> list[Any]:
    """Return the array that stands for a container of this code."""
    writer.tagged = True
    return [Ext(code, b""), *items]


def _all_atoms(values: Iterable[Any], writer: Writer) -> bool:
    atoms = _CAREFUL_ATOMS if writer.careful else ATOMS
    return atoms.issuperset(map(type, values))


def _lower_items(values: Iterable[Any], writer: Writer, depth: int) -> list[Any]:
    if _all_atoms(values, writer):
        return list(values)
    return [lower(item, writer, depth + 1) for item in values]


def _lower_list(value: list[Any], writer: Writer, depth: int) -> list[Any]:
    return value if _all_atoms(value, writer) else _lower_items(value, writer, depth)


def _lower_dict(value: dict[Any, Any], writer: Writer, depth: int) -> Any:
    if not _all_atoms(value, writer):
        return tag(DICT, _lower_items(_pairs(value), writer, depth), writer)
    if _all_atoms(value.values(), writer):
        return value
    return {name: lower(item, writer, depth + 1) for name, item in value.items()}


def _lower_ordered(value: OrderedDict[Any, Any], writer: Writer, depth: int) -> Any:
    extra = vars(value)
    # `Module.state_dict()` hangs the modules' versions on this attribute.
    if extra.keys() - {"_metadata"}:
        raise EncodeError(f"an OrderedDict with attributes of its own ({', '.join(extra)})")
    items = [extra.get("_metadata"), *_pairs(value)]
    return tag(ORDERED_DICT, _lower_items(items, writer, depth), writer)


def _pairs(value: dict[Any, Any]) -> list[Any]:
    return [part for pair in value.items() for part in pair]


def _lower_int(value: int, writer: Writer, depth: int) -> Any:
    if -(2**63) <= value < 2**64:
        return value
    writer.tagged = True
    return Ext(BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def _lower_str(value: str, writer: Writer, depth: int) -> Any:
    if not writer.careful:
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        writer.tagged = True
        return Ext(SURROGATES, value.encode("utf-8", "surrogatepass"))
    return value


def _lower_bytes(value: bytes, writer: Writer, depth: int) -> Any:
    if len(value) < _LARGE_BYTES:
        return value
    writer.tagged = True
    return refer(BYTES, memoryview(value), writer)


def refer(code: int, data: memoryview, writer: Writer) -> Any:
    """Lay bytes behind the tree, and return the extension that refers to them."""
    writer.tagged = True
    return Ext(code, msgspec.msgpack.encode((writer.add(data), data.nbytes)))


def _leaf(code: int, dump: Callable[[Any], bytes]) -> Callable[[Any, Writer, int], Any]:
    def lower_leaf(value: Any, writer: Writer, depth: int) -> Any:
        writer.tagged = True
        return Ext(code, dump(value))

    return lower_leaf


def _container(code: int) -> Callable[[Any, Writer, int], Any]:
    def lower_container(value: Any, writer: Writer, depth: int) -> Any:
        return tag(code, _lower_items(value, writer, depth), writer)

    return lower_container


def _dump_time(value: dt.datetime | dt.time) -> bytes:
    zone = value.tzinfo
    if zone is not None and (type(zone) is not dt.timezone or _is_named(zone)):
        raise EncodeError(
            f"a {type(value).__name__} in time zone {zone!r}: only fixed offsets without a name "
            "are kept; convert it with .astimezone(datetime.timezone.utc)"
        )
    return f"{value.fold}{value.isoformat()}".encode()


def _is_named(zone: dt.timezone) -> bool:
    return zone.tzname(None) != dt.timezone(zone.utcoffset(None)).tzname(None)


def _same(value: Any, writer: Writer, depth: int) -> Any:
    return value


_LOWER: dict[type, Callable[[Any, Writer, int], Any]] = {
    type(None): _same,
    bool: _same,
    float: _same,
    int: _lower_int,
    str: _lower_str,
    bytes: _lower_bytes,
    list: _lower_list,
    dict: _lower_dict,
    tuple: _container(TUPLE),
    set: _container(SET),
    frozenset: _container(FROZENSET),
    OrderedDict: _lower_ordered,
    bytearray: _leaf(BYTEARRAY, bytes),
    complex: _leaf(COMPLEX, lambda value: _COMPLEX.pack(value.real, value.imag)),
    decimal.Decimal: _leaf(DECIMAL, lambda value: str(value).encode()),
    uuid.UUID: _leaf(UUID, lambda value: value.bytes),
    dt.datetime: _leaf(DATETIME, _dump_time),
    dt.time: _leaf(TIME, _dump_time),
    dt.date: _leaf(DATE, lambda value: value.isoformat().encode()),
    dt.timedelta: _leaf(
        TIMEDELTA, lambda value: _TIMEDELTA.pack(value.days, value.seconds, value.microseconds)
    ),
}


def _lower_other(value: Any, writer: Writer, depth: int) -> Any:
    if writer.replace is not None:
        value = writer.replace(value)
    kind = type(value)
    if kind in _named_types:
        name, dump = _named_types[kind]
        return tag(NAMED, (name, lower(dump(value), writer, depth + 1)), writer)
    module = _FOREIGN.get(kind.__module__.partition(".")[0])
    if module is not None:
        writer.tagged = True
        return importlib.import_module(module).lower(value, writer, depth)
    raise refusal(value)


def refusal(value: Any, advice: str = "") -> EncodeError:
    """Return the error for a value that is not written, with what to do instead."""
    kind = type(value)
    advice = advice or (
        "return dicts, lists and tuples of plain data, arrays and tensors, or give the "
        "namespace a codec for the type: TypedCodec(type)"
    )
    return EncodeError(
        f"a value of type {kind.__module__}.{kind.__qualname__} is not plain data; {advice}"
    )


def load_extension(code: int, data: memoryview, reader: Reader) -> Any:
    """Return what an extension stands for: a leaf, or the marker of a container.

    Raises:
        BlobError: an unknown code, or content that does not belong to it.
    """
    leaf = _LEAVES.get(code)
    if leaf is not None:
        return leaf(data)
    if code in _MARKERS:
        return _MARKERS[code]
    if code in (BYTES, VIEW):
        view = reader.view(*_read_reference(data))
        return bytes(view) if code == BYTES else view
    if code in _FOREIGN_CODES:
        return importlib.import_module(_FOREIGN_CODES[code]).load(code, data, reader)
    raise BlobError(f"the body holds an unknown extension {code}")


_read_reference = msgspec.msgpack.Decoder(tuple[int, int]).decode


def _load_datetime(data: memoryview) -> dt.datetime:
    text = str(data, "ascii")
    return dt.datetime.fromisoformat(text[1:]).replace(fold=int(text[0]))


def _load_time(data: memoryview) -> dt.time:
    text = str(data, "ascii")
    return dt.time.fromisoformat(text[1:]).replace(fold=int(text[0]))


_LEAVES: dict[int, Callable[[memoryview], Any]] = {
    BIG_INT: lambda data: int.from_bytes(data, "little", signed=True),
    COMPLEX: lambda data: complex(*_COMPLEX.unpack(data)),
    DECIMAL: lambda data: decimal.Decimal(str(data, "ascii")),
    UUID: lambda data: uuid.UUID(bytes=bytes(data)),
    DATETIME: _load_datetime,
    TIME: _load_time,
    DATE: lambda data: dt.date.fromisoformat(str(data, "ascii")),
    TIMEDELTA: lambda data: dt.timedelta(*_TIMEDELTA.unpack(data)),
    BYTEARRAY: bytearray,
    SURROGATES: lambda data: str(data, "utf-8", "surrogatepass"),
}


def lift(tree: Any, depth: int = 0) -> Any:
    """Return the value that a decoded tree stands for; lists and dicts are changed in place.

    Raises:
        BlobError: not a tree that `lower` makes.
    """
    kind = type(tree)
    if kind is dict:
        if not ATOMS.issuperset(map(type, tree)):
            raise BlobError("the body holds a map with keys that are not plain")
        _lift_values(tree, depth)
    elif kind is list:
        if tree and type(tree[0]) is Marker:
            return _build(tree[0].code, _lift_items(tree[1:], depth))
        _lift_items(tree, depth)
    elif kind is Marker:
        raise BlobError("the body holds a container's marker outside of a container")
    return tree


_LEAF_TYPES = ATOMS | {complex, decimal.Decimal, dt.datetime, dt.date, dt.timedelta}


def _lift_items(items: list[Any], depth: int) -> list[Any]:
    if not _LEAF_TYPES.issuperset(map(type, items)):
        _check_depth(depth)
        items[:] = [lift(item, depth + 1) for item in items]
    return items


def _lift_values(tree: dict[Any, Any], depth: int) -> None:
    if not _LEAF_TYPES.issuperset(map(type, tree.values())):
        _check_depth(depth)
        for name, item in tree.items():
            tree[name] = lift(item, depth + 1)


def _check_depth(depth: int) -> None:
    if depth > DEEPEST:
        raise BlobError(f"the body is nested deeper than {DEEPEST} levels")


def _build(code: int, items: list[Any]) -> Any:
    if code in _FOREIGN_CODES:
        return importlib.import_module(_FOREIGN_CODES[code]).build(code, items)
    return _BUILDERS[code](items)


def _build_dict(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _build_ordered(items: list[Any]) -> OrderedDict[Any, Any]:
    built = OrderedDict(_build_dict(items[1:]))
    if items[0] is not None:
        vars(built)["_metadata"] = items[0]
    return built


def _build_named(items: list[Any]) -> Any:
    name, plain = items
    if name not in _named_loaders:
        raise BlobError(f"the body holds a {name!r}, which is not registered here")
    return _named_loaders[name](plain)


_BUILDERS: dict[int, Callable[[list[Any]], Any]] = {
    TUPLE: tuple,
    SET: set,
    FROZENSET: frozenset,
    DICT: _build_dict,
    ORDERED_DICT: _build_ordered,
    NAMED: _build_named,
}
