"""VMware's vscsi traces, both versions, as published by CloudPhysics."""

from __future__ import annotations

from infercache.simulate.readers.base import Source
from infercache.simulate.readers.numbers import read_records
from infercache.simulate.trace import Trace

_VERSION_1 = [
    ("serial", "<u4"), ("size", "<u4"), ("parts", "<u4"), ("command", "<u2"), ("version", "<u2"),
    ("block", "<u8"), ("time", "<u8"),
]  # fmt: skip
_VERSION_2 = [
    ("command", "<u2"), ("version", "<u2"), ("serial", "<u4"), ("size", "<u4"), ("parts", "<u4"),
    ("block", "<u8"), ("time", "<u8"), ("response", "<u8"),
]  # fmt: skip
_LAYOUTS = {1: _VERSION_1, 2: _VERSION_2}
_LOOKED_AT = 20
_SECOND = 1e6


class VscsiReader:
    """Reads the logical block, the length in bytes and the time in microseconds."""

    unit = "record"
    promise = "vscsi: records of 32 bytes (version 1) or 40 bytes (version 2)"

    def detect(self, source: Source) -> bool:
        """Return whether all records at the beginning carry one of the two versions."""
        return not source.is_text() and _version(source) is not None

    def read(self, source: Source) -> Trace:
        """Return one access a record."""
        import numpy as np

        version = _version(source)
        if version is None:
            raise source.fail("record 1", "neither version 1 nor 2; expected one in each record")
        records = read_records(source, _LAYOUTS[version])
        other = np.flatnonzero(records["version"] >> 8 != version)
        if other.size:
            raise source.fail(
                f"record {other[0] + 1}",
                f"version {records['version'][other[0]] >> 8}; expected {version} as before",
            )
        return Trace(
            source.name,
            "vscsi",
            np.ascontiguousarray(records["block"]).astype(np.uint64),
            records["time"] / _SECOND,
            records["size"].astype(np.uint64),
        )


def _version(source: Source) -> int | None:
    import numpy as np

    for version, fields in _LAYOUTS.items():
        kind = np.dtype(fields)
        count = min(_LOOKED_AT, len(source.data) // kind.itemsize)
        head = np.frombuffer(source.data, dtype=kind, count=count)
        if count and bool((head["version"] >> 8 == version).all()):
            return version
    return None
