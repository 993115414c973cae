"""Sizes of several tiers together."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infercache.errors import SettingError
from infercache.simulate.curves import lru_curve
from infercache.simulate.replay import replay
from infercache.simulate.tier_sizes import TierPrice, _choose, size_tiers
from infercache.simulate.trace import Trace

RANDOM = np.random.default_rng(8)
WEIGHTS = 1 / np.arange(1, 3_001) ** 0.9
TRACE = Trace(
    "made", "test", RANDOM.choice(3_000, 40_000, p=WEIGHTS / WEIGHTS.sum()).astype(np.uint64)
)
CURVE = lru_curve(TRACE)
FOOTPRINT = TRACE.distinct()


@given(st.lists(st.lists(st.integers(-9, 9), min_size=5, max_size=5), min_size=1, max_size=3))
def test_the_places_chosen_have_the_greatest_sum(rows: list[list[int]]) -> None:
    values = [np.array(row, dtype=np.float64) for row in rows]
    chosen = _choose(values)
    assert chosen == sorted(chosen)
    every = itertools.combinations_with_replacement(range(5), len(rows))
    best = max(sum(row[place] for row, place in zip(rows, places, strict=True)) for places in every)
    assert sum(row[place] for row, place in zip(rows, chosen, strict=True)) == best


def sized(memory: float, disk: float) -> list[tuple[str, int]]:
    tiers = [TierPrice("memory", memory, 1e-7), TierPrice("disk", disk, 5e-6)]
    found = size_tiers(CURVE, FOOTPRINT, tiers, miss=1e-4, accesses_per_s=10.0, unit_bytes=1e6)
    return [(one.name, one.capacity) for one in found]


def test_the_faster_tier_is_small_where_it_is_dear() -> None:
    (_, memory), (_, disk) = sized(0.05, 0.001)
    (_, dear_memory), (_, more_disk) = sized(0.5, 0.001)
    assert 0 < dear_memory < memory < FOOTPRINT
    assert disk > 0
    assert more_disk > disk


def test_a_tier_that_does_not_pay_is_left_out() -> None:
    assert sized(1e6, 0.001)[0] == ("memory", 0)
    assert sized(1e6, 1e6) == [("memory", 0), ("disk", 0)]
    assert sized(1e-9, 1.0)[1] == ("disk", 0)


def test_hits_and_savings_add_up_to_those_of_one_cache() -> None:
    tiers = [TierPrice("memory", 0.05, 1e-7), TierPrice("disk", 0.001, 5e-6)]
    found = size_tiers(CURVE, FOOTPRINT, tiers, miss=1e-4, accesses_per_s=10.0, unit_bytes=1e6)
    capacity = sum(one.capacity for one in found)
    whole = replay(TRACE.keys, "lru", capacity).hit_ratio
    assert sum(one.hits for one in found) == pytest.approx(whole)
    memory = found[0]
    assert memory.hits == pytest.approx(replay(TRACE.keys, "lru", memory.capacity).hit_ratio)
    paid = memory.capacity * 1e6 / 1e9 * 0.05
    assert memory.net == pytest.approx(memory.hits * 36_000 * (1e-4 - 1e-7) - paid)


def test_a_further_gigabyte_would_not_pay() -> None:
    """Memory's next gigabyte takes hits from the disk tier: it saves no more than it costs."""
    tiers = [TierPrice("memory", 0.05, 1e-7), TierPrice("disk", 0.001, 5e-6)]
    memory, disk = size_tiers(
        CURVE, FOOTPRINT, tiers, miss=1e-4, accesses_per_s=10.0, unit_bytes=1e6
    )
    assert 0 < memory.next_gigabyte < 0.05 - 0.001
    assert disk.next_gigabyte <= 0.001
    alone = size_tiers(CURVE, FOOTPRINT, tiers[:1], miss=1e-4, accesses_per_s=10.0, unit_bytes=1e6)
    assert alone[0].capacity > memory.capacity


def test_no_tier_at_all_is_refused() -> None:
    with pytest.raises(SettingError, match="name at least one"):
        size_tiers(CURVE, FOOTPRINT, [], miss=1.0, accesses_per_s=1.0)
