"""Keys of the standard library's value types, of pydantic models and msgspec structs.

What counts is how a value is written, not what it compares equal to: `Decimal("1.0")` and
`Decimal("1.00")` differ, and so do one instant in two time zones, as a function may show it.
"""

from __future__ import annotations

import datetime
import re
import sys
import typing
import uuid
import zoneinfo
from collections import OrderedDict, defaultdict, deque
from collections.abc import Mapping
from enum import Enum
from fractions import Fraction
from pathlib import PurePath, PureWindowsPath
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

from infercache.errors import UnkeyableError
from infercache.keys.records import HEAP_TYPE, Parts, qualified


def encode_text(value: object) -> Parts:
    """Key a value by its text, which says all of it."""
    return (str(value),)


def encode_nothing(value: object) -> Parts:
    """Key the only value of a type."""
    return ()


def encode_fraction(value: Fraction) -> Parts:
    """Key a fraction, which is always in lowest terms."""
    return (value.numerator, value.denominator)


def encode_uuid(value: uuid.UUID) -> Parts:
    """Key a UUID by its 16 bytes."""
    return (value.bytes,)


def encode_slice(value: slice | range) -> Parts:
    """Key a slice or range by its three numbers, as they were written."""
    return (value.start, value.stop, value.step)


def encode_date(value: datetime.date) -> Parts:
    """Key a date."""
    return (value.year, value.month, value.day)


def encode_datetime(value: datetime.datetime) -> Parts:
    """Key a date and time as shown on the wall, with the zone that it is shown in."""
    return (value.replace(tzinfo=None).isoformat(), value.fold, _zone(value))


def encode_time(value: datetime.time) -> Parts:
    """Key a time of day with its zone."""
    return (value.replace(tzinfo=None).isoformat(), value.fold, _zone(value))


def _zone(value: datetime.datetime | datetime.time) -> Any:
    zone = value.tzinfo
    if zone is None or isinstance(zone, (datetime.timezone, zoneinfo.ZoneInfo)):
        return zone
    # Zones of other makers cannot be named, but what they say of this very moment can.
    return (qualified(type(zone)), value.utcoffset(), value.dst(), value.tzname())


def encode_timedelta(value: datetime.timedelta) -> Parts:
    """Key a duration, which is always in normal form."""
    return (value.days, value.seconds, value.microseconds)


def encode_timezone(value: datetime.timezone) -> Parts:
    """Key a fixed offset by itself and its name."""
    return (value.utcoffset(None), value.tzname(None))


def encode_zone(value: zoneinfo.ZoneInfo) -> Parts:
    """Key a time zone by its name in the zone database."""
    if value.key is None:
        raise UnkeyableError("a ZoneInfo without a name; make it with ZoneInfo(name)")
    return (value.key,)


def encode_ordered_dict(value: OrderedDict[Any, Any]) -> Parts:
    """Key an ordered dict, the order included."""
    return {"": tuple(value.items())}


def encode_defaultdict(value: defaultdict[Any, Any]) -> Parts:
    """Key a defaultdict and what makes its defaults."""
    return {"": dict(value), ".default_factory": value.default_factory}


def encode_deque(value: deque[Any]) -> Parts:
    """Key a deque and its limit."""
    return {"": list(value), ".maxlen": value.maxlen}


def encode_mapping(value: Mapping[Any, Any]) -> Parts:
    """Key a read-only view of a mapping by what it shows."""
    return {"": dict(value)}


def encode_namespace(value: SimpleNamespace) -> Parts:
    """Key a namespace by its attributes."""
    return {f".{name}": vars(value)[name] for name in sorted(vars(value))}


def encode_pattern(value: re.Pattern[Any]) -> Parts:
    """Key a compiled regular expression by its source."""
    return (value.pattern, value.flags)


def encode_enum(value: Enum) -> Parts:
    """Key a member of an enum by name and value; a value that is a bare object() says nothing."""
    cls, content = type(value), value.value
    return {
        "": (qualified(cls), value.name),
        ".value": None if type(content) is object else content,
    }


def encode_path(value: PurePath) -> Parts:
    """Key a path by its text, not by what the file holds (see `infercache.keys.File`)."""
    flavour = "windows" if isinstance(value, PureWindowsPath) else "posix"
    cls = type(value)
    own = "" if cls.__module__.partition(".")[0] == "pathlib" else qualified(cls)
    return (flavour, str(value), own)


def encode_class(value: type) -> Parts:
    """Key a class by its full name; its code is not looked at."""
    owner: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        owner = getattr(owner, name, None)
    # Classes compiled into the interpreter, such as NoneType, may be shown by no module.
    if owner is not value and value.__flags__ & HEAP_TYPE:
        raise UnkeyableError(
            f"class {qualified(value)!r} cannot be found under its name, so that another class "
            "could have the same key; define it at the top of a module, or pass its name"
        )
    return (qualified(value),)


def encode_module(value: ModuleType) -> Parts:
    """Key a module by its name and version; its code is not looked at."""
    return (value.__name__, str(getattr(value, "__version__", "")))


def encode_alias(value: Any) -> Parts:
    """Key a type annotation such as `list[int]` or `int | None` by what it is made of."""
    arguments = tuple(
        list(argument) if isinstance(argument, list) else argument
        for argument in typing.get_args(value)
    )
    origin = typing.get_origin(value)
    return (origin if isinstance(origin, type) else str(origin), arguments)


def encode_pydantic(value: Any) -> Parts:
    """Key a pydantic model by its class, fields, extra fields and private attributes."""
    parts: dict[str, Any] = {"": qualified(type(value))}
    for kind in ("__dict__", "__pydantic_extra__", "__pydantic_private__"):
        fields = getattr(value, kind, None) or {}
        parts |= {f".{name}": fields[name] for name in sorted(fields)}
    return parts


def encode_struct(value: Any) -> Parts:
    """Key a msgspec struct by its class and fields."""
    fields = {f".{name}": getattr(value, name) for name in value.__struct_fields__}
    return {"": qualified(type(value)), **fields}


def refuse_iterator(value: object) -> NoReturn:
    """Refuse what can be read only once."""
    raise UnkeyableError(
        f"a {type(value).__name__} can be read only once, so that it has no content key; "
        "pass a list of its items"
    )


def refuse_file(value: object) -> NoReturn:
    """Refuse an open file."""
    raise UnkeyableError(
        f"an open file ({type(value).__name__}) has no content key; pass its bytes, or "
        "infercache.keys.File(path) to key a file by content"
    )


def refuse_random(value: object) -> NoReturn:
    """Refuse a source of random numbers."""
    raise UnkeyableError(
        "a random number generator changes with every draw, so that it has no content key; "
        "pass the seed, or leave it out with ignore="
    )
