"""FIFO, LRU and SIEVE agree with libcachesim hit for hit, and others in their miss ratios."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from tests.conftest import Require
from tests.simulate import shared_traces
from tests.simulate.shared_traces import Keys

from infercache.simulate.replay import replay

EXACT = {"fifo": "FIFO", "lru": "LRU", "sieve": "Sieve"}


@pytest.fixture
def peer(require: Require) -> None:
    require.module("libcachesim")


@pytest.fixture
def traces(require: Require) -> None:
    shared_traces.need()


@functools.lru_cache(2)
def trace(name: str) -> Keys:
    return shared_traces.load(name)


def hits_of_libcachesim(policy: str, keys: Keys, capacity: int) -> bytes:
    import libcachesim

    cache = getattr(libcachesim, EXACT[policy])(cache_size=capacity)
    request = libcachesim.Request()
    request.obj_size = 1
    hits = bytearray()
    for key in keys.tolist():
        request.obj_id = key
        hits.append(cache.get(request))
    return bytes(hits)


def agree(policy: str, keys: Keys, capacity: int) -> None:
    ours = replay(keys, policy, capacity, outcomes=True).outcomes
    theirs = hits_of_libcachesim(policy, keys, capacity)
    assert ours is not None
    different = np.flatnonzero(np.frombuffer(ours, "u1") != np.frombuffer(theirs, "u1"))
    assert not different.size, f"{different.size} differ, the first is request {different[0]}"


@pytest.mark.usefixtures("peer")
@pytest.mark.parametrize("policy", EXACT)
@pytest.mark.parametrize(("skew", "capacity"), [(1.01, 50), (1.1, 700), (1.3, 20), (1.6, 3)])
def test_agrees_hit_for_hit_on_zipf(policy: str, skew: float, capacity: int) -> None:
    keys = np.random.default_rng(capacity).zipf(skew, 30_000).astype(np.uint64) % np.uint64(5000)
    agree(policy, keys, capacity)


@pytest.mark.usefixtures("peer", "traces")
@pytest.mark.parametrize("name", shared_traces.NAMES)
@pytest.mark.parametrize("policy", EXACT)
def test_agrees_hit_for_hit_on_the_start_of_a_trace(name: str, policy: str) -> None:
    keys = trace(name)[:60_000]
    agree(policy, keys, max(2, len(np.unique(keys)) // 20))


@pytest.mark.drill
@pytest.mark.usefixtures("peer", "traces")
@pytest.mark.parametrize("name", shared_traces.NAMES)
@pytest.mark.parametrize("policy", EXACT)
@pytest.mark.timeout(1200)
def test_agrees_hit_for_hit_on_whole_traces(name: str, policy: str) -> None:
    for capacity, _ in shared_traces.baselines()[name, policy]:
        agree(policy, trace(name), capacity)


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize("name", shared_traces.NAMES)
@pytest.mark.parametrize("policy", [*EXACT, "arc", "lfu"])
def test_has_the_published_miss_ratios(name: str, policy: str) -> None:
    """Whole traces at four sizes, against figures measured with libcachesim."""
    keys = trace(name)
    for capacity, miss_ratio in shared_traces.baselines()[name, policy]:
        ours = replay(keys, policy, capacity)
        exact = policy in EXACT or name != "mooncake_conversation"
        allowed = 1.0001e-6 if exact else 2e-4
        assert abs(ours.misses / ours.requests - miss_ratio) < allowed


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize("name", ["arc_OLTP", "cache2k_web07", "lirs_sprite"])
@pytest.mark.parametrize("policy", ["s3fifo", "gdsf"])
def test_is_near_the_published_miss_ratios_where_details_are_open(name: str, policy: str) -> None:
    """Ghost sizes and ties are read differently; no more than half a point comes of it."""
    for capacity, miss_ratio in shared_traces.baselines()[name, policy]:
        assert abs(1 - replay(trace(name), policy, capacity).hit_ratio - miss_ratio) < 0.005
