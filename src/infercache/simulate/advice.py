"""How large a cache should be, and with which policy, from a trace of its accesses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from infercache.errors import SettingError
from infercache.policies.registry import POLICIES
from infercache.simulate.capacities import Capacity
from infercache.simulate.che import che_miss_ratios
from infercache.simulate.contest import BASE, OPTIMUM, compete
from infercache.simulate.curves import Curve, in_sample, lru_curve, miniature, stack_distances
from infercache.simulate.optimum import belady
from infercache.simulate.predictability import Predictability, predictability
from infercache.simulate.tier_sizes import TierPrice, TierSize, size_tiers
from infercache.simulate.trace import Trace
from infercache.simulate.working_set import Window, working_set
from infercache.units import format_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_POINTS = 48
_SAMPLED_KEYS = 20_000
_HOUR = 3600.0
_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Prices:
    """What memory and misses cost, in one currency.

    Attributes:
        gigabyte_hour: Of holding 1 GB (10^9 bytes) for an hour.
        miss: Of one miss.
        entry_bytes: Of an entry, where the trace has no sizes.
        accesses_per_s: Where the trace has no times; None to take them from the trace.
        tiers: What to size together, fastest first; none for one tier.
    """

    gigabyte_hour: float
    miss: float
    entry_bytes: int | None = None
    accesses_per_s: float | None = None
    tiers: tuple[TierPrice, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """One size on the curve.

    Attributes:
        capacity: In entries, or in bytes.
        share: Of the footprint.
        miss_ratio: Of LRU.
        che: What Che's approximation gives for it.
        gain: Further hits, in hundredths of all accesses, that the next hundredth of the
            footprint brings, on the hull of the curve.
        net: Money saved by the hour after the memory is paid; None without prices.
    """

    capacity: int
    share: float
    miss_ratio: float
    che: float
    gain: float
    net: float | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """A policy at the recommended size, in miniature."""

    policy: str
    miss_ratio: float


@dataclass(frozen=True, slots=True)
class Advice:
    """What a trace tells about the cache that it needs.

    Attributes:
        trace: The trace's name.
        accesses: Number of accesses.
        footprint: Distinct keys, or their bytes.
        in_bytes: Whether capacities are bytes.
        windows: The working set.
        points: LRU's curve.
        recommended: The size to take.
        reason: Why.
        policies: Best first, at that size.
        rate: Share of the keys that the policies were tried on.
        optimum: Miss ratio of the optimum on the same keys.
        che_error: Mean of how far Che's approximation is from LRU, in miss ratio.
        predictability: What can be foreseen.
        tiers: Sizes of several tiers together, where their prices were given.
    """

    trace: str
    accesses: int
    footprint: int
    in_bytes: bool
    windows: list[Window]
    points: list[Point]
    recommended: Point
    reason: str
    policies: list[Ranked]
    rate: float
    optimum: float
    che_error: float
    predictability: Predictability
    tiers: list[TierSize]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        return asdict(self) | {"sentences": self.predictability.sentences()}

    def size(self, capacity: float) -> str:
        """Return a capacity for people."""
        return format_size(capacity) if self.in_bytes else f"{capacity:,.0f} entries"


def advise(
    trace: Trace,
    *,
    in_bytes: bool = False,
    prefix_rule: bool = False,
    prices: Prices | None = None,
    policies: Sequence[str] | None = None,
    done: Callable[[], None] = lambda: None,
) -> Advice:
    """Return how large the cache should be, and the best policy of that size.

    Args:
        trace: The trace.
        in_bytes: Capacities are bytes.
        prefix_rule: An access hits only if all earlier ones of its request do; then the
            policies are tried on all keys, since a sample would break the chains.
        prices: What to weigh; None: the size beyond which the curve flattens.
        policies: Names to try; None for all.
        done: Called after each step; there are as many steps as policies, and two.

    Raises:
        SettingError: prices without times or sizes to apply them to, or an unknown policy.
    """
    footprint = trace.footprint_bytes() if in_bytes else trace.distinct()
    curve = lru_curve(trace, in_bytes=in_bytes, prefix_rule=prefix_rule)
    done()
    points = _points(trace, curve, footprint, in_bytes, prices)
    best, reason = _recommend(points, prices)
    entries = lru_curve(trace) if in_bytes or prefix_rule else curve
    told = predictability(trace, entries, stack_distances(trace))
    done()
    ranked, rate, optimum = _rank(
        trace, best, policies or POLICIES.names(), in_bytes, prefix_rule, done
    )
    error = sum(abs(point.che - point.miss_ratio) for point in points) / len(points)
    tiers: list[TierSize] = []
    if prices is not None and prices.tiers:
        tiers = size_tiers(
            curve,
            footprint,
            prices.tiers,
            miss=prices.miss,
            accesses_per_s=_rate(trace, prices),
            unit_bytes=_unit_bytes(trace, prices, in_bytes),
        )
    return Advice(
        trace.name, len(trace), footprint, in_bytes, working_set(trace), points, best, reason,
        ranked, rate, optimum, error, told, tiers,
    )  # fmt: skip


def _points(
    trace: Trace, curve: Curve, footprint: int, in_bytes: bool, prices: Prices | None
) -> list[Point]:
    import numpy as np

    spread = np.geomspace(max(1.0, footprint / 1000), footprint, _POINTS)
    capacities = np.unique(np.ceil(spread).astype(np.int64))
    misses = np.array(curve.miss_ratios([float(one) for one in capacities]))
    modelled = che_miss_ratios(trace, [float(one) for one in capacities], in_bytes=in_bytes)
    gains = _gains(capacities / footprint, misses)
    net = _net(trace, capacities, misses, in_bytes, prices)
    return [
        Point(
            int(capacity),
            float(capacity / footprint),
            float(misses[place]),
            modelled[place],
            float(gains[place]),
            None if net is None else float(net[place]),
        )
        for place, capacity in enumerate(capacities)
    ]


def _gains(shares: NDArray[np.float64], misses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slope of the lower convex hull after each point: what more room brings."""
    import numpy as np

    hull: list[int] = []
    for place in range(len(shares)):
        while len(hull) > 1 and _turns_up(shares, misses, hull[-2], hull[-1], place):
            hull.pop()
        hull.append(place)
    slopes = -np.diff(misses[hull]) / np.diff(shares[hull])
    which = np.searchsorted(hull, np.arange(len(shares)), side="right") - 1
    gains: NDArray[np.float64] = np.append(slopes, 0.0)[which]
    return gains


