"""Contests, what can be foreseen, and the size that is advised."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Require
from tests.simulate import shared_traces

from infercache.errors import SettingError
from infercache.simulate.advice import Advice, Prices, advise
from infercache.simulate.capacities import Capacity, parse_capacity
from infercache.simulate.contest import compete
from infercache.simulate.curves import lru_curve, stack_distances
from infercache.simulate.optimum import belady
from infercache.simulate.predictability import Predictability, predictability
from infercache.simulate.readers import read_trace
from infercache.simulate.replay import replay
from infercache.simulate.trace import Trace

RANDOM = np.random.default_rng(5)


def made(keys: object, sizes: object = None, costs: object = None, times: object = None) -> Trace:
    return Trace(
        "made",
        "test",
        np.array(keys, dtype=np.uint64),
        None if times is None else np.array(times, dtype=np.float64),
        None if sizes is None else np.array(sizes, dtype=np.uint64),
        None if costs is None else np.array(costs, dtype=np.float64),
    )


def zipf(keys: int = 3_000, count: int = 60_000, skew: float = 0.9) -> Trace:
    weights = 1 / np.arange(1, keys + 1) ** skew
    return made(RANDOM.choice(keys, count, p=weights / weights.sum()))


def judged(trace: Trace) -> Predictability:
    return predictability(trace, lru_curve(trace), stack_distances(trace))


@pytest.mark.parametrize(
    ("text", "in_bytes", "amount"),
    [("1%", False, 10), ("0.01%", False, 1), ("1_000", False, 1000), ("2KB", True, 2000)],
)
def test_capacities_are_shares_entries_or_bytes(text: str, in_bytes: bool, amount: int) -> None:
    found = parse_capacity(text, 1000, in_bytes=in_bytes)
    assert (found.amount, found.share) == (amount, found.share)
    assert found.label


@pytest.mark.parametrize("text", ["0%", "-1%", "101%", "x%", "nan%", "many", "0", "5GB", "", "-3"])
def test_bad_capacities_are_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(SettingError, match="write a share of the trace's footprint"):
        parse_capacity(text, 1000)


def test_bad_capacities_in_bytes_are_refused_with_a_sentence() -> None:
    with pytest.raises(SettingError, match="capacity='12XB' is not a size"):
        parse_capacity("12XB", 1000, in_bytes=True)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=100), st.integers(1, 12))
def test_a_contest_counts_as_replay_does(keys: list[int], amount: int) -> None:
    size = Capacity(amount, 0.5, "some")
    contest = compete(made(keys), ["arc", "lru"], [size])
    assert contest.policies() == ["lru", "arc", "belady"]
    for policy in ("lru", "arc"):
        cell = contest.cell(policy, size)
        assert cell.hits == replay(keys, policy, amount).hits
        assert cell.miss_ratio == 1 - cell.hits / len(keys)
    lru, arc, best = (contest.cell(name, size) for name in contest.policies())
    assert best.hits == belady(keys, amount).hits
    gap = contest.gap_closed(arc)
    if best.hits == lru.hits:
        assert gap is None
    else:
        assert gap == (lru.miss_ratio - arc.miss_ratio) / (lru.miss_ratio - best.miss_ratio) or (
            gap == pytest.approx((arc.hits - lru.hits) / (best.hits - lru.hits))
        )


def test_a_contest_counts_bytes_savings_and_time() -> None:
    trace = made([1, 2, 1, 3], sizes=[10, 20, 10, 5], costs=[0.5, 1, 0.5, 2])
    done = []
    contest = compete(
        trace, [], [Capacity(40, 1, "all")], in_bytes=True, done=lambda: done.append(1)
    )
    cell = contest.cell("lru", contest.capacities()[0])
    assert (cell.requested_bytes, cell.hit_bytes, cell.saved_s) == (45, 10, 0.5)
    assert cell.byte_miss_ratio == 35 / 45
    assert cell.timeline == (1.0, 1.0, 0.0, 1.0)
    assert len(done) == 2


def test_a_contest_refuses_what_the_trace_cannot_answer() -> None:
    size = [Capacity(1, 1, "one")]
    with pytest.raises(SettingError, match="does not say which accesses make a request"):
        compete(made([1]), [], size, prefix_rule=True)
    with pytest.raises(SettingError, match=r"--bytes: made \(test\) has no sizes"):
        compete(made([1]), [], size, in_bytes=True)
    with pytest.raises(SettingError, match="did you mean 'arc'"):
        compete(made([1]), ["ark"], size)


def test_unpredictable_and_predictable_traces_are_told_apart() -> None:
    scan = judged(made(np.arange(5_000)))
    loop = judged(made(np.tile(np.arange(400), 30)))
    uniform = judged(made(RANDOM.integers(0, 1_000, 50_000)))
    independent = judged(zipf())
    drifting = judged(made(np.arange(60_000) // 60 * 7 + RANDOM.integers(0, 60, 60_000)))
    verdicts = [one.sentences()[0] for one in (scan, loop, uniform, independent, drifting)]
    beginnings = ["a pure scan", "a loop", "uniform draws", "independent draws", "recency tells"]
    assert [
        said.startswith(beginning) for said, beginning in zip(verdicts, beginnings, strict=True)
    ] == [True] * 5, verdicts


def test_regular_and_bursty_keys_are_told() -> None:
    regular = judged(made(np.tile(np.arange(400), 30)))
    assert regular.irregularity == 0
    assert "regular intervals" in regular.sentences()[-1]
    bursts = judged(made(np.repeat(np.tile(RANDOM.permutation(500), 5), 6)))
    assert "bursts" in bursts.sentences()[-1]
    assert 0.7 < judged(zipf()).irregularity < 1.3
    assert judged(made([1, 2, 3])).irregularity == 1.0


def test_one_key_only_and_one_access_only_are_judged() -> None:
    for trace in (made([1] * 100), made([1])):
        assert judged(trace).sentences()
        assert advise(trace).recommended.capacity == 1


def test_the_advised_size_is_where_the_curve_flattens() -> None:
    hot, cold = RANDOM.integers(0, 100, 40_000), RANDOM.integers(1_000, 100_000, 40_000)
    keys = np.where(RANDOM.random(40_000) < 0.9, hot, cold)
    advice = advise(made(keys))
    assert 50 < advice.recommended.capacity < 600
    assert advice.recommended.miss_ratio < 0.2
    json.dumps(advice.as_dict())


def test_the_advised_policy_is_the_best_in_miniature() -> None:
    steps: list[int] = []
    advice = advise(
        made(np.tile(np.arange(1_000), 20)),
        policies=["fifo", "lfu", "wtinylfu"],
        done=lambda: steps.append(1),
    )
    misses = [one.miss_ratio for one in advice.policies]
    assert misses == sorted(misses)
    assert {one.policy for one in advice.policies} == {"lru", "fifo", "lfu", "wtinylfu"}
    assert advice.optimum <= misses[0]


def priced(**prices: float) -> Advice:
    trace = zipf(2_000, 30_000)
    timed = made(trace.keys, sizes=np.full(30_000, 1_000_000), times=np.arange(30_000.0))
    return advise(timed, in_bytes=True, prices=Prices(**prices))  # type: ignore[arg-type]


def test_prices_weigh_memory_against_misses() -> None:
    cheap = priced(gigabyte_hour=0.001, miss=0.01)
    dear = priced(gigabyte_hour=5.0, miss=0.01)
    assert dear.recommended.capacity < cheap.recommended.capacity
    best = cheap.recommended
    hits_an_hour = 3600 * (1 - best.miss_ratio)
    assert best.net == pytest.approx(hits_an_hour * 0.01 - best.capacity / 1e9 * 0.001, rel=1e-3)
    assert best.net == max(point.net or 0 for point in cheap.points)
    assert "no cache pays" in priced(gigabyte_hour=1e9, miss=1e-9).reason


def test_prices_need_times_and_sizes() -> None:
    with pytest.raises(SettingError, match="say how many accesses there are in a second"):
        advise(made([1, 2, 1]), prices=Prices(1, 1, 100))
    with pytest.raises(SettingError, match="say with --entry-size how large"):
        advise(made([1, 2, 1]), prices=Prices(1, 1, None, 5))
    with_both = advise(made([1, 2, 1]), prices=Prices(1, 1, 100, 5))
    assert with_both.recommended.net is not None


def test_gains_never_rise_with_the_size() -> None:
    gains = [point.gain for point in advise(zipf()).points]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] == 0


def test_the_conversation_trace_is_advised_by_the_prefix_rule(require: Require) -> None:
    require.that(shared_traces.present(), "the folder of public traces", shared_traces.HOW)
    trace = read_trace(shared_traces.FOLDER / "mooncake_conversation.jsonl.zst")
    advice = advise(trace, prefix_rule=True, policies=["arc"])
    assert advice.rate == 1.0
    assert abs(advice.optimum - 0.634) < 0.001
    assert advice.predictability.first_uses == pytest.approx(182_790 / 288_500)
    assert advice.predictability.used_once > 0.7
