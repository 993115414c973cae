"""The traces of the ARC paper (N. Megiddo, D. Modha, FAST 2003): runs of blocks."""

from __future__ import annotations

from infercache.simulate.readers.base import Source
from infercache.simulate.readers.numbers import read_integers
from infercache.simulate.trace import Trace

_COLUMNS = ("first block", "number of blocks", "ignored", "request number")


class ArcReader:
    """Reads `.lis` files: each line asks for a run of blocks, one access a block."""

    unit = "line"
    promise = "ARC: lines of first block, number of blocks, 0, request number"

    def detect(self, source: Source) -> bool:
        """Return whether lines have four whole numbers, the second at least 1."""
        rows = [line.split() for line in source.first_lines()] if source.is_text() else []
        return bool(rows) and all(
            len(row) == 4 and all(word.isdigit() for word in row) and int(row[1]) > 0
            for row in rows
        )

    def read(self, source: Source) -> Trace:
        """Return one access a block."""
        import numpy as np

        table = read_integers(source, _COLUMNS)
        first, counts = table[:, 0], table[:, 1]
        wrong = np.flatnonzero((counts < 1) | (counts > 1 << 24))
        if wrong.size:
            raise source.fail(
                f"run {wrong[0] + 1}", f"{counts[wrong[0]]} blocks; expected 1 or more"
            )
        begins = np.cumsum(counts) - counts
        steps = np.arange(counts.sum()) - np.repeat(begins, counts)
        keys = (np.repeat(first, counts) + steps).view(np.uint64)
        return Trace(source.name, "arc", keys)
