"""The format of AdaptSize (D. Berger and others, NSDI 2017) and of webcachesim."""

from __future__ import annotations

from infercache.simulate.readers.base import Source
from infercache.simulate.readers.numbers import mix, read_integers
from infercache.simulate.trace import Trace


class AdaptSizeReader:
    """Reads time, id and size; one id with two sizes is two objects."""

    unit = "line"
    promise = "AdaptSize: lines of time (s), id, size (bytes); id and size together are the key"

    def detect(self, source: Source) -> bool:
        """Return whether lines have three whole numbers."""
        rows = [line.split() for line in source.first_lines()] if source.is_text() else []
        return bool(rows) and all(
            len(row) == 3 and all(word.isdigit() for word in row) for row in rows
        )

    def read(self, source: Source) -> Trace:
        """Return one access a line."""
        import numpy as np

        table = read_integers(source, ("time", "id", "size"))
        times, sizes = table[:, 0].astype(np.float64), np.ascontiguousarray(table[:, 2])
        keys = mix(table[:, 1], sizes)
        return Trace(source.name, "adaptsize", keys, times, sizes)  # type: ignore[arg-type]
