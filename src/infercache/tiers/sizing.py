"""How many bytes a live value is charged for."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

# What one entry costs beside its value: the table's node and index slot, the digest object.
ENTRY_OVERHEAD_BYTES = 200
_MOST_PARTS = 10_000


def size_of(value: Any) -> int:
    """Return the bytes that a value holds in memory, without copying or importing anything.

    Arrays and tensors count their data (a view counts what it shows, not what it keeps alive),
    containers their parts, each object once. Other objects count `sys.getsizeof` and their
    `__dict__`. After 10,000 parts the rest is extrapolated from those seen, so that the cost
    is bounded: O(min(parts, 10,000)).
    """
    seen: set[int] = set()
    pending: list[Any] = [value]
    total = parts = 0
    while pending and parts < _MOST_PARTS:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        parts += 1
        own, inner = _measure(part)
        total += own
        pending.extend(inner)
    return total + (total * len(pending)) // max(parts, 1)


def _measure(part: Any) -> tuple[int, Iterable[Any]]:
    data_bytes = _data_bytes(part)
    if data_bytes is not None:
        return data_bytes, ()
    own = sys.getsizeof(part, 64)
    if isinstance(part, dict):
        return own, (*part.keys(), *part.values())
    if isinstance(part, (list, tuple, set, frozenset)):
        return own, part
    return own, (vars(part),) if hasattr(part, "__dict__") and not isinstance(part, type) else ()


def _data_bytes(part: Any) -> int | None:
    """Return the size of the data of arrays, tensors, images, frames; None for other things."""
    if isinstance(part, (bytes, bytearray, str, int, float)):
        return sys.getsizeof(part)
    if isinstance(part, memoryview):
        return part.nbytes + 200
    nbytes = getattr(part, "nbytes", None)  # NumPy, torch, pyarrow
    if isinstance(nbytes, int):
        return nbytes + 200
    usage = getattr(part, "memory_usage", None)  # pandas
    if callable(usage):
        used = usage(deep=True)
        return int(used if isinstance(used, int) else used.sum())
    estimate = getattr(part, "estimated_size", None)  # polars
    if callable(estimate):
        return int(estimate())
    if hasattr(part, "getbands") and hasattr(part, "size"):  # PIL
        return int(part.size[0] * part.size[1] * len(part.getbands())) + 200
    return None
