"""What in a trace can be foreseen, and what cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infercache import _core
from infercache.simulate.che import che_miss_ratios
from infercache.simulate.curves import Curve
from infercache.simulate.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHARES = (0.01, 0.05, 0.1, 0.25)
_SCAN = 0.02
_LOOP = 0.9
_RECENCY = 0.02
_SKEW = 3.0
_CLOCKWORK = 0.5
_BURSTS = 1.5
_INTERVALS = 8


@dataclass(frozen=True, slots=True)
class Predictability:
    """Measures of what history tells.

    Attributes:
        first_uses: Share of accesses to keys never seen before: no history tells of them.
        used_once: Share of keys that are used once.
        hottest: Share of accesses that go to the hottest hundredth of the keys.
        dispersion: Variance of the counts of uses over their mean: 1 if all are equally likely.
        recency: Mean of how far LRU is below Che's approximation, in miss ratio, at 1, 5, 10 and
            25 % of the keys: what recency tells beyond popularity. Below zero for loops.
        loop: Share of reuses within a tenth of the median reuse distance.
        irregularity: Deviation of a key's intervals over their mean: 0 if it comes back like
            clockwork, 1 for random draws, more for bursts.
    """

    first_uses: float
    used_once: float
    hottest: float
    dispersion: float
    recency: float
    loop: float
    irregularity: float

    def sentences(self) -> list[str]:
        """Return what follows, the most important first."""
        said = []
        if self.first_uses > 1 - _SCAN:
            said.append("a pure scan: nearly nothing is used twice, and no cache of any size helps")
        elif self.loop > _LOOP:
            said.append(
                "a loop: everything comes back after the same number of others; LRU hits nothing "
                "below the loop's length, while a policy that keeps some of it for good hits"
            )
        elif self.dispersion < _SKEW and abs(self.recency) < _RECENCY:
            said.append("uniform draws: neither popularity nor recency tells what comes next")
        elif abs(self.recency) < _RECENCY:
            said.append(
                "independent draws: popularity tells what comes next, recency adds nothing; "
                "policies that count uses are as good as can be"
            )
        elif self.recency > 0:
            said.append(
                f"recency tells more than popularity: LRU misses {100 * self.recency:.1f} points "
                "less than independent draws of the same popularity would"
            )
        else:
            said.append(
                f"recency misleads: LRU misses {-100 * self.recency:.1f} points more than "
                "independent draws of the same popularity would (scans or loops between reuses)"
            )
        said.append(
            f"{self.first_uses:.0%} of the accesses are first uses, which no history of their key "
            f"foretells; {self.used_once:.0%} of the keys are used once only"
        )
        if self.irregularity < _CLOCKWORK:
            said.append(
                f"keys come back at regular intervals (deviation {self.irregularity:.2f} of the "
                "mean): when can be learned from their own past"
            )
        elif self.irregularity > _BURSTS:
            said.append(
                f"keys come in bursts (intervals deviate by {self.irregularity:.1f} times their "
                "mean): what was just used again is used again soon, then for long not at all"
            )
        return said


def predictability(trace: Trace, curve: Curve, distances: NDArray[np.float64]) -> Predictability:
    """Measure a trace. O(n log n).

    Args:
        trace: The trace.
        curve: LRU's curve in entries.
        distances: Stack distances in entries.
    """
    import numpy as np

    _, counts = np.unique(trace.keys, return_counts=True)
    reused = distances[np.isfinite(distances)]
    capacities = [max(1.0, len(counts) * share) for share in _SHARES]
    modelled = che_miss_ratios(trace, capacities)
    measured = curve.miss_ratios(capacities)
    middle = float(np.median(reused)) if reused.size else 0.0
    near = np.abs(reused - middle) <= middle / 10
    hottest = np.sort(counts)[::-1][: max(1, len(counts) // 100)]
    return Predictability(
        first_uses=len(counts) / len(trace),
        used_once=float((counts == 1).mean()),
        hottest=float(hottest.sum() / len(trace)),
        dispersion=float(counts.var() / counts.mean()),
        recency=float(np.mean(np.subtract(modelled, measured))),
        loop=float(near.mean()) if reused.size and middle > 1 else 0.0,
        irregularity=_irregularity(trace),
    )


def _irregularity(trace: Trace) -> float:
    """Return the median over keys of the deviation of their intervals over their mean.

    Among the keys with 8 intervals or more in the first million accesses, each weighted by its
    intervals; 1, as for random draws, where there are none.
    """
    import numpy as np

    keys = trace.keys[:1_000_000]
    _, group = np.unique(keys, return_inverse=True)
    previous = np.frombuffer(_core.previous_uses(keys), dtype=np.int64)
    places = np.flatnonzero(previous >= 0)
    intervals = (places - previous[places]).astype(np.float64)
    owner = group[places]
    counts = np.bincount(owner)
    often = counts >= _INTERVALS
    if not often.any():
        return 1.0
    means = np.bincount(owner, weights=intervals)[often] / counts[often]
    squares = np.bincount(owner, weights=intervals**2)[often] / counts[often]
    deviations = np.sqrt(np.maximum(squares - means**2, 0.0)) / means
    order = np.argsort(deviations)
    weight = np.cumsum(counts[often][order])
    return float(deviations[order][np.searchsorted(weight, weight[-1] / 2)])
