"""Exceptions as values, and exceptions for several callers at once."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from infercache.codecs.tree import register_type
from infercache.errors import BlobError


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception that was asked to be kept: what stands in the tiers in place of a value.

    Only names and text, so that codecs can write it and nothing of a failed call's frames
    stays alive. It is turned back only into types that the reader itself names: nothing is
    imported because stored bytes say so.

    Attributes:
        types: "module.Class" of the exception and its bases, the nearest first.
        message: Its text.
        args: Its arguments, where they are all plain (None, bool, numbers, str, bytes).
    """

    types: tuple[str, ...]
    message: str
    args: tuple[Any, ...] | None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Return what is kept of an exception."""
        plain = all(isinstance(arg, (str, bytes, int, float, type(None))) for arg in error.args)
        names = tuple(_name(base) for base in type(error).__mro__ if base is not object)
        return cls(names, str(error), error.args if plain else None)

    def rebuild(self, accepted: Iterable[type[BaseException]]) -> BaseException | None:
        """Return an exception of the nearest accepted type, or None if none is accepted."""
        known = {_name(kind): kind for kind in accepted}
        for name in self.types:
            kind = known.get(name)
            if kind is not None:
                return _build(kind, (self.message,) if self.args is None else self.args)
        return None


def let_codecs_write_failures() -> None:
    """Let byte tiers keep failures; registering again changes nothing."""
    register_type(Failure, "infercache.Failure/1", _dump, _load)


def _dump(failure: Failure) -> Any:
    return (failure.types, failure.message, failure.args)


def _load(data: Any) -> Failure:
    match data:
        case (tuple(types), str(message), tuple() | None as args) if all(
            isinstance(name, str) for name in types
        ):
            return Failure(types, message, args)
    raise BlobError("a kept exception has fields of other types than were written")


def copy_error(error: BaseException) -> BaseException:
    """Return an exception of a caller's own, caused by the one that the leader got.

    Every caller raises its own object: a shared one would collect the tracebacks of them all.
    One that cannot be copied is returned as it is.
    """
    try:
        twin = copy.copy(error)
    except Exception:  # noqa: BLE001 - a constructor that wants more than `args`
        twin = _build(type(error), error.args)
    if type(twin) is not type(error) or twin is error:
        return error
    twin.__dict__.update(error.__dict__)
    if hasattr(twin, "__notes__"):
        twin.__notes__ = list(twin.__notes__)
    twin.__traceback__ = None
    twin.__cause__ = error
    return twin


def _build(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    try:
        return kind(*args)
    except Exception:  # noqa: BLE001 - a constructor of its own: set up the object without it
        bare = kind.__new__(kind)
        bare.args = args
        return bare


def _name(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
