"""Comma-separated values, with or without a line of headings."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from infercache.errors import SettingError
from infercache.simulate.readers.base import Source
from infercache.simulate.readers.numbers import keys_of
from infercache.simulate.trace import Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAMES = {
    "time": ("time", "time_s", "timestamp", "ts", "clock_time", "real_time"),
    "key": ("key", "id", "obj_id", "object", "object_id", "obj", "lbn", "digest"),
    "size": ("size", "size_bytes", "obj_size", "object_size", "bytes", "length"),
    "cost": ("cost", "cost_s", "seconds"),
}
_WITHOUT_HEADINGS = {
    1: ("key",),
    2: ("time", "key"),
    3: ("time", "key", "size"),
    4: ("time", "key", "size", "cost"),
}
_SEPARATORS = (b",", b";", b"\t")


class SeparatedReader:
    """Reads columns found by their headings, else time, key, size and cost in this order."""

    unit = "line"
    promise = "CSV: headings time, key, size, cost; without headings in this order"

    def detect(self, source: Source) -> bool:
        """Return whether every line has the same separator equally often."""
        lines = source.first_lines() if source.is_text() else []
        if not lines or lines[0].startswith(b"{"):
            return False
        separator = _separator(lines[0])
        return separator is not None and len({line.count(separator) for line in lines}) == 1

    def read(self, source: Source) -> Trace:
        """Return one access a line."""
        lines = source.first_lines()
        separator = (_separator(lines[0]) if lines else None) or b","
        columns, skipped = _columns(source, lines[0] if lines else b"", separator)
        return _read_rows(source, separator, columns, skipped)


def _separator(line: bytes) -> bytes | None:
    return max((one for one in _SEPARATORS if one in line), key=line.count, default=None)


def _columns(source: Source, first: bytes, separator: bytes) -> tuple[dict[str, int], int]:
    """Return where each column is, and how many lines of headings there are."""
    plain = (word.strip().strip(b"\"'") for word in first.split(separator))
    words = [word.decode("utf-8", "replace") for word in plain]
    has_headings = not any(_is_number(word) for word in words) and any(
        word.lower() in names for word in words for names in _NAMES.values()
    )
    if source.columns is not None:
        given = [word.strip().lower() for word in source.columns.split(",")]
        return _given(given), int(has_headings)
    if has_headings:
        found = {
            column: place
            for place, word in reversed(list(enumerate(words)))
            for column, names in _NAMES.items()
            if word.lower() in names
        }
        if "key" not in found:
            raise source.fail("line 1", f"no heading for the key in {words}; expected 'key'")
        return found, 1
    order = _WITHOUT_HEADINGS.get(len(words))
    if order is None:
        raise source.fail(
            "line 1", f"{len(words)} columns without headings; say what they are with --columns"
        )
    return {column: place for place, column in enumerate(order)}, 0


def _given(names: Sequence[str]) -> dict[str, int]:
    unknown = [name for name in names if name not in _NAMES and name != "-"]
    if unknown or "key" not in names:
        raise SettingError(
            f"columns {','.join(names)!r}: write time, key, size, cost or - for each column, "
            "with a key among them"
        )
    return {name: place for place, name in enumerate(names) if name != "-"}


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _read_rows(source: Source, separator: bytes, columns: dict[str, int], skipped: int) -> Trace:
    text = io.StringIO(source.data.decode("utf-8", "surrogateescape"), newline="")
    rows = csv.reader(text, delimiter=separator.decode(), skipinitialspace=True)
    kept: list[list[str]] = []
    lines: list[int] = []
    width = 1 + max(columns.values())
    for row in rows:
        if not row or row[0][:1] == "#":
            continue
        if skipped:
            skipped -= 1
            continue
        if len(row) < width:
            raise source.fail(f"line {rows.line_num}", f"{len(row)} columns; expected {width}")
        kept.append(row)
        lines.append(rows.line_num)
    values = {name: [row[place] for row in kept] for name, place in columns.items()}
    keys = keys_of([key.encode("utf-8", "surrogateescape") for key in values["key"]])
    numbers = {
        name: _numbers(source, lines, values[name], name, kind)
        for name, kind in (("time", float), ("size", int), ("cost", float))
        if name in values
    }
    return Trace(
        source.name, "csv", keys, numbers.get("time"), numbers.get("size"), numbers.get("cost")
    )


def _numbers(
    source: Source, lines: list[int], words: list[str], name: str, kind: Callable[[str], Any]
) -> NDArray[Any]:
    import numpy as np

    try:
        wide = np.int64 if kind is int else np.float64
        return np.array([kind(word) for word in words], dtype=wide)
    except (ValueError, OverflowError):
        for line, word in zip(lines, words, strict=True):
            if not _is_number(word) or (kind is int and not word.strip().lstrip("+-").isdigit()):
                raise source.fail(
                    f"line {line}", f"the {name} is {word!r}; expected a number"
                ) from None
        raise source.fail("the whole file", f"a {name} is too large") from None
