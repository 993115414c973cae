"""Belady's optimum against brute force, libcachesim and the published figures."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Require
from tests.simulate import shared_traces

from infercache.policies import POLICIES
from infercache.simulate.optimum import belady
from infercache.simulate.prefixes import begins, deepest_before, strict_hits
from infercache.simulate.readers import read_trace
from infercache.simulate.replay import replay
from infercache.simulate.trace import Trace


@pytest.fixture
def traces(require: Require) -> None:
    shared_traces.need()


def most_hits(keys: list[int], capacity: int, bypass: bool) -> int:
    """Try every choice of victims."""
    states: dict[frozenset[int], int] = {frozenset(): 0}
    for key in keys:
        after: dict[frozenset[int], int] = {}
        for held, hits in states.items():
            if key in held:
                choices = [held]
            else:
                kept = itertools.combinations(held, min(len(held), capacity - 1))
                choices = [frozenset(some) | {key} for some in kept]
                choices += [held] if bypass else []
            gained = hits + (key in held)
            for choice in choices:
                after[choice] = max(after.get(choice, 0), gained)
        states = after
    return max(states.values())


@given(st.lists(st.integers(0, 5), max_size=14), st.integers(1, 4))
def test_no_choice_of_victims_has_more_hits(keys: list[int], capacity: int) -> None:
    assert belady(keys, capacity).hits == most_hits(keys, capacity, bypass=False)


chains = st.lists(st.integers(0, 6), min_size=1, max_size=5)
# Nodes of a small tree: block n is followed by 2n + 1 or 2n + 2, so that ids stand for prefixes.
TREE = ([0], [0, 1], [0, 2], [0, 1, 3], [0, 1, 4], [0, 2, 5], [0, 2, 6])


def most_strict_hits(rows: list[list[int]], capacity: int) -> int:
    """Try every choice of what to keep, counting hits by the prefix rule."""
    states: dict[tuple[frozenset[int], bool], int] = {(frozenset(), True): 0}
    for row in rows:
        states = {(held, True): hits for (held, _), hits in best(states).items()}
        for block in row:
            after: dict[tuple[frozenset[int], bool], int] = {}
            for (held, whole), hits in states.items():
                hit = whole and block in held
                pool = held | {block}
                for size in range(min(capacity, len(pool)) + 1):
                    for some in itertools.combinations(sorted(pool), size):
                        state = frozenset(some), hit
                        after[state] = max(after.get(state, 0), hits + hit)
            states = after
    return max(states.values())


def best(
    states: dict[tuple[frozenset[int], bool], int],
) -> dict[tuple[frozenset[int], bool], int]:
    """Forget whether the last request was whole, keeping the better of two."""
    merged: dict[tuple[frozenset[int], bool], int] = {}
    for (held, _), hits in states.items():
        merged[held, True] = max(merged.get((held, True), 0), hits)
    return merged


@given(chains, st.integers(1, 3))
def test_no_choice_has_more_hits_under_the_prefix_rule(leaves: list[int], capacity: int) -> None:
    rows = [TREE[leaf] for leaf in leaves]
    keys = [block for row in rows for block in row]
    requests = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    found = belady(keys, capacity, prefix_rule=True, outcomes=True)
    assert found.outcomes is not None
    assert strict_hits(found.outcomes, requests).sum() == most_strict_hits(rows, capacity)


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(0, 12))
def test_no_policy_has_more_hits(keys: list[int], capacity: int) -> None:
    optimum = belady(keys, capacity)
    assert optimum.hits == sum(belady(keys, capacity, outcomes=True).outcomes or b"")
    for policy in POLICIES.names():
        assert replay(keys, policy, capacity).hits <= optimum.hits


def test_counts_bytes_savings_and_what_is_too_large() -> None:
    found = belady([1, 2, 1, 3, 1], 30, sizes=[10, 20, 10, 31, 10], costs=[1, 2, 1, 8, 0.5])
    assert (found.hits, found.misses, found.rejected) == (2, 3, 1)
    assert (found.requested_bytes, found.hit_bytes, found.saved_s) == (81, 20, 1.5)
    assert belady([1, 1], 0).hits == 0
    assert belady([], 5).hit_ratio == 0.0


def test_with_sizes_what_is_small_and_soon_stays() -> None:
    keys, sizes = [1, 2, 3, 1, 2, 3], [90, 10, 10, 90, 10, 10]
    assert belady(keys, 100, sizes=sizes).hits == 2


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=60), st.integers(0, 30))
def test_with_sizes_it_beats_lru_on_requests_or_is_near(
    rows: list[tuple[int, int]], capacity: int
) -> None:
    """A heuristic: never far below, though on short traces now and then one or two hits."""
    keys = [key for key, _ in rows]
    sizes = [1 + key % 5 for key in keys]
    hits = belady(keys, capacity, sizes=sizes).hits
    assert hits >= replay(keys, "lru", capacity, sizes=sizes).hits - 2


def test_bad_input_is_refused_with_a_sentence() -> None:
    with pytest.raises(TypeError, match="keys must be one row of integers"):
        belady(np.array([1.5]), 1)
    with pytest.raises(ValueError, match="1 sizes for 2 keys"):
        belady([1, 2], 1, sizes=[1])
    with pytest.raises(ValueError, match="size -4 of request 1 is negative"):
        belady([1, 2], 1, sizes=[1, -4])


def test_hits_count_until_the_first_miss_of_a_request() -> None:
    requests = np.array([0, 0, 0, 3, 3, 7])
    assert strict_hits(bytes([1, 0, 1, 1, 1, 0]), requests).tolist() == [1, 0, 0, 1, 1, 0]
    assert begins(requests).tolist() == [0, 0, 0, 3, 3, 5]
    values = np.array([3.0, 1.0, np.inf, 2.0, 5.0, 0.0])
    assert deepest_before(values, requests).tolist() == [3, 3, np.inf, 2, 5, 0]


@pytest.mark.parametrize("capacity", [1, 40, 700])
def test_agrees_with_libcachesim(capacity: int, tmp_path: Path, require: Require) -> None:
    require.module("libcachesim")
    import libcachesim

    keys = np.random.default_rng(capacity).zipf(1.2, 30_000).astype(np.uint64) % np.uint64(5000)
    keys += np.uint64(1)
    rows = np.zeros(len(keys), dtype="<u4,<u8,<u4,<i8")
    rows["f1"], rows["f2"] = keys, 1
    coming: dict[int, int] = {}
    for place in range(len(keys) - 1, -1, -1):
        rows["f3"][place] = coming.get(int(keys[place]), -1)
        coming[int(keys[place])] = place + 1
    path = tmp_path / "trace.oracleGeneral.bin"
    rows.tofile(path)
    reader = libcachesim.TraceReader(
        trace=str(path), trace_type=libcachesim.TraceType.ORACLE_GENERAL_TRACE
    )
    missed = libcachesim.Belady(cache_size=capacity).process_trace(reader)[0]
    trace = read_trace(path)
    assert np.array_equal(trace.keys, keys)
    assert belady(trace.keys, capacity).misses == round(missed * len(keys))


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize("name", shared_traces.NAMES)
def test_has_the_published_miss_ratios_of_the_optimum(name: str) -> None:
    """Whole traces at four sizes, against figures measured with libcachesim."""
    keys = shared_traces.load(name)
    for capacity, miss_ratio in shared_traces.baselines()[name, "belady"]:
        found = belady(keys, capacity)
        assert abs(found.misses / found.requests - miss_ratio) < 1.0001e-6


@functools.lru_cache(1)
def conversation() -> Trace:
    return read_trace(shared_traces.FOLDER / "mooncake_conversation.jsonl.zst")


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [("lru", (0.948, 0.805, 0.722, 0.647)), ("belady", (0.754, 0.634, 0.634, 0.634))],
)
def test_has_the_published_miss_ratios_under_the_prefix_rule(
    policy: str, expected: tuple[float, ...]
) -> None:
    trace = conversation()
    assert trace.requests is not None
    for share, miss_ratio in zip((0.01, 0.05, 0.1, 0.25), expected, strict=True):
        capacity = int(trace.distinct() * share)
        if policy == "belady":
            found = belady(trace.keys, capacity, prefix_rule=True, outcomes=True)
        else:
            found = replay(trace.keys, policy, capacity, outcomes=True)
        hits = strict_hits(found.outcomes or b"", trace.requests)
        assert abs(1 - hits.mean() - miss_ratio) <= 0.0005
