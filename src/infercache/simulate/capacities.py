"""Capacities as people write them for a replay: shares, entries, bytes."""

from __future__ import annotations

from dataclasses import dataclass

from infercache.errors import SettingError
from infercache.units import format_size, parse_size

_HOW = (
    "write a share of the trace's footprint such as 5%, a number of entries, or 512MB with --bytes"
)


@dataclass(frozen=True, slots=True)
class Capacity:
    """A capacity for one trace.

    Attributes:
        amount: In entries, or in bytes.
        share: Of the footprint.
        label: For tables and plots.
    """

    amount: int
    share: float
    label: str


def parse_capacity(text: str, footprint: int, *, in_bytes: bool = False) -> Capacity:
    """Return the capacity that a text means for a trace.

    Args:
        text: "5%", "1000", or "512MB".
        footprint: Distinct keys of the trace, or their bytes.
        in_bytes: Whether capacities are bytes.

    Raises:
        SettingError: not a capacity; the message says how to write one.
    """
    text = text.strip()
    if text.endswith("%"):
        share = _share(text)
        amount = max(1, round(footprint * share))
        return Capacity(amount, share, text)
    if in_bytes:
        amount = parse_size(text, "capacity")
        label = format_size(amount)
    elif text.replace("_", "").isdigit():
        amount = int(text)
        label = f"{amount:,}"
    else:
        raise SettingError(f"capacity {text!r}: {_HOW}")
    if amount < 1:
        raise SettingError(f"capacity {text!r}: nothing fits into it; {_HOW}")
    return Capacity(amount, amount / footprint, label)


def _share(text: str) -> float:
    try:
        percent = float(text[:-1])
    except ValueError:
        percent = -1.0
    if not 0 < percent <= 100:
        raise SettingError(f"capacity {text!r}: a share is above 0 and at most 100%; {_HOW}")
    return percent / 100
