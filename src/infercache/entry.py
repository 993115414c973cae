"""What is kept under a key."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any

NEVER = math.inf


@dataclass(slots=True)
class Entry:
    """A live value and what the cache must know about it.

    Attributes:
        value: The object itself.
        size_bytes: What it is charged for in the tier that it came from.
        cost_s: Seconds that it took to compute (measured); 0.0 if unknown.
        version: Number of the write, for names whose value changes; 0 for immutable values.
        created_at: Seconds since the epoch at which it was computed.
        expires_at: Seconds since the epoch after which it is not fresh; `NEVER` for no expiry.
        stale_until: Until when it may still be served stale (while a refresh runs, or after a
            computation that raised); at least `expires_at`.
        tags: Names under which it can be invalidated together with others.
    """

    value: Any
    size_bytes: int = 0
    cost_s: float = 0.0
    version: int = 0
    created_at: float = 0.0
    expires_at: float = NEVER
    stale_until: float = NEVER
    tags: tuple[str, ...] = ()


class Freshness(enum.IntEnum):
    """How a found entry may be used."""

    FRESH = 0
    REFRESH_DUE = 1  # fresh, but an early refresh should start now
    STALE = 2  # expired, still within its grace


@dataclass(slots=True)
class Found:
    """An entry, where it was found and how it may be used."""

    entry: Entry
    freshness: Freshness
    tier: str
