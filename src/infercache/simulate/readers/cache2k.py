"""The traces of the cache2k benchmark: bare keys."""

from __future__ import annotations

from infercache.simulate.readers.base import Source
from infercache.simulate.readers.numbers import read_records
from infercache.simulate.trace import Trace


class Cache2kReader:
    """Reads big-endian 32-bit keys, one after the other."""

    unit = "record"
    promise = "cache2k: big-endian 32-bit whole numbers"

    def detect(self, source: Source) -> bool:
        """Return whether one byte of four varies little, as in whole numbers of 32 bits."""
        import numpy as np

        head = source.data[: (len(source.data[:65536]) // 4) * 4]
        if not head or source.is_text():
            return False
        words = np.frombuffer(head, dtype=np.uint8).reshape(-1, 4)
        least = min(len(np.unique(words[:, place])) for place in range(4))
        return least <= max(1, min(len(words), 256) // 4)

    def read(self, source: Source) -> Trace:
        """Return one access a key."""
        import numpy as np

        keys = read_records(source, ">i4").astype(np.int64).view(np.uint64)
        return Trace(source.name, "cache2k", keys)
