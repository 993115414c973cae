"""Sizes and durations as people write them."""

from __future__ import annotations

import math
import re

from infercache.errors import SettingError

_SIZE_UNITS = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "PIB": 2**50,
}  # fmt: skip
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_NUMBER_UNIT = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)\s*([a-zA-Z]*)\s*")


def parse_size(value: int | str, setting: str = "size") -> int:
    """Return a size in bytes from an int of bytes or a string such as "512MB" or "1GiB".

    Raises:
        SettingError: not a size; the message names `setting`.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise SettingError(f"{setting}={value}: a size cannot be negative")
        return value
    match = _NUMBER_UNIT.fullmatch(value) if isinstance(value, str) else None
    unit = _SIZE_UNITS.get(match.group(2).upper()) if match else None
    if match is None or unit is None:
        raise SettingError(
            f"{setting}={value!r} is not a size: write bytes as an int, "
            'or a number with a unit such as "512MB" or "1GiB"'
        )
    return int(float(match.group(1).replace("_", "")) * unit)


def parse_duration(value: float | str, setting: str = "duration") -> float:
    """Return seconds from a float of seconds or a string such as "250ms", "10m", "2h" or "7d".

    Raises:
        SettingError: not a duration; the message names `setting`.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < 0 or math.isnan(value):
            raise SettingError(f"{setting}={value}: a duration cannot be negative")
        return float(value)
    match = _NUMBER_UNIT.fullmatch(value) if isinstance(value, str) else None
    unit = _SECONDS.get(match.group(2).lower()) if match else None
    if match is None or unit is None:
        raise SettingError(
            f"{setting}={value!r} is not a duration: write seconds as a number, "
            'or a number with a unit such as "250ms", "10m" or "2h"'
        )
    return float(match.group(1).replace("_", "")) * unit


def format_size(size_bytes: float) -> str:
    """Return a size for people, in powers of 1000: 1500000 is "1.5 MB"."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if abs(size_bytes) < 1000 or unit == "TB":
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    raise AssertionError("unreachable")


def format_duration(seconds: float) -> str:
    """Return a duration for people: 0.0000021 is "2.1 us", 95 is "95.0 s"."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if abs(seconds) >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds < 1000 else f"{seconds:.0f} s"
    return f"{seconds / 1e-9:.3g} ns" if seconds else "0 s"
