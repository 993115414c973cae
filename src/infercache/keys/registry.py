"""Which encoder turns a value of a type into a name and plain parts.

The native encoder handles the plain types itself (None, bool, int, float, complex, str, bytes,
bytearray, memoryview, list, tuple, dict, set, frozenset; exactly these, not subclasses) and
asks `encode_other` about everything else. What applies to a type is looked for in this order:

1. along its MRO, class by class: an encoder given to `register_key`, the class's own
   `__infercache_key__` method, an encoder of this package;
2. its attributes, if it extends a plain type (a namedtuple, a subclass of str) or is a
   dataclass or an attrs class.

A subclass never shares a key with what it extends: its qualified name is part of the key, and
so are the attributes that it adds, unless the encoder is known to cover them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from infercache.errors import UnkeyableError
from infercache.keys.encoders import TARGETS
from infercache.keys.records import PLAIN_TYPES, Parts, own_attributes, qualified, record_encoder

Encoded: TypeAlias = "tuple[str, tuple[Any, ...], tuple[str, ...] | None]"


class Rule(NamedTuple):
    """How values of a type are encoded.

    Attributes:
        name: Stands for the type in the encoding; never changes between releases.
        encode: Turns a value into its parts.
        cls: The class that the rule was made for.
        whole: The parts cover all that subclasses add, their type's name included.
    """

    name: str
    encode: Callable[[Any], Parts]
    cls: type
    whole: bool


_RESOLVED_TYPES = 10_000

_registered: dict[type, Rule] = {}
_resolved: dict[type, Rule] = {}


def register_key(cls: type, encode: Callable[[Any], Parts]) -> None:
    """Have values of `cls` and of its subclasses keyed by what `encode` returns for them.

    Registering again replaces. Thread-safe, though meant for start-up: keys made before are
    not made again.

    Args:
        cls: The type.
        encode: Returns a tuple of all that tells two values apart (anything that has a key
            itself), or a dict of the same by place, such as `{".path": ..., ".mode": ...}`,
            which messages use to say where something unkeyable sits. Attributes that a
            subclass adds are included without its doing.

    Raises:
        UnkeyableError: `cls` is one of the plain types, whose keys cannot be changed.
    """
    if cls in PLAIN_TYPES:
        raise UnkeyableError(
            f"the key of the plain type {cls.__name__!r} cannot be changed; register a subclass"
        )
    if not isinstance(cls, type):
        raise UnkeyableError(f"register_key wants a class first, not {cls!r}")
    _registered[cls] = Rule(qualified(cls), encode, cls, whole=False)
    _resolved.clear()


def encode_other(value: Any) -> Encoded:
    """Return name, parts and the places of the parts for a value that is not of a plain type.

    Raises:
        UnkeyableError: nothing is known about its type.
    """
    cls = type(value)
    rule = _resolved.get(cls)
    if rule is None:
        rule = _resolve(cls)
        if len(_resolved) >= _RESOLVED_TYPES:
            _resolved.clear()
        _resolved[cls] = rule
    parts = rule.encode(value)
    if rule.whole or cls is rule.cls:
        name = rule.name
    else:
        name = f"{rule.name} {qualified(cls)}"
        parts = _with_own_attributes(value, rule.cls, parts)
    if isinstance(parts, dict):
        return name, (tuple(parts), *parts.values()), ("", *parts)
    if type(parts) is not tuple:
        raise UnkeyableError(f"the encoder of {name} returned {type(parts).__name__}, not a tuple")
    return name, parts, None


def _resolve(cls: type) -> Rule:
    for base in cls.__mro__:
        if base in _registered:
            return _registered[base]
        if "__infercache_key__" in vars(base):
            return Rule(qualified(cls), _encode_by_protocol, cls, whole=True)
        rule = _own_rule(base)
        if rule is not None:
            return rule
    encode = record_encoder(cls)
    if encode is None:
        raise UnkeyableError(unknown_type(cls))
    return Rule(qualified(cls), encode, cls, whole=True)


def _own_rule(cls: type) -> Rule | None:
    for target in TARGETS:
        module = sys.modules.get(target.module)
        if getattr(module, target.attribute, None) is cls:
            encoders = importlib.import_module(f"infercache.keys.{target.encoders}")
            name = f"{target.module}.{target.attribute}"
            return Rule(name, getattr(encoders, target.function), cls, target.whole)
    return None


def _encode_by_protocol(value: Any) -> Parts:
    parts: Parts = value.__infercache_key__()
    return parts if isinstance(parts, (tuple, dict)) else (parts,)


def _with_own_attributes(value: Any, base: type, parts: Parts) -> Parts:
    own = own_attributes(value, base)
    if not own:
        return parts
    if isinstance(parts, tuple):
        parts = {f" (part {index} of it)": part for index, part in enumerate(parts)}
    # An attribute may be called as one of the parts is.
    return parts | {f"{place}{' ' * (place in parts)}": part for place, part in own.items()}


def unknown_type(cls: type) -> str:
    """Return the sentence for a type without an encoder."""
    return (
        f"type {qualified(cls)!r} has no content key; register one with infercache.register_key"
        f"({cls.__qualname__}, lambda value: (...all that tells two values apart...)), give the "
        "class an __infercache_key__ method that returns the same, or leave the argument out "
        "with ignore="
    )
