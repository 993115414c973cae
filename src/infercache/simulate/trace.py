"""A trace in memory: what was asked for, in order."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from infercache.errors import InfercacheWarning, TraceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Accesses in order, one item of each array for each access. Immutable: thread-safe.

    Attributes:
        name: What it is called in tables.
        format: Name of the format that it was read from.
        keys: uint64.
        times: Seconds, float64, never falling; None where the format has no time.
        sizes: Bytes, uint64, at least 1; None where the format has no sizes.
        costs: Seconds to compute, float64; None where the format has no costs.
        requests: Number of the request that an access belongs to, int64, never falling, for
            traces whose requests ask for the blocks of a prefix in order; otherwise None.
    """

    name: str
    format: str
    keys: NDArray[np.uint64]
    times: NDArray[np.float64] | None = None
    sizes: NDArray[np.uint64] | None = None
    costs: NDArray[np.float64] | None = None
    requests: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, chosen: Any) -> Trace:
        """Return the accesses that a slice or a mask chooses. O(n) for a mask."""
        columns = ("keys", "times", "sizes", "costs", "requests")
        return replace(
            self,
            **{
                name: column[chosen]
                for name in columns
                if (column := getattr(self, name)) is not None
            },
        )

    def distinct(self) -> int:
        """Return the number of distinct keys. O(n log n)."""
        import numpy as np

        return len(np.unique(self.keys))

    def footprint_bytes(self) -> int:
        """Return the bytes of all distinct keys, each with its first size; 0 without sizes."""
        import numpy as np

        if self.sizes is None:
            return 0
        _, first = np.unique(self.keys, return_index=True)
        return int(self.sizes[first].sum())


def checked(trace: Trace, where: str, unit: str) -> Trace:
    """Return the trace with what replay can rely on.

    Times that run backwards are told in one warning and raised to the latest time so far: the
    order of the file is what counts. Sizes of zero are told in one warning and count as 1.

    Args:
        trace: What a reader read.
        where: The file, for messages.
        unit: What a reader of the file counts: "line" or "record".

    Raises:
        TraceError: no access at all, a size or cost below zero, or a time that is no number.
    """
    if not len(trace):
        raise TraceError(f"{where}: no {unit} with a request in it; expected at least one")
    return replace(
        trace,
        times=_times(trace, where),
        sizes=_sizes(trace, where),
        costs=_costs(trace, where),
    )


def _times(trace: Trace, where: str) -> NDArray[np.float64] | None:
    import numpy as np

    if trace.times is None:
        return None
    if not np.isfinite(trace.times).all():
        bad = int(np.flatnonzero(~np.isfinite(trace.times))[0])
        raise TraceError(f"{where}: the time of access {bad + 1} is not a finite number")
    backwards = np.flatnonzero(np.diff(trace.times) < 0)
    if not backwards.size:
        return trace.times
    warnings.warn(
        f"{where}: time runs backwards {backwards.size} times, first from access "
        f"{backwards[0] + 1} to {backwards[0] + 2}; the order of the file counts, and such "
        "times are raised to the latest before them",
        InfercacheWarning,
        stacklevel=4,
    )
    return np.maximum.accumulate(trace.times)


def _sizes(trace: Trace, where: str) -> NDArray[np.uint64] | None:
    import numpy as np

    sizes: Any = trace.sizes
    if sizes is None:
        return None
    if sizes.dtype.kind != "u" and sizes.min() < 0:
        bad = int(np.flatnonzero(sizes < 0)[0])
        raise TraceError(
            f"{where}: the size of access {bad + 1} is {sizes[bad]}; expected bytes, 1 or more"
        )
    sizes = sizes.astype(np.uint64)
    empty = np.flatnonzero(sizes == 0)
    if empty.size:
        warnings.warn(
            f"{where}: {empty.size} accesses have the size zero, first access {empty[0] + 1}; "
            "they count as 1 byte",
            InfercacheWarning,
            stacklevel=4,
        )
        sizes[empty] = 1
    whole: NDArray[np.uint64] = sizes
    return whole


def _costs(trace: Trace, where: str) -> NDArray[np.float64] | None:
    import numpy as np

    if trace.costs is None:
        return None
    wrong = np.flatnonzero(~(np.isfinite(trace.costs) & (trace.costs >= 0)))
    if wrong.size:
        raise TraceError(
            f"{where}: the cost of access {wrong[0] + 1} is {trace.costs[wrong[0]]}; "
            "expected seconds, 0 or more"
        )
    return trace.costs
