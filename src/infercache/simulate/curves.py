"""Miss ratio against capacity: exact, from a sample of the keys, or in miniature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infercache import _core
from infercache.errors import SettingError
from infercache.simulate.prefixes import deepest_before
from infercache.simulate.replay import replay
from infercache.simulate.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FIRST = 2**64 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A miss-ratio curve of LRU.

    Attributes:
        distances: The capacities at which something more hits, rising.
        hits: How much of the requests hits with each of them, as a share.
        rate: The share of the keys that were looked at; 1 for all.
    """

    distances: NDArray[np.float64]
    hits: NDArray[np.float64]
    rate: float

    def miss_ratio(self, capacity: float) -> float:
        """Return the miss ratio with a capacity. O(log n)."""
        import numpy as np

        place = int(np.searchsorted(self.distances, capacity, side="right"))
        return float(1 - self.hits[place - 1]) if place else 1.0

    def miss_ratios(self, capacities: Sequence[float]) -> list[float]:
        """Return the miss ratio with each capacity."""
        return [self.miss_ratio(capacity) for capacity in capacities]


def stack_distances(trace: Trace, *, in_bytes: bool = False) -> NDArray[np.float64]:
    """Return for each access what an LRU cache must hold for it to hit; infinite at first uses.

    In entries, or in bytes (R. L. Mattson and others, IBM Systems Journal 9, 1970). O(n log n),
    10 to 20 M accesses a second.
    """
    import numpy as np

    packed = _core.stack_distances(trace.keys, _sizes(trace, in_bytes))
    return _finite(np.frombuffer(packed, dtype=np.uint64))


def lru_curve(trace: Trace, *, in_bytes: bool = False, prefix_rule: bool = False) -> Curve:
    """Return LRU's exact curve: without sizes what `replay` counts, at every capacity.

    With sizes an entry that does not fit may leave more room behind than its neighbours fill,
    which a stack cannot know; then the curve is near and not exact.

    Args:
        trace: The trace.
        in_bytes: Capacities are bytes.
        prefix_rule: An access hits only if all earlier ones of its request do.
    """
    import numpy as np

    distances = stack_distances(trace, in_bytes=in_bytes)
    if prefix_rule and trace.requests is not None:
        distances = deepest_before(distances, trace.requests)
    reused = np.sort(distances[np.isfinite(distances)])
    return _curve(reused, np.ones(len(reused)), len(trace), 0.0, 1.0)


def shards_curve(
    trace: Trace, *, rate: float = 1.0, most_keys: int | None = None, in_bytes: bool = False
) -> Curve:
    """Return LRU's curve from a spatial sample of the keys.

    SHARDS with its adjustment for an uneven sample (C. A. Waldspurger and others, FAST 2015).
    With 8,192 keys in the sample the mean error is a point or less on most traces; where a few
    keys have most of the requests it is more.

    Args:
        trace: The trace.
        rate: Share of the keys to look at, at first.
        most_keys: Lower the rate so that at most so many keys are looked at; None for no bound.
        in_bytes: Capacities are bytes.

    Raises:
        SettingError: a rate that is not above 0 and at most 1, or fewer than one key.
    """
    import numpy as np

    if not 0 < rate <= 1:
        raise SettingError(f"rate={rate}: expected a share above 0 and at most 1")
    if most_keys is not None and most_keys < 1:
        raise SettingError(f"most_keys={most_keys}: expected 1 or more")
    bound = {} if most_keys is None else {"most": most_keys}
    _, packed, packed_rates = _core.sampled_distances(
        trace.keys, _sizes(trace, in_bytes), rate=rate, **bound
    )
    rates = np.frombuffer(packed_rates, dtype=np.float64)
    final = float(rates[-1])
    weights = final / rates[:-1]
    scaled = _finite(np.frombuffer(packed, dtype=np.uint64)) / rates[:-1]
    expected = len(trace) * final
    reused = np.isfinite(scaled)
    order = np.argsort(scaled[reused])
    missing = expected - float(weights.sum())
    return _curve(scaled[reused][order], weights[reused][order], expected, missing, final)


def miniature(
    trace: Trace, policy: str, capacities: Sequence[int], *, rate: float, in_bytes: bool = False
) -> list[float]:
    """Return a policy's miss ratio with each capacity, from caches scaled down with the keys.

    Miniature simulation (C. A. Waldspurger and others, USENIX ATC 2017). A cache of fewer than
    some hundred entries in the sample is not like a large one: choose the rate accordingly.

    Args:
        trace: The trace.
        policy: A name; native policies run with the interpreter lock released.
        capacities: Of the whole cache.
        rate: Share of the keys to keep; 1 replays everything.
        in_bytes: Capacities are bytes.
    """
    part = trace if rate >= 1 else trace.part(in_sample(trace.keys, rate))
    sizes = part.sizes if in_bytes else None
    expected = len(trace) * min(rate, 1.0)
    found = []
    for capacity in capacities:
        answer = replay(part.keys, policy, max(1, round(capacity * rate)), sizes=sizes)
        found.append(min(1.0, answer.misses / expected))
    return found


def in_sample(keys: NDArray[np.uint64], rate: float) -> NDArray[np.bool_]:
    """Return which accesses are to keys in a sample: all of a key's or none."""
    import numpy as np

    mixed = keys * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    chosen: NDArray[np.bool_] = (mixed >> np.uint64(11)) < np.uint64(rate * 2**53)
    return chosen


def _curve(
    distances: NDArray[np.float64],
    weights: NDArray[np.float64],
    total: float,
    missing: float,
    rate: float,
) -> Curve:
    """Sum up; what the sample has too few of counts as hits at once, as its authors found."""
    import numpy as np

    hits = (np.cumsum(weights) + missing) / total if total else np.zeros(len(weights))
    return Curve(distances, np.clip(hits, 0.0, 1.0), rate)


def _finite(distances: NDArray[np.uint64]) -> NDArray[np.float64]:
    import numpy as np

    return np.where(distances == _FIRST, np.inf, distances.astype(np.float64))


def _sizes(trace: Trace, in_bytes: bool) -> Any:
    if in_bytes and trace.sizes is None:
        raise SettingError(f"{trace.name} ({trace.format}) has no sizes")
    return trace.sizes if in_bytes else None
