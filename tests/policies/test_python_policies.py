"""Policies written in Python: what they see, what they may do, and what happens if they fail."""

from __future__ import annotations

import gc
import random
import sys
import threading
import traceback
import weakref
from collections.abc import Iterator

import pytest

from infercache._core import Table
from infercache.errors import SettingError
from infercache.policies import POLICIES
from infercache.policies.base import Policy
from infercache.policies.registry import resolve
from infercache.testing.policy_kit import key_of

Key = bytes | int


class Newest(Policy):
    """Evicts the newest (LIFO), and writes down what it is told."""

    def __init__(self) -> None:
        self.order: list[Key] = []
        self.told: list[tuple[str, Key]] = []

    def on_insert(self, key: Key, size_bytes: int, cost_s: float) -> None:
        self.told.append(("insert", key))
        self.order.append(key)

    def on_hit(self, key: Key) -> None:
        self.told.append(("hit", key))

    def on_remove(self, key: Key) -> None:
        self.told.append(("remove", key))
        self.order.remove(key)

    def victims(self) -> list[Key]:
        return self.order[::-1]


def test_a_policy_is_given_as_class_instance_or_registered_name() -> None:
    name = "newest-of-this-test"
    POLICIES.register(name, Newest)
    for given in (Newest, Newest(), name):
        table = Table(None, 3, given)
        for number in range(5):
            table.put(key_of(number), number)
        assert sorted(table) == [key_of(0), key_of(1), key_of(4)]
        assert table.stats()["policy"] == "Newest"
    assert name in POLICIES.names()
    with pytest.raises(SettingError, match="registered already"):
        POLICIES.register(name, Policy)


def test_native_names_resolve_to_themselves() -> None:
    assert resolve("lru") == "lru"
    with pytest.raises(SettingError, match="give a name"):
        resolve(object())


def test_a_policy_is_told_of_everything_once() -> None:
    policy = Newest()
    table = Table(None, 2, policy)
    a, b, c = key_of(1), key_of(2), key_of(3)
    table.put(a, 1)
    table.get(a)
    table.put(b, 2)
    table.put(c, 3)
    table.put(a, 4)
    table.put(a, 5, 7)
    table.touch(c)
    table.remove(c)
    assert policy.told == [
        *[("insert", a), ("hit", a), ("insert", b), ("remove", b), ("insert", c)],
        *[("hit", a), ("remove", a), ("insert", a), ("hit", a), ("hit", c), ("remove", c)],
    ]


def test_a_chosen_entry_is_removed_only_when_it_is_forgotten() -> None:
    policy = Newest()
    table = Table(None, 3, policy)
    for number in range(3):
        table.put(key_of(number), number)
    chosen = table.victims(2)
    assert chosen == [key_of(2), key_of(1)]
    assert ("remove", key_of(2)) not in policy.told
    table.keep(chosen[:1])
    table.forget(chosen)
    assert policy.order == [key_of(0), key_of(2)]


class Failing(Newest):
    """Raises in one of its methods, once it is told to."""

    where = ""

    def fail(self, where: str) -> None:
        if where == self.where:
            raise ZeroDivisionError(where)

    def on_insert(self, key: Key, size_bytes: int, cost_s: float) -> None:
        super().on_insert(key, size_bytes, cost_s)
        self.fail("on_insert")

    def on_hit(self, key: Key) -> None:
        self.fail("on_hit")

    def on_remove(self, key: Key) -> None:
        super().on_remove(key)
        self.fail("on_remove")

    def victims(self) -> list[Key]:
        self.fail("victims")
        return super().victims()


@pytest.mark.parametrize("where", ["on_insert", "on_hit", "on_remove", "victims"])
def test_what_a_policy_raises_reaches_the_caller_with_its_traceback(where: str) -> None:
    policy = Failing()
    table = Table(4, None, policy)
    for number in range(4):
        table.put(key_of(number), number)
    policy.where = where
    with pytest.raises(ZeroDivisionError, match=where) as caught:
        table.get(key_of(0)) if where == "on_hit" else table.put(key_of(9), 9)
    assert "self.fail(" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert table.check() == []
    assert key_of(9) not in table
    policy.where = ""
    assert table.put(key_of(8), 8)
    assert table.get(key_of(8)) == 8
    assert table.check() == []


def test_a_failed_replacement_leaves_no_old_value() -> None:
    policy = Failing()
    table = Table(4, None, policy)
    table.put(key_of(1), "old", 2)
    table.put(key_of(2), "other", 2)
    policy.where = "victims"
    with pytest.raises(ZeroDivisionError):
        table.put(key_of(1), "new", 3)
    assert list(table) == [key_of(2)]
    assert table.check() == []


def test_choosing_that_fails_chooses_nothing() -> None:
    policy = Failing()
    table = Table(4, None, policy)
    for number in range(4):
        table.put(key_of(number), number)
    policy.where = "victims"
    with pytest.raises(ZeroDivisionError):
        table.choose(3)
    with pytest.raises(ZeroDivisionError):
        table.resize(2)
    assert table.stats()["held_entries"] == 0
    assert table.stats()["bytes"] <= table.stats()["capacity_bytes"]
    assert table.check() == []


def test_a_policy_that_names_no_victim_is_found_out() -> None:
    class Idle(Newest):
        def victims(self) -> list[Key]:
            return []

    table = Table(None, 1, Idle)
    table.put(key_of(1), 1)
    with pytest.raises(RuntimeError, match="policy Idle named no entry to evict"):
        table.put(key_of(2), 2)
    assert list(table) == [key_of(1)]
    assert table.check() == []


def test_a_policy_that_names_a_stranger_is_found_out() -> None:
    class Confused(Newest):
        def victims(self) -> list[Key]:
            return [key_of(77)]

    table = Table(None, 1, Confused)
    table.put(key_of(1), 1)
    with pytest.raises(KeyError, match="which is not in the table"):
        table.put(key_of(2), 2)
    assert table.check() == []


def test_a_policy_that_calls_its_table_is_refused_not_stuck() -> None:
    class Meddling(Newest):
        table: Table

        def on_hit(self, key: Key) -> None:
            self.table.remove(key_of(1))

    policy = Meddling()
    policy.table = Table(None, 3, policy)
    policy.table.put(key_of(1), 1)
    with pytest.raises(RuntimeError, match="a policy only decides"):
        policy.table.get(key_of(1))
    assert policy.table.check() == []


def test_the_garbage_collector_leaves_a_running_policy_alone_in_its_table() -> None:
    class Collecting(Newest):
        table: Table

        def on_hit(self, key: Key) -> None:
            gc.collect()
            self.table.remove(key_of(1))

    policy = Collecting()
    policy.table = Table(None, 3, policy)
    policy.table.put(key_of(1), 1)
    with pytest.raises(RuntimeError, match="a policy only decides"):
        policy.table.get(key_of(1))
    assert policy.table.check() == []


def test_a_table_and_its_policy_are_collected_together() -> None:
    class Owning(Newest):
        table: Table

    policy = Owning()
    policy.table = Table(None, 3, policy)
    ghost = weakref.ref(policy)
    del policy
    gc.collect()
    assert ghost() is None


@pytest.fixture
def often_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("often_switching")
def test_threads_wait_for_each_other() -> None:
    table = Table(None, 20, Newest)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        dice = random.Random(seed)
        try:
            for _ in range(300):
                key = key_of(dice.randrange(60))
                table.put(key, key)
                assert table.get(key) in (key, None)
                table.remove(key_of(dice.randrange(60)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert table.check() == []
