"""The rule of prefix blocks: a block is worth nothing without all blocks before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def strict_hits(outcomes: bytes, requests: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which accesses hit together with all accesses before them in their request. O(n).

    Args:
        outcomes: One byte an access, 1 for a hit, as `replay` returns them.
        requests: Number of the request of each access, never falling.
    """
    import numpy as np

    hits = np.frombuffer(outcomes, dtype=np.uint8).astype(bool)
    misses = np.cumsum(~hits)
    before = np.concatenate(([0], misses[:-1]))
    strict: NDArray[np.bool_] = misses == before[begins(requests)]
    return strict


def begins(requests: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each access the place of the first access of its request. O(n)."""
    import numpy as np

    first = np.flatnonzero(np.diff(requests, prepend=requests[:1] - 1))
    lengths = np.diff(first, append=len(requests))
    places: NDArray[np.int64] = np.repeat(first, lengths)
    return places


def deepest_before(
    distances: NDArray[np.float64], requests: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return for each access the greatest value so far in its request. O(n log n)."""
    import numpy as np

    # Ranks are below n, so that a request's number times n keeps requests apart.
    _, ranks = np.unique(distances, return_inverse=True)
    values = np.sort(distances)
    numbers = np.cumsum(np.diff(requests, prepend=requests[:1]) != 0)
    room = int(ranks.max(initial=0)) + 1
    greatest = np.maximum.accumulate(numbers * room + ranks) - numbers * room
    unique = values[np.concatenate(([True], values[1:] != values[:-1]))] if values.size else values
    found: NDArray[np.float64] = unique[greatest]
    return found
