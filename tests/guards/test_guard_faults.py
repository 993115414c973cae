"""A lookup that fails costs nobody a value."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from infercache.errors import InfercacheWarning
from infercache.events import Event
from infercache.guards.base import Terms
from infercache.guards.engine import Guard
from infercache.key import Key
from infercache.testing.lookups import DictLookup

MakeKey = Callable[[int], Key]


@pytest.mark.parametrize(
    ("method", "counter"),
    [("find_many", "find_failed"), ("lease", "keep_failed"), ("keep_many", "keep_failed")],
)
def test_value_is_computed_and_served_whatever_fails(
    guard: Guard,
    lookup: DictLookup,
    make_key: MakeKey,
    told: list[Event],
    method: str,
    counter: str,
) -> None:
    lookup.failing = {method}

    def serve() -> None:
        for number in range(3):
            assert guard.get_or_compute(make_key(number), lambda: "value", Terms()) == "value"

    with pytest.warns(InfercacheWarning, match="injected fault") as warned:
        serve()
    assert len(warned) == 1
    assert guard.counts()[counter] >= 3
    assert [event.kind for event in told if "injected fault" in event.detail]
    assert guard.check() == []


async def test_tasks_too(guard: Guard, lookup: DictLookup, make_key: MakeKey) -> None:
    lookup.failing = {"find_many", "keep_many"}

    async def compute() -> str:
        return "value"

    with pytest.warns(InfercacheWarning, match="injected fault"):
        assert await guard.aget_or_compute(make_key(1), compute, Terms()) == "value"


def test_lease_is_given_back_if_the_computation_raises(
    guard: Guard, lookup: DictLookup, make_key: MakeKey
) -> None:
    with pytest.raises(ZeroDivisionError):
        guard.get_or_compute(make_key(1), lambda: 1 // 0, Terms())
    assert lookup.calls[-2:] == ["lease", "abandon"]


def test_lease_is_taken_before_the_computation_reads_anything(
    guard: Guard, lookup: DictLookup, make_key: MakeKey
) -> None:
    guard.get_or_compute(make_key(1), lambda: lookup.calls.append("compute"), Terms())
    assert lookup.calls == ["find_many", "lease", "compute", "keep_many"]


def test_keep_if_that_raises_is_an_error_of_the_caller_and_keeps_nothing(
    guard: Guard, lookup: DictLookup, make_key: MakeKey
) -> None:
    with pytest.raises(TypeError):
        guard.get_or_compute(make_key(1), lambda: "text", Terms(keep_if=lambda v: v > 1))
    assert lookup.entries == {}
    assert guard.check() == []
