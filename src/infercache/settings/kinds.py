"""How the values of settings are written, parsed and shown."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from infercache.errors import SettingError
from infercache.settings.table import Setting
from infercache.units import format_duration, format_size, parse_duration, parse_size

T = TypeVar("T")

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
NOTHING = ("none", "")


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to write a value.

    Attributes:
        parse: Returns the value or raises `ValueError` with what was expected.
        unit: Unit of the parsed value, or "".
        written: How people write it, for the reference page.
        schema: What JSON schema says of it.
    """

    parse: Callable[[Any], Any]
    unit: str
    written: str
    schema: dict[str, Any]


def _size(value: Any) -> int:
    return _by_units(parse_size, value)


def _duration(value: Any) -> float:
    return _by_units(parse_duration, value)


def _by_units(parse: Callable[[Any, str], T], value: Any) -> T:
    """Leave out the setting's name, which `parse_value` puts in front of every sentence."""
    try:
        return parse(value, "")
    except SettingError as error:
        sentence = str(error).removeprefix(f"={value!r} is ").removeprefix(f"={value}: ")
        raise ValueError(sentence) from None


def _count(value: Any) -> int:
    number = _real(value)
    if number < 1 or number != int(number):
        raise ValueError("a whole number from 1 upwards is needed")
    return int(number)


def _fraction(value: Any) -> float:
    number = _real(value)
    if not 0 <= number < 1:
        raise ValueError("a fraction from 0 to below 1 is needed")
    return number


def _number(value: Any) -> float:
    number = _real(value)
    if number < 0:
        raise ValueError("a number from 0 upwards is needed")
    return number


def _real(value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError("a number is needed") from None
    if not math.isfinite(number):
        raise ValueError("a finite number is needed")
    return number


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    spelled = str(value).strip().lower()
    if spelled not in _TRUE + _FALSE:
        raise ValueError("true or false is needed")
    return spelled in _TRUE


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text in quotes is needed")
    return value


def _name(value: Any) -> Any:
    """A registered name; an object of one's own comes through as it is."""
    if isinstance(value, (bool, int, float, list, dict)):
        raise ValueError("a name in quotes is needed")
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError("a path in quotes is needed")
    if "\0" in os.fspath(value):
        raise ValueError("a path without a zero character is needed")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("there is no such user, whose home directory ~ could mean") from None


def _secret(value: Any) -> bytes:
    if not isinstance(value, (str, bytes)):
        raise ValueError("a text or bytes are needed")
    return value.encode() if isinstance(value, str) else value


_TEXT = {"type": "string"}
_NUMBER = {"type": "number", "minimum": 0}
KINDS = {
    "size": Kind(_size, "bytes", '"512MB", "1GiB" or bytes', {"type": ["string", "integer"]}),
    "duration": Kind(
        _duration, "seconds", '"250ms", "10m", "2h" or seconds', {"type": ["string", "number"]}
    ),
    "count": Kind(_count, "", "whole number", {"type": "integer", "minimum": 1}),
    "fraction": Kind(_fraction, "", "0 to below 1", _NUMBER | {"exclusiveMaximum": 1}),
    "number": Kind(_number, "", "number", _NUMBER),
    "flag": Kind(_flag, "", "true or false", {"type": "boolean"}),
    "text": Kind(_text, "", "text", _TEXT),
    "choice": Kind(_text, "", "one of the choices", _TEXT),
    "name": Kind(_name, "", "registered name", _TEXT),
    "path": Kind(_path, "", "path", _TEXT),
    "secret": Kind(_secret, "", "text", _TEXT),
}


def parse_value(setting: Setting, value: Any, origin: str) -> Any:
    """Return the value that a setting was given, parsed.

    Raises:
        SettingError: names the setting, the value and where it came from.
    """
    if setting.default is None and (value is None or value in NOTHING):
        return None
    shown = "(not shown)" if setting.is_secret else repr(value)
    try:
        parsed = KINDS[setting.kind].parse(value)
    except ValueError as error:
        raise SettingError(f"{setting.name}={shown} ({origin}): {error}") from error
    if setting.choices and parsed not in setting.choices:
        raise SettingError(
            f"{setting.name}={shown} ({origin}): one of {', '.join(setting.choices)} is needed"
        )
    return parsed


def show_value(setting: Setting, value: Any) -> str:
    """Return a parsed value as people read it; a secret is never shown."""
    if value is None:
        return "none"
    if setting.is_secret:
        return "set, not shown"
    if setting.kind == "size":
        return format_size(value)
    if setting.kind == "duration":
        return format_duration(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if value != "" else '""'
