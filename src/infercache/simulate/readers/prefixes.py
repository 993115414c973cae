"""Requests for prefix blocks, as JSON lines: what the formats with `hash_ids` share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from infercache.simulate.readers.base import Source
from infercache.simulate.trace import Trace


@dataclass(frozen=True, slots=True)
class _Request:
    timestamp: float
    hash_ids: list[int]


def has_blocks(source: Source) -> bool:
    """Return whether it begins with an object that lists blocks."""
    lines = source.first_lines(1)
    return bool(lines) and lines[0].startswith(b"{") and b'"hash_ids"' in lines[0]


def read_prefixes(source: Source, format_name: str, second: float) -> Trace:
    """Return one access a block, with the number of its request.

    Args:
        source: The file.
        format_name: For the trace.
        second: What the timestamps count in a second.

    Raises:
        TraceError: a line without a number `timestamp` and a list `hash_ids` of whole numbers.
    """
    import numpy as np

    rows = _rows(source)
    counts = np.array([len(row.hash_ids) for row in rows], dtype=np.int64)
    blocks = (block for row in rows for block in row.hash_ids)
    try:
        keys = np.fromiter(blocks, dtype=np.int64, count=int(counts.sum())).view(np.uint64)
    except OverflowError:
        raise _find_large(source, rows) from None
    times = np.array([row.timestamp for row in rows], dtype=np.float64) / second
    return Trace(
        source.name,
        format_name,
        keys,
        np.repeat(times, counts),
        requests=np.repeat(np.arange(len(rows)), counts),
    )


def _rows(source: Source) -> list[_Request]:
    decoder = msgspec.json.Decoder(_Request)
    lines = source.data.splitlines()
    try:
        return [decoder.decode(line) for line in lines if line.strip()]
    except msgspec.MsgspecError:
        raise _find_fault(source, decoder, lines) from None


def _find_large(source: Source, rows: list[_Request]) -> Exception:
    lines = [number for number, line in enumerate(source.data.splitlines(), 1) if line.strip()]
    for number, row in zip(lines, rows, strict=True):
        for block in row.hash_ids:
            if not -(2**63) <= block < 2**63:
                return source.fail(
                    f"line {number}", f"block {block}; expected whole numbers of 64 bits"
                )
    raise AssertionError("unreachable")


def _find_fault(source: Source, decoder: Any, lines: list[bytes]) -> Exception:
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                decoder.decode(line)
        except msgspec.MsgspecError as error:
            return source.fail(
                f"line {number}",
                f"{error}; expected an object with a number timestamp and whole numbers hash_ids",
            )
    raise AssertionError("unreachable")
