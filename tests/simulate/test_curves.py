"""Miss-ratio curves against replays, samples against the whole, the model against draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Require
from tests.simulate import shared_traces

from infercache.errors import SettingError
from infercache.simulate.che import che_miss_ratios
from infercache.simulate.curves import (
    in_sample,
    lru_curve,
    miniature,
    shards_curve,
    stack_distances,
)
from infercache.simulate.prefixes import strict_hits
from infercache.simulate.readers import read_trace
from infercache.simulate.replay import replay
from infercache.simulate.reuse_map import reuse_map
from infercache.simulate.trace import Trace
from infercache.simulate.working_set import working_set


def made(keys: object, **columns: object) -> Trace:
    arrays = {
        name: np.array(column, dtype={"sizes": np.uint64, "requests": np.int64}.get(name, float))
        for name, column in columns.items()
    }
    return Trace("made", "test", np.array(keys, dtype=np.uint64), **arrays)


def draws(keys: int, skew: float, count: int, seed: int = 1) -> Trace:
    """Independent draws: what the analytic model is about."""
    weights = 1 / np.arange(1, keys + 1) ** skew
    random = np.random.default_rng(seed)
    return made(random.choice(keys, count, p=weights / weights.sum()))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=120), st.integers(1, 15))
def test_the_exact_curve_is_what_replay_counts(keys: list[int], capacity: int) -> None:
    expected = 1 - replay(keys, "lru", capacity).hit_ratio
    assert lru_curve(made(keys)).miss_ratio(capacity) == pytest.approx(expected)


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=25))
def test_the_exact_curve_knows_the_prefix_rule(rows: list[list[int]]) -> None:
    keys = [block for row in rows for block in row]
    trace = made(keys, requests=np.repeat(np.arange(len(rows)), [len(row) for row in rows]))
    assert trace.requests is not None
    curve = lru_curve(trace, prefix_rule=True)
    for capacity in range(1, 12):
        outcomes = replay(keys, "lru", capacity, outcomes=True).outcomes or b""
        expected = 1 - strict_hits(outcomes, trace.requests).mean()
        assert curve.miss_ratio(capacity) == pytest.approx(expected)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=3000))
def test_distances_count_the_distinct_keys_since(keys: list[int]) -> None:
    """Long enough to make the tree close its gaps."""
    last: dict[int, int] = {}
    expected = []
    for place, key in enumerate(keys[:300]):
        since = len(set(keys[last[key] : place])) if key in last else np.inf
        expected.append(since)
        last[key] = place
    assert stack_distances(made(keys))[:300].tolist() == expected


def test_distances_stay_right_when_the_tree_closes_its_gaps() -> None:
    keys = np.tile(np.arange(700), 10)
    distances = stack_distances(made(keys))
    assert np.isinf(distances[:700]).all()
    assert (distances[700:] == 700).all()


def test_distances_in_bytes_include_the_entry_itself() -> None:
    trace = made([1, 2, 3, 1], sizes=[10, 20, 30, 10])
    assert stack_distances(trace, in_bytes=True)[3] == 60
    with pytest.raises(SettingError, match="has no sizes"):
        stack_distances(made([1]), in_bytes=True)


def test_a_sample_of_all_keys_is_the_whole() -> None:
    trace = draws(500, 0.8, 20_000)
    exact, sampled = lru_curve(trace), shards_curve(trace, rate=1.0)
    assert sampled.rate == 1.0
    for capacity in (1, 10, 100, 400, 500):
        assert sampled.miss_ratio(capacity) == pytest.approx(exact.miss_ratio(capacity))


@pytest.mark.parametrize("sampling", [{"rate": 0.05}, {"most_keys": 4096}])
@pytest.mark.parametrize("skew", [0.6, 0.9])
def test_a_sample_of_the_keys_gives_nearly_the_curve(
    sampling: dict[str, float], skew: float
) -> None:
    """The stated error: two points on average, for some thousand keys in the sample."""
    trace = draws(80_000, skew, 600_000)
    exact, sampled = lru_curve(trace), shards_curve(trace, **sampling)  # type: ignore[arg-type]
    capacities = np.geomspace(200, 60_000, 20)
    errors = np.subtract(exact.miss_ratios(capacities), sampled.miss_ratios(capacities))  # type: ignore[arg-type]
    assert np.abs(errors).mean() < 0.02
    assert sampled.rate < 0.1


def test_the_rate_falls_until_so_many_keys_fit() -> None:
    curve = shards_curve(made(np.arange(50_000)), most_keys=100)
    assert 50 / 50_000 < curve.rate < 200 / 50_000
    assert curve.miss_ratio(50_000) == pytest.approx(1.0, abs=0.2)


def test_bad_samples_are_refused_with_a_sentence() -> None:
    with pytest.raises(SettingError, match="rate=0: expected a share"):
        shards_curve(made([1]), rate=0)
    with pytest.raises(SettingError, match="most_keys=0: expected 1"):
        shards_curve(made([1]), most_keys=0)


@pytest.mark.parametrize("policy", ["s3fifo", "arc", "lru"])
def test_a_miniature_is_near_the_whole(policy: str) -> None:
    trace = draws(40_000, 0.7, 400_000)
    capacities = [2_000, 8_000, 20_000]
    small = miniature(trace, policy, capacities, rate=0.2)
    for capacity, miss_ratio in zip(capacities, small, strict=True):
        whole = 1 - replay(trace.keys, policy, capacity).hit_ratio
        assert abs(miss_ratio - whole) < 0.03


def test_a_sample_takes_all_accesses_of_a_key_or_none() -> None:
    trace = draws(10_000, 0.5, 50_000)
    chosen = in_sample(trace.keys, 0.1)
    inside, outside = set(trace.keys[chosen].tolist()), set(trace.keys[~chosen].tolist())
    assert not inside & outside
    assert 0.08 < len(inside) / trace.distinct() < 0.12


@pytest.mark.parametrize("skew", [0.0, 0.8, 1.1])
def test_the_analytic_model_is_right_for_independent_draws(skew: float) -> None:
    trace = draws(5_000, skew, 400_000)
    capacities = [50.0, 250.0, 1_000.0, 3_000.0, 5_000.0]
    modelled = che_miss_ratios(trace, capacities)
    measured = lru_curve(trace).miss_ratios(capacities)
    assert np.abs(np.subtract(modelled, measured)).max() < 0.02
    assert modelled[-1] == pytest.approx(trace.distinct() / len(trace))


def test_the_analytic_model_knows_sizes() -> None:
    plain = draws(3_000, 0.8, 200_000)
    sizes = 1 + plain.keys % np.uint64(50)
    trace = made(plain.keys, sizes=sizes)
    capacities = [2_000.0, 10_000.0, 40_000.0]
    modelled = che_miss_ratios(trace, capacities, in_bytes=True)
    for capacity, miss_ratio in zip(capacities, modelled, strict=True):
        found = replay(trace.keys, "lru", int(capacity), sizes=sizes)
        assert abs(1 - found.hit_ratio - miss_ratio) < 0.02


def test_the_analytic_model_is_wrong_where_draws_are_not_independent() -> None:
    loop = made(np.tile(np.arange(100), 50))
    assert lru_curve(loop).miss_ratio(50) == 1.0
    assert che_miss_ratios(loop, [50])[0] < 0.6


def test_a_working_set_counts_what_each_window_touches() -> None:
    keys = np.tile(np.arange(8), 64)
    trace = made(keys, times=np.arange(512.0), sizes=np.full(512, 3))
    windows = {window.accesses: window for window in working_set(trace)}
    assert [windows[length].mean_keys for length in (2, 8, 32, 128, 512)] == [2, 8, 8, 8, 8]
    assert windows[8].most_bytes == 24
    assert windows[8].seconds == pytest.approx(511 * 8 / 512)
    assert working_set(made([1]))[0].mean_keys == 1


def test_a_map_of_reuse_counts_each_reuse_once() -> None:
    found = reuse_map(made([1, 1, 2, 3, 1, 2, 3, 1]))
    assert found.counts.sum() == 5
    assert found.lengths.sum() == 8
    assert found.counts[0].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    assert reuse_map(made([1, 2, 3])).counts.sum() == 0


@pytest.mark.parametrize("name", ["cache2k_web07", "lirs_sprite", "arc_OLTP"])
def test_the_exact_curve_has_the_published_miss_ratios(name: str, require: Require) -> None:
    shared_traces.need()
    curve = lru_curve(read_trace(next(shared_traces.FOLDER.glob(f"{name}.*"))))
    for capacity, miss_ratio in shared_traces.baselines()[name, "lru"]:
        assert abs(curve.miss_ratio(capacity) - miss_ratio) < 1.0001e-6
