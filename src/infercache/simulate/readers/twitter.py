"""Twitter's cache clusters (J. Yang, Y. Yue, K. V. Rashmi, OSDI 2020)."""

from __future__ import annotations

from infercache.simulate.readers.base import Source
from infercache.simulate.readers.numbers import keys_of
from infercache.simulate.trace import Trace

_READS = frozenset({b"get", b"gets"})
_WRITES = (b"set", b"add", b"replace", b"cas", b"append", b"prepend", b"delete", b"incr", b"decr")
_OPERATIONS = _READS | frozenset(_WRITES)
_EXPECTED = "expected time,key,key size,value size,client,operation,ttl"


class TwitterReader:
    """Reads requests by `get` and `gets`; in a file without any, every operation is a request."""

    unit = "line"
    promise = "Twitter clusters: time,key,key size,value size,client,operation,ttl"

    def detect(self, source: Source) -> bool:
        """Return whether lines have seven columns or more, the last but one an operation."""
        rows = [line.rsplit(b",", 6) for line in source.first_lines()] if source.is_text() else []
        return bool(rows) and all(len(row) == 7 and row[5] in _OPERATIONS for row in rows)

    def read(self, source: Source) -> Trace:
        """Return one access a request; its size is that of key and value."""
        import numpy as np

        rows = [
            _row(source, number, line)
            for number, line in enumerate(source.data.splitlines(), 1)
            if line.strip()
        ]
        reads = [row for row in rows if row[3] in _READS] or rows
        return Trace(
            source.name,
            "twitter",
            keys_of([row[1] for row in reads]),
            np.array([row[0] for row in reads], dtype=np.float64),
            np.array([row[2] for row in reads], dtype=np.int64),
        )


def _row(source: Source, number: int, line: bytes) -> tuple[float, bytes, int, bytes]:
    """Return time, key, size and operation; the key may have commas in it."""
    try:
        time, rest = line.split(b",", 1)
        key, key_size, value_size, _, operation, _ = rest.rsplit(b",", 5)
        if operation not in _OPERATIONS:
            raise ValueError(operation)
        return float(time), key, int(key_size) + int(value_size), operation
    except ValueError:
        shown = line[:60].decode("utf-8", "replace")
        raise source.fail(f"line {number}", f"{shown!r}; {_EXPECTED}") from None
