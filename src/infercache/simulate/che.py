"""An analytic model of LRU, for requests that are drawn independently of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from infercache.simulate.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def che_miss_ratios(
    trace: Trace, capacities: Sequence[float], *, in_bytes: bool = False
) -> list[float]:
    """Return the miss ratios that LRU would have if only the keys' popularities mattered.

    Che's approximation (H. Che, Y. Tung, Z. Wang, IEEE JSAC 2002): with Poisson arrivals of rate
    r each key stays for the same time T, found from the sum of (1 - exp(-r T)) over all keys
    being the capacity, and hits with the probability 1 - exp(-r T). Rates are measured from the
    trace; a key's first use is a miss. Where the real curve is lower, recency tells something
    that popularity does not. O(distinct counts) a capacity.

    Args:
        trace: The trace.
        capacities: In entries, or in bytes.
        in_bytes: Capacities are bytes.
    """
    import numpy as np

    _, first, counts = np.unique(trace.keys, return_index=True, return_counts=True)
    weights = np.ones(len(counts))
    if in_bytes and trace.sizes is not None:
        weights = trace.sizes[first].astype(np.float64)
    # Keys that were used equally often are one group.
    used, group = np.unique(counts, return_inverse=True)
    keys = np.bincount(group).astype(np.float64)
    room = np.bincount(group, weights=weights).astype(np.float64)
    return [_miss_ratio(used.astype(np.float64), keys, room, one) for one in capacities]


def _miss_ratio(
    used: NDArray[np.float64],
    keys: NDArray[np.float64],
    room: NDArray[np.float64],
    capacity: float,
) -> float:
    """Return one miss ratio; time is counted in traces, so that a key's rate is its count."""
    import numpy as np

    again = keys * (used - 1)
    total = float((keys * used).sum())
    if capacity >= room.sum():
        return float(1 - again.sum() / total)
    low, high = 0.0, 1.0
    while float((room * -np.expm1(-used * high)).sum()) < capacity:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        if float((room * -np.expm1(-used * middle)).sum()) < capacity:
            low = middle
        else:
            high = middle
    return float(1 - (again * -np.expm1(-used * high)).sum() / total)
