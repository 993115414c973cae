"""No foreign code runs inside the table: destructors, threads and the collector may come in."""

from __future__ import annotations

import gc
import random
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infercache._core import Table
from infercache.policies import POLICIES
from infercache.testing.policy_kit import key_of


class Reentrant:
    """Uses the table when it dies."""

    def __init__(self, table: Table, number: int) -> None:
        self.table, self.number = table, number

    def __del__(self) -> None:
        table, number = self.table, self.number
        table.get(key_of(number + 1))
        table.put(key_of(1000 + number), number)
        table.remove(key_of(2000 + number))
        faults = table.check()
        if faults:
            raise AssertionError(faults)


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was raised in a destructor."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    return seen


@pytest.mark.parametrize("policy", POLICIES.names())
def test_destructors_may_use_the_table(policy: str, unraisable: list[Any]) -> None:
    table = Table(None, 20, policy)
    for number in range(200):
        table.put(key_of(number), Reentrant(table, number))
    table.put(key_of(5), Reentrant(table, 5))
    table.put(key_of(5), Reentrant(table, 6))
    table.remove(key_of(5))
    table.resize(None, 7)
    table.forget(table.victims(3))
    table.remove_where()
    while len(table):
        table.clear()
    assert table.check() == []
    assert unraisable == []


def test_expired_values_die_outside_the_table(unraisable: list[Any]) -> None:
    table = Table()
    uses: list[Callable[[bytes], object]] = [table.get, table.read, table.touch, table.pin]
    for number, use in enumerate(uses):
        table.put(key_of(number), Reentrant(table, number), expires_at=1.0)
        use(key_of(number))
    table.put(key_of(9), Reentrant(table, 9), expires_at=1.0)
    assert key_of(9) in table.sweep()
    assert unraisable == []
    assert table.check() == []


class Node:
    """Something that can be in a cycle."""

    table: Table


def test_a_cycle_through_a_table_is_collected() -> None:
    node = Node()
    node.table = Table()
    node.table.put(key_of(1), node)
    ghost = weakref.ref(node)
    table_ghost = weakref.ref(node.table)
    del node
    gc.collect()
    assert ghost() is None
    assert table_ghost() is None


def test_a_cycle_through_the_clock_is_collected() -> None:
    class Clock(Node):
        def now(self) -> float:
            return 0.0

    clock = Clock()
    clock.table = Table(clock=clock.now)
    ghost = weakref.ref(clock)
    del clock
    gc.collect()
    assert ghost() is None


def test_values_are_released_with_the_table() -> None:
    nodes = [Node() for _ in range(10)]
    ghosts = [weakref.ref(node) for node in nodes]
    table = Table()
    for number, node in enumerate(nodes):
        table.put(key_of(number), node, tags=("a",))
    del nodes, node
    assert all(ghost() is not None for ghost in ghosts)
    del table
    assert all(ghost() is None for ghost in ghosts)


def test_no_reference_is_lost_or_kept() -> None:
    value, tag = object(), "a tag that nobody else holds".upper()
    tags = (tag,)
    counts = sys.getrefcount(value), sys.getrefcount(tags), sys.getrefcount(tag)
    table = Table(None, 3, "lru")
    for number in range(50):
        table.put(key_of(number), value, tags=tags)
        table.put(key_of(number), value, tags=tags)
        table.get(key_of(number), value)
        table.get(key_of(number + 1), value)
        table.get_many([key_of(number), key_of(99)], value)
        table.read(key_of(number))
        table.peek(key_of(number))
        table.entries()
    assert sys.getrefcount(value) == counts[0] + 3
    table.clear()
    assert (sys.getrefcount(value), sys.getrefcount(tags), sys.getrefcount(tag)) == counts


@pytest.fixture
def often_switching() -> Iterator[None]:
    """Threads that interrupt each other as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def hammer(table: Table, seed: int, failures: list[BaseException]) -> None:
    """Do everything at random; a value must be the key that it was put under."""
    dice = random.Random(seed)
    try:
        for _ in range(1500):
            key = key_of(dice.randrange(80))
            action = dice.randrange(12)
            if action < 4:
                value = table.get(key)
                assert value is None or value[0] == key
            elif action < 8:
                table.put(key, [key], dice.randint(1, 5))
            elif action == 8:
                table.remove(key)
            elif action == 9:
                chosen = table.choose(dice.randint(1, 20)) or []
                (table.forget if dice.random() < 0.5 else table.keep)(chosen)
            elif action == 10 and table.pin(key):
                table.unpin(key)
            else:
                assert all(value is None or value[0] for value in table.get_many([key, key_of(1)]))
    except BaseException as error:
        failures.append(error)


@pytest.mark.usefixtures("often_switching")
@pytest.mark.parametrize("policy", POLICIES.names())
def test_many_threads_keep_the_accounts(policy: str) -> None:
    table = Table(100, None, policy)
    failures: list[BaseException] = []
    threads = [threading.Thread(target=hammer, args=(table, seed, failures)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert table.check() == []
    assert table.stats()["held_entries"] == 0
    assert table.stats()["bytes"] <= 100
