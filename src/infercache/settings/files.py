"""Reading `infercache.toml`, with the line of every setting."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infercache.errors import SettingError
from infercache.settings.table import SETTINGS

FILE_NAME = "infercache.toml"
FILE_VARIABLE = "INFERCACHE_CONFIG"

_TABLE = re.compile(r"\s*\[\s*([\w.\-\" ]+?)\s*\]")
_PAIR = re.compile(r"\s*([\w.\-\" ]+?)\s*=")
_SECTIONS = {row.section for row in SETTINGS if row.section}


@dataclass(frozen=True, slots=True)
class Given:
    """One setting as the file gives it."""

    name: str
    value: Any
    origin: str


def settings_file(path: str | os.PathLike[str] | None, environ: dict[str, str]) -> Path | None:
    """Return the file to read: the one that is asked for, or `infercache.toml` if it exists.

    Raises:
        SettingError: a file that was asked for does not exist.
    """
    asked = path if path is not None else environ.get(FILE_VARIABLE)
    if asked is None or asked == "":
        here = Path(FILE_NAME)
        return here if here.is_file() else None
    file = Path(os.path.expanduser(asked))
    if not file.is_file():
        who = "" if path is not None else f" (from {FILE_VARIABLE})"
        what = "is a directory" if file.is_dir() else "does not exist"
        raise SettingError(
            f"settings file {str(file)!r}{who} {what}: give a TOML file; "
            "the disk tier's directory is the setting disk.path"
        )
    return file


def read_file(file: Path) -> list[Given]:
    """Return every setting in a TOML file, with file and line as its origin.

    Raises:
        SettingError: it is not TOML, or cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
        parsed = _toml().loads(text)
    except (OSError, ValueError) as error:
        raise SettingError(f"settings file {str(file)!r} cannot be read: {error}") from error
    lines = _line_numbers(text)
    return [
        Given(name, value, f"{file}:{lines[name]}" if name in lines else str(file))
        for name, value in _flatten(parsed)
    ]


def _toml() -> Any:
    return importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


def _flatten(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted names; a table that is no known section is itself the unknown name."""
    for name, value in table.items():
        full = f"{prefix}{name}"
        if isinstance(value, dict) and full in _SECTIONS:
            yield from _flatten(value, f"{full}.")
        else:
            yield full, value


def _line_numbers(text: str) -> dict[str, int]:
    """Return where each dotted name is first written; good enough for messages."""
    numbers: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        table, pair = _TABLE.match(line), _PAIR.match(line)
        if table:
            section = _plain(table.group(1))
            numbers.setdefault(section, number)
        elif pair:
            name = _plain(pair.group(1))
            numbers.setdefault(f"{section}.{name}" if section else name, number)
    return numbers


def _plain(name: str) -> str:
    return re.sub(r'[\s"]', "", name)
