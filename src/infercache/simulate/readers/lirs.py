"""The traces of the LIRS paper (S. Jiang, X. Zhang, SIGMETRICS 2002): a number a line."""

from __future__ import annotations

from infercache.simulate.readers.base import Source
from infercache.simulate.readers.numbers import read_integers
from infercache.simulate.trace import Trace


class LirsReader:
    """Reads one whole number a line; lines that begin with `*` are marks and skipped."""

    unit = "line"
    promise = "LIRS: one whole number a line, `*` marks skipped"

    def detect(self, source: Source) -> bool:
        """Return whether every line is a whole number, or there are only marks."""
        if not source.is_text():
            return False
        lines = source.first_lines()
        return all(line.lstrip(b"-").isdigit() for line in lines) and (
            bool(lines) or source.data.lstrip()[:1] == b"*"
        )

    def read(self, source: Source) -> Trace:
        """Return one access a line."""
        import numpy as np

        keys = np.ascontiguousarray(read_integers(source, ("key",))[:, 0]).view(np.uint64)
        return Trace(source.name, "lirs", keys)
