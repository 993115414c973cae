"""How far apart reuses are, and how that changes over a trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infercache.simulate.curves import stack_distances
from infercache.simulate.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COLUMNS = 60


@dataclass(frozen=True, slots=True, eq=False)
class ReuseMap:
    """Counts of reuses: a column for each part of the trace, a row for each power of two.

    Attributes:
        counts: Rows are distances below 2, 4, 8 and so on, in distinct keys.
        lengths: Accesses in each column, first uses included.
    """

    counts: NDArray[np.int64]
    lengths: NDArray[np.int64]


def reuse_map(trace: Trace) -> ReuseMap:
    """Return how far apart the reuses of each part of a trace are. O(n log n)."""
    import numpy as np

    distances = stack_distances(trace)
    columns = min(_COLUMNS, len(trace))
    column = np.arange(len(trace)) * columns // len(trace)
    reused = np.isfinite(distances)
    row = np.floor(np.log2(distances[reused])).astype(np.int64)
    rows = int(row.max(initial=0)) + 1
    counts = np.bincount(column[reused] * rows + row, minlength=columns * rows)
    return ReuseMap(counts.reshape(columns, rows).T, np.bincount(column))
