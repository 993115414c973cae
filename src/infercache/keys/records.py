"""Objects that are the sum of their attributes: dataclasses, attrs, and plain types extended."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeAlias

Parts: TypeAlias = "tuple[Any, ...] | dict[str, Any]"
"""An encoder's answer: parts in order, or parts by the place that a message calls them by."""

# The flag of classes made at run time, not compiled into the interpreter.
HEAP_TYPE = 1 << 9

# Each with what gives the plain value back, whatever the subclass overrides.
_PLAIN_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (bytearray, lambda value: bytearray.__getitem__(value, slice(None))),
    (int, int.__int__),
    (float, float.__float__),
    (complex, complex.__pos__),
    (list, lambda value: list(list.__iter__(value))),
    (tuple, lambda value: tuple(tuple.__iter__(value))),
    (dict, lambda value: dict(dict.items(value))),
    (set, lambda value: set(set.__iter__(value))),
    (frozenset, lambda value: frozenset(frozenset.__iter__(value))),
)
PLAIN_TYPES: tuple[type, ...] = (bool, type(None), memoryview, *(base for base, _ in _PLAIN_BASES))


def qualified(cls: type) -> str:
    """Return a class's full name, which stands for it in the encoding."""
    return f"{cls.__module__}.{cls.__qualname__}"


def own_attributes(value: Any, base: type) -> dict[str, Any]:
    """Return by place the attributes that the type of `value` adds to `base`.

    Results kept by `functools.cached_property` are left out, as they follow from the rest.
    """
    cls = type(value)
    names = set(getattr(value, "__dict__", ()))
    for owner in cls.__mro__[: cls.__mro__.index(base)]:
        slots = vars(owner).get("__slots__", ())
        names.update([slots] if isinstance(slots, str) else slots)
    return {
        f".{name}": getattr(value, name)
        for name in sorted(names - {"__dict__", "__weakref__"})
        if hasattr(value, name)
        and not isinstance(getattr(cls, name, None), functools.cached_property)
    }


def record_encoder(cls: type) -> Callable[[Any], Parts] | None:
    """Return what encodes values of a class by their attributes, or None if that is not safe.

    Safe are dataclasses, attrs classes and subclasses of plain types: other objects may keep
    state that their attributes do not show.
    """
    plain = next((pair for pair in _PLAIN_BASES if issubclass(cls, pair[0])), None)
    if plain is not None:
        base, restore = plain
        return lambda value: {"": restore(value), **own_attributes(value, base)}
    has_fields = dataclasses.is_dataclass(cls) or hasattr(cls, "__attrs_attrs__")
    return _encode_fields if has_fields and not _extends_builtin(cls) else None


def _extends_builtin(cls: type) -> bool:
    """Return whether a class extends one written in C, such as Exception: it may hide state."""
    return not all(base.__flags__ & HEAP_TYPE for base in cls.__mro__[:-1])


def _encode_fields(value: Any) -> Parts:
    return own_attributes(value, object)
