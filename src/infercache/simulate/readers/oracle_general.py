"""libCacheSim's oracleGeneral format: records of 24 bytes."""

from __future__ import annotations

from infercache.simulate.readers.base import Source
from infercache.simulate.readers.numbers import read_records
from infercache.simulate.trace import Trace

# The next access is what it will be counted from 1, -1 or the largest number for never.
_FIELDS = [("time", "<u4"), ("key", "<u8"), ("size", "<u4"), ("next", "<i8")]
_LENGTH = 24
_LOOKED_AT = 1000
_NEVER = 2**63 - 1


class OracleGeneralReader:
    """Reads time, key, size and time of the next access, which is not needed here."""

    unit = "record"
    promise = "libCacheSim oracleGeneral: little-endian time u32, key u64, size u32, next i64"

    def detect(self, source: Source) -> bool:
        """Return whether times rise, sizes are modest and the next accesses lie ahead."""
        import numpy as np

        count = min(_LOOKED_AT, len(source.data) // _LENGTH)
        if not count or source.is_text():
            return False
        head = np.frombuffer(source.data, dtype=_FIELDS, count=count)
        ahead = head["next"]
        plausible = (
            (ahead == -1) | (ahead == -2) | (ahead == _NEVER) | ((ahead > 0) & (ahead < 1 << 40))
        )
        steps = np.diff(head["time"].astype(np.int64))
        rising = float((steps >= 0).mean()) if steps.size else 1.0
        return bool(plausible.all()) and rising > 0.9 and bool((head["size"] < 1 << 31).all())

    def read(self, source: Source) -> Trace:
        """Return one access a record."""
        import numpy as np

        records = read_records(source, _FIELDS)
        return Trace(
            source.name,
            "oracleGeneral",
            np.ascontiguousarray(records["key"]).astype(np.uint64),
            records["time"].astype(np.float64),
            records["size"].astype(np.uint64),
        )