def _turns_up(
    shares: NDArray[np.float64], misses: NDArray[np.float64], one: int, two: int, three: int
) -> bool:
    first = (misses[two] - misses[one]) * (shares[three] - shares[one])
    second = (misses[three] - misses[one]) * (shares[two] - shares[one])
    return bool(first >= second)


def _net(
    trace: Trace,
    capacities: NDArray[np.int64],
    misses: NDArray[np.float64],
    in_bytes: bool,
    prices: Prices | None,
) -> NDArray[np.float64] | None:
    if prices is None:
        return None
    rate, unit_bytes = _rate(trace, prices), _unit_bytes(trace, prices, in_bytes)
    held = capacities * unit_bytes / _GIGABYTE
    net: NDArray[np.float64] = (
        rate * _HOUR * (1 - misses) * prices.miss - held * prices.gigabyte_hour
    )
    return net


def _rate(trace: Trace, prices: Prices) -> float:
    if prices.accesses_per_s is not None:
        return prices.accesses_per_s
    span = float(trace.times[-1] - trace.times[0]) if trace.times is not None else 0.0
    if span <= 0:
        raise SettingError(
            f"{trace.name} has no times to weigh misses against memory: say how many "
            "accesses there are in a second with --rate"
        )
    return len(trace) / span


def _unit_bytes(trace: Trace, prices: Prices, in_bytes: bool) -> int:
    if in_bytes:
        return 1
    if prices.entry_bytes is None:
        raise SettingError(
            f"{trace.name}: a price of memory needs sizes: give --bytes where the trace has "
            "them, or say with --entry-size how large an entry is"
        )
    return prices.entry_bytes


def _recommend(points: list[Point], prices: Prices | None) -> tuple[Point, str]:
    if prices is not None:
        best = max(points, key=lambda point: point.net or 0.0)
        if (best.net or 0.0) <= 0:
            return points[0], "at these prices no cache pays for its memory"
        return best, "the next entries would cost more in memory than their hits save"
    # The point furthest below the straight line from an empty cache to a full one.
    low = points[-1].miss_ratio
    best = max(points, key=lambda point: (1 - point.miss_ratio) - point.share * (1 - low))
    return best, (
        f"beyond it a further 1 % of the footprint brings {best.gain:.2f} points of hits or "
        f"less, against {1 - low:.2f} points on average"
    )


def _rank(
    trace: Trace,
    size: Point,
    policies: Sequence[str],
    in_bytes: bool,
    prefix_rule: bool,
    done: Callable[[], None],
) -> tuple[list[Ranked], float, float]:
    """Try the policies at one size; return also the rate of the sample, and the optimum."""
    if prefix_rule:
        capacity = Capacity(size.capacity, size.share, "")
        contest = compete(
            trace, policies, [capacity], prefix_rule=True, in_bytes=in_bytes, done=done
        )
        found = {cell.policy: cell.miss_ratio for cell in contest.cells}
        optimum = found.pop(OPTIMUM)
        return _sorted(found), 1.0, optimum
    rate = min(1.0, _SAMPLED_KEYS / max(1, trace.distinct()))
    found = {}
    for policy in dict.fromkeys([BASE, *policies]):
        found[policy] = miniature(trace, policy, [size.capacity], rate=rate, in_bytes=in_bytes)[0]
        done()
    part = trace if rate >= 1 else trace.part(in_sample(trace.keys, rate))
    sizes = part.sizes if in_bytes else None
    answer = belady(part.keys, max(1, round(size.capacity * rate)), sizes=sizes)
    return _sorted(found), rate, min(1.0, answer.misses / (len(trace) * rate))


def _sorted(found: dict[str, float]) -> list[Ranked]:
    return sorted((Ranked(*pair) for pair in found.items()), key=lambda one: one.miss_ratio)
