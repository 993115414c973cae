"""How large each tier should be, where what leaves one tier goes on to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infercache.errors import SettingError
from infercache.simulate.curves import Curve

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_POINTS = 256
_HOUR = 3600.0
_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class TierPrice:
    """What a tier costs; tiers are named fastest first.

    Attributes:
        name: What it is called.
        gigabyte_hour: Of holding 1 GB (10^9 bytes) for an hour.
        hit: Of one hit in it, in the same currency: the time that it takes.
    """

    name: str
    gigabyte_hour: float
    hit: float


@dataclass(frozen=True, slots=True)
class TierSize:
    """What is advised for a tier.

    Attributes:
        name: The tier.
        capacity: In the unit of the curve.
        hits: Share of all accesses that hit in it.
        net: What it saves in an hour after its room is paid.
        next_gigabyte: What one more gigabyte would save an hour, before it is paid: its hits are
            hits in the next tier now if there is room below, else misses.
    """

    name: str
    capacity: int
    hits: float
    net: float
    next_gigabyte: float


def size_tiers(
    curve: Curve,
    footprint: float,
    tiers: Sequence[TierPrice],
    *,
    miss: float,
    accesses_per_s: float,
    unit_bytes: float = 1.0,
) -> list[TierSize]:
    """Return the sizes that together save most, under LRU with demotion.

    What leaves a tier is demoted to the next, so that tiers of M and D behave as one LRU cache
    of M + D whose upper part is M. Exact on a grid of 256 sizes. O(tiers x sizes).

    Args:
        curve: LRU's curve.
        footprint: The largest size that is of use, in the unit of the curve.
        tiers: Fastest first.
        miss: Price of a miss.
        accesses_per_s: How many accesses there are.
        unit_bytes: Bytes for one unit of the curve: 1, or the size of an entry.

    Raises:
        SettingError: no tier at all.
    """
    import numpy as np

    if not tiers:
        raise SettingError("no tier to size: name at least one")
    spread = np.geomspace(max(1.0, footprint / 10_000), footprint, _POINTS)
    ends = np.concatenate(([0.0], np.unique(np.ceil(spread))))
    hits = np.array([1 - curve.miss_ratio(end) for end in ends])
    rate = accesses_per_s * _HOUR
    room = ends * unit_bytes / _GIGABYTE
    values = [
        _value(hits * rate, room, tier, tiers[place + 1] if place + 1 < len(tiers) else None, miss)
        for place, tier in enumerate(tiers)
    ]
    places = [0, *_choose(values)]
    found = []
    otherwise = miss
    for number in reversed(range(len(tiers))):
        begin, end = places[number], places[number + 1]
        found.append(
            _tier(tiers[number], ends, hits * rate, room, begin, end, rate, miss, otherwise)
        )
        if end > begin:
            otherwise = tiers[number].hit
    return found[::-1]


def _value(
    hits: NDArray[np.float64],
    room: NDArray[np.float64],
    tier: TierPrice,
    following: TierPrice | None,
    miss: float,
) -> NDArray[np.float64]:
    """Return what it is worth that a tier ends at each place, instead of the next one there."""
    otherwise = miss if following is None else following.hit
    price = tier.gigabyte_hour - (0.0 if following is None else following.gigabyte_hour)
    value: NDArray[np.float64] = hits * (otherwise - tier.hit) - room * price
    return value


def _choose(values: Sequence[NDArray[np.float64]]) -> list[int]:
    """Return one place for each row, never falling, whose values have the greatest sum."""
    import numpy as np

    totals = np.zeros(len(values[0]))
    came_from: list[NDArray[np.int64]] = []
    for value in values:
        sums = totals + value
        greatest = np.maximum.accumulate(sums)
        # The first place at which each running maximum was reached.
        came_from.append(np.searchsorted(greatest, greatest, side="left").astype(np.int64))
        totals = greatest
    place = len(totals) - 1
    found = []
    for best in reversed(came_from):
        place = int(best[place])
        found.append(place)
    return found[::-1]


def _tier(
    tier: TierPrice,
    ends: NDArray[np.float64],
    hits: NDArray[np.float64],
    room: NDArray[np.float64],
    begin: int,
    end: int,
    rate: float,
    miss: float,
    otherwise: float,
) -> TierSize:
    further = min(end + 1, len(ends) - 1)
    more = room[further] - room[end]
    gained = (hits[further] - hits[end]) * (otherwise - tier.hit)
    share = float(hits[end] - hits[begin]) / rate
    paid = float(room[end] - room[begin]) * tier.gigabyte_hour
    return TierSize(
        tier.name,
        int(ends[end] - ends[begin]),
        share,
        share * rate * (miss - tier.hit) - paid,
        float(gained / more) if more > 0 else 0.0,
    )
