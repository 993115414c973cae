"""Values whose digests are kept in golden_digests.json; imported by other processes too."""

from __future__ import annotations

import datetime as dt
import enum
import math
import pathlib
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from infercache import KeySpace


class Shade(enum.Enum):
    """An enum."""

    DARK = "d"


@dataclass
class Setting:
    """A dataclass."""

    name: str
    words: frozenset[str]


def values() -> dict[str, Any]:
    """Return names and values."""
    words = [f"word{number}" for number in range(50)]
    return {
        "none": None,
        "bools": [True, False],
        "ints": [0, -1, 2**63 - 1, -(2**63), 2**63, -(2**200)],
        "floats": [0.0, -0.0, 1.5, math.inf, math.nan],
        "complex": 1 - 2j,
        "text": ["", "é", "\ud800", "a" * 200],
        "bytes": [b"", b"\0\xff", bytearray(b"x"), memoryview(b"y")],
        "tuple": (1, (2, (3,))),
        "dict": {word: number for number, word in enumerate(words)},
        "set": set(words),
        "frozenset": frozenset(words),
        "enum": Shade.DARK,
        "record": Setting("n", frozenset(words)),
        "path": pathlib.PurePosixPath("a/b"),
        "moment": dt.datetime(2024, 2, 29, 1, 2, 3, 4, dt.timezone.utc),
        "decimal": Decimal("1.10"),
        "uuid": uuid.UUID(int=7),
        "array": np.arange(12, dtype="<f4").reshape(3, 4).T,
        "record array": np.zeros(2, [("a", "<i4"), ("b", "S3")]),
        "scalar": np.float64(1.5),
        "large": b"x" * 100_000,
    }


def digests() -> dict[str, str]:
    """Return the digests of all values by algorithm and name."""
    spaces = {
        "blake3": KeySpace("tenant", "golden", "1"),
        "xxh3": KeySpace("tenant", "golden", "1", algorithm="xxh3"),
        "secret": KeySpace("tenant", "golden", "1", secret=b"secret"),
    }
    return {
        f"{kind} {name}": space.digest(value).hex()
        for kind, space in spaces.items()
        for name, value in values().items()
    }
