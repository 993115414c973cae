"""Every native policy decides, step by step, as a slow and obvious model of it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.policies.models.arc import Arc, PaperArc
from tests.policies.models.base import Model
from tests.policies.models.queues import Fifo, Lru, Sieve
from tests.policies.models.s3fifo import S3Fifo
from tests.policies.models.scores import Gdsf, Lfu
from tests.policies.models.wtinylfu import WTinyLfu

from infercache._core import Table
from infercache.policies import POLICIES
from infercache.policies.registry import NativePolicy
from infercache.simulate.replay import replay
from infercache.testing.policy_kit import key_of

MODELS: dict[str, type[Model]] = {
    "arc": Arc,
    "fifo": Fifo,
    "gdsf": Gdsf,
    "lfu": Lfu,
    "lru": Lru,
    "s3fifo": S3Fifo,
    "sieve": Sieve,
    "wtinylfu": WTinyLfu,
}


def test_every_native_policy_has_a_model() -> None:
    native = {name for name in POLICIES.names() if isinstance(POLICIES.load(name), NativePolicy)}
    assert native == set(MODELS)


def follow(policy: str, model: Model, steps: int, seed: int, largest: int = 1) -> None:
    """Do the same random work in a table and in a model, and compare after every step."""
    dice = random.Random(seed)
    table = Table(model.capacity, None, policy)
    keys = max(4, model.capacity * 3 // (1 + largest // 2))
    for step in range(steps):
        offset = keys * (step * 3 // steps)  # the working set moves on, twice
        key = offset // 2 + min(dice.randrange(keys), dice.randrange(keys))
        if dice.random() < 0.03:
            model.remove(key)
            table.remove(key_of(key))
        elif not model.get(key):
            assert table.get(key_of(key)) is None
            size, cost = dice.randint(1, largest), dice.choice([0.0, 1.0, 0.25, 3.0])
            model.put(key, size, cost)
            table.put(key_of(key), key, size, cost)
        else:
            assert table.get(key_of(key)) == key
        assert {int.from_bytes(key, "little") for key in table} == set(model.sizes), f"{step=}"
    assert table.check() == []


@pytest.mark.parametrize("capacity", [1, 2, 7, 40])
@pytest.mark.parametrize("policy", sorted(MODELS))
def test_decides_as_its_model_with_unit_sizes(policy: str, capacity: int) -> None:
    follow(policy, MODELS[policy](capacity), 1500, seed=capacity)


@pytest.mark.parametrize("capacity", [5, 30, 100])
@pytest.mark.parametrize("policy", sorted(MODELS))
def test_decides_as_its_model_with_unequal_sizes(policy: str, capacity: int) -> None:
    follow(policy, MODELS[policy](capacity), 1000, seed=capacity, largest=9)


@pytest.mark.parametrize("policy", sorted(MODELS))
@settings(max_examples=40, deadline=None)
@given(
    capacity=st.integers(1, 12),
    requests=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 4)), max_size=120),
)
def test_replay_decides_as_the_model(
    policy: str, capacity: int, requests: list[tuple[int, int]]
) -> None:
    """With sizes; an entry keeps the size that it came in with."""
    model = MODELS[policy](capacity)
    hits = []
    for key, size in requests:
        hits.append(model.get(key))
        if not hits[-1]:
            model.put(key, size)
    keys, sizes = [key for key, _ in requests], [size for _, size in requests]
    assert replay(keys, policy, capacity, sizes=sizes, outcomes=True).outcomes == bytes(hits)


@pytest.mark.parametrize("capacity", [1, 3, 25])
def test_arc_decides_as_figure_4_of_the_paper(capacity: int) -> None:
    """Without removals, trimming the ghosts late gives the same lists."""
    dice = np.random.default_rng(capacity)
    keys = np.concatenate(
        [dice.zipf(1.2, 2000) % (capacity * 6), np.arange(capacity * 4), dice.integers(0, 90, 2000)]
    ).astype(np.uint64)
    paper = PaperArc(capacity)
    hits = []
    for key in keys.tolist():
        hits.append(paper.get(key))
        if not hits[-1]:
            paper.put(key)
    assert replay(keys, "arc", capacity, outcomes=True).outcomes == bytes(hits)


@pytest.mark.parametrize("policy", sorted(MODELS))
def test_the_table_and_replay_give_the_same_hits(policy: str) -> None:
    """One implementation: what a replay says is what the live cache will do."""
    keys = np.random.default_rng(5).zipf(1.1, 6000).astype(np.uint64) % np.uint64(700)
    table = Table(None, 60, policy)
    hits = []
    for key in keys.tolist():
        hits.append(table.get(key_of(key)) is not None)
        if not hits[-1]:
            table.put(key_of(key), key)
    assert replay(keys, policy, 60, outcomes=True).outcomes == bytes(hits)
