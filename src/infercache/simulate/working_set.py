"""How much a trace touches within a while."""

from __future__ import annotations

from dataclasses import dataclass

from infercache import _core
from infercache.simulate.trace import Trace

_PARTS = (256, 64, 16, 4, 1)


@dataclass(frozen=True, slots=True)
class Window:
    """What windows of one length touch (P. J. Denning, CACM 11, 1968).

    Attributes:
        accesses: Length in accesses.
        seconds: Mean length in seconds; None where the trace has no times.
        mean_keys: Distinct keys in a window, on average.
        most_keys: Distinct keys in the largest window.
        mean_bytes: Bytes of these keys on average; None without sizes.
        most_bytes: Bytes in the largest window; None without sizes.
    """

    accesses: int
    seconds: float | None
    mean_keys: float
    most_keys: int
    mean_bytes: float | None
    most_bytes: int | None


def working_set(trace: Trace) -> list[Window]:
    """Return the working set in windows of a 256th to the whole of the trace. O(n)."""
    import numpy as np

    previous = np.frombuffer(_core.previous_uses(trace.keys), dtype=np.int64)
    span = float(trace.times[-1] - trace.times[0]) if trace.times is not None else None
    windows: dict[int, Window] = {}
    for parts in _PARTS:
        length = max(1, len(trace) // parts)
        number = np.arange(len(trace)) // length
        whole = len(trace) // length
        new = previous < number * length
        keys = np.bincount(number[new])[:whole]
        sizes = None
        if trace.sizes is not None:
            weights = trace.sizes[new].astype(np.float64)
            sizes = np.bincount(number[new], weights=weights)[:whole]
        windows[length] = Window(
            length,
            span * length / len(trace) if span is not None else None,
            float(keys.mean()),
            int(keys.max()),
            float(sizes.mean()) if sizes is not None else None,
            int(sizes.max()) if sizes is not None else None,
        )
    return list(windows.values())
