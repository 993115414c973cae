"""The table's promises, one by one."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from infercache._core import Table
from infercache.clock import ManualClock
from infercache.errors import SettingError
from infercache.testing.policy_kit import key_of

A, B, C = key_of(1), key_of(2), key_of(3)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def table(clock: ManualClock) -> Table:
    return Table(100, None, "lru", clock=clock.now)


def test_a_missing_key_gives_the_default(table: Table) -> None:
    assert table.get(A) is None
    assert table.get(A, 7) == 7
    assert table.get_many([A, B], 0) == [0, 0]
    assert table.read(A) is None
    assert table.peek(A) is None
    assert table.stats()["misses"] == 5
    assert table.stats()["hits"] == 0


def test_values_come_back_by_reference(table: Table) -> None:
    value: list[int] = []
    table.put(A, value)
    table.put(B, None)
    assert table.get(A) is value
    assert table.get(B, "default") is None
    assert table.get_many([B, A]) == [None, value]


def test_every_term_comes_back(table: Table, clock: ManualClock) -> None:
    now = clock.now()
    terms = (17, 0.25, 2**40, now - 1, now + 10, now + 20)
    assert table.put(A, "v", *terms, 9, ("x", "y"))
    assert table.read(A) == (0, "v", *terms, ("x", "y"))
    assert table.peek(A) == (0, "v", *terms, ("x", "y"), 9)
    assert table.entries() == [(A, *terms, 9, ("x", "y"))]


def test_put_takes_its_arguments_by_name(table: Table) -> None:
    table.put(A, "v", tags=("t",), size=5, group=3, cost=2, version=4, expires_at=9e9)
    assert table.peek(A) == (0, "v", 5, 2.0, 4, 0.0, 9e9, 9e9, ("t",), 3)
    table.put(key=B, value=1)
    assert table.peek(B) == (0, 1, 1, 0.0, 0, 0.0, math.inf, math.inf, (), 0)


@pytest.mark.parametrize(
    ("arguments", "names", "error"),
    [
        ((A,), {}, TypeError),
        ((), {"key": A}, TypeError),
        ((A, 1), {"value": 2}, TypeError),
        ((A, 1), {"colour": 2}, TypeError),
        ((A, 1, "big"), {}, TypeError),
        ((A, 1, -1), {}, OverflowError),
        ((A, 1, 1, -0.5), {}, ValueError),
        ((A, 1, 1, math.nan), {}, ValueError),
        ((A, 1, 1, math.inf), {}, ValueError),
        ((A, 1, 1, 0.0, 0, 0.0, math.nan), {}, ValueError),
        ((A, 1, 1, 0.0, 0, 0.0, 1.0, math.nan), {}, ValueError),
        ((A, 1), {"tags": ["x"]}, TypeError),
        ((A, 1), {"tags": (1,)}, TypeError),
        ((A, 1), {"group": -1}, OverflowError),
        ((A, 1), {"group": 2**32}, (OverflowError, ValueError)),
        (tuple(range(11)), {}, TypeError),
        (("1234567890123456", 1), {}, TypeError),
        ((bytearray(16), 1), {}, TypeError),
        ((b"short", 1), {}, ValueError),
        ((b"x" * 17, 1), {}, ValueError),
    ],
)
def test_bad_arguments_change_nothing(
    table: Table, arguments: tuple[Any, ...], names: dict[str, Any], error: Any
) -> None:
    table.put(A, "old")
    with pytest.raises(error):
        table.put(*arguments, **names)
    assert table.get(A) == "old"
    assert table.check() == []


def test_a_wrong_key_is_told_what_a_key_is(table: Table) -> None:
    with pytest.raises(TypeError, match="a table's key is 16 bytes, not str"):
        table.get("text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a table's key is 16 bytes, not 3"):
        table.get(b"abc")
    with pytest.raises(TypeError, match="positional"):
        table.get()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        table.get(A, 1, 2)  # type: ignore[call-arg]
    for method in (table.read, table.peek, table.remove, table.touch, table.pin, table.unpin):
        with pytest.raises(ValueError, match="16 bytes"):
            method(b"abc")


def test_a_subclass_of_bytes_is_a_key(table: Table) -> None:
    class Digest(bytes):
        def __hash__(self) -> int:
            raise AssertionError("a table hashes the bytes itself")

        def __eq__(self, other: object) -> bool:
            raise AssertionError("a table compares the bytes itself")

    table.put(Digest(A), "v")
    assert table.get(Digest(A)) == "v"
    assert table.get(A) == "v"


@pytest.mark.parametrize("bound", [-1, 1.5, "8", 2**64])
def test_a_capacity_is_a_whole_number(bound: Any) -> None:
    with pytest.raises(ValueError, match="capacity_bytes is"):
        Table(bound)
    with pytest.raises(ValueError, match="capacity_entries is"):
        Table(None, bound)


def test_an_unknown_policy_is_a_setting_error() -> None:
    with pytest.raises(SettingError, match=r"unknown policy 'lur' \(did you mean 'lru'\?\)"):
        Table(policy="lur")
    with pytest.raises(SettingError, match="policy is 5; give a name"):
        Table(policy=5)


def test_a_value_too_large_displaces_nothing_but_its_own_key(table: Table) -> None:
    table.put(A, "a", 50)
    table.put(B, "b", 50)
    assert not table.put(A, "new", 101)
    assert table.get(A) is None
    assert table.get(B) == "b"
    assert table.stats()["rejected"] == 1
    assert table.stats()["evictions"] == 0
    assert table.check() == []


def test_both_bounds_hold() -> None:
    table = Table(100, 3, "fifo")
    for number in range(4):
        table.put(key_of(number), number, 1)
    assert sorted(table) == [key_of(1), key_of(2), key_of(3)]
    table.put(key_of(9), 9, 99)
    assert sorted(table) == [key_of(3), key_of(9)]


def test_sizes_near_the_largest_number_do_not_wrap() -> None:
    table = Table()
    assert table.put(A, 1, 2**63)
    assert table.put(B, 2, 2**63 - 1)
    assert table.put(C, 3, 2**63)
    assert table.check() == []
    assert table.stats()["bytes"] <= 2**64 - 1


def test_fresh_then_stale_then_gone(table: Table, clock: ManualClock) -> None:
    table.put(A, "v", expires_at=clock.now() + 10, stale_until=clock.now() + 15)
    assert table.get(A) == "v"
    clock.advance(10)
    assert table.get(A) is None
    row = table.read(A)
    assert row is not None
    assert row[:2] == (2, "v")
    clock.advance(5)
    assert A not in table
    assert table.peek(A) is None
    assert len(table) == 1
    assert table.read(A) is None
    assert len(table) == 0
    assert table.stats()["expirations"] == 1
    assert table.check() == []


def test_a_grace_before_expiry_means_no_grace(table: Table, clock: ManualClock) -> None:
    table.put(A, "v", expires_at=clock.now() + 10, stale_until=clock.now() + 5)
    clock.advance(7)
    assert table.get(A) == "v"
    clock.advance(3)
    assert table.read(A) is None


def test_the_machines_clock_is_used_without_another() -> None:
    table = Table()
    table.put(A, "past", expires_at=time.time() - 1)
    table.put(B, "future", expires_at=time.time() + 1000)
    assert table.get(A) is None
    assert table.get(B) == "future"


def test_the_clock_is_asked_only_while_something_can_expire() -> None:
    def clock() -> float:
        raise ZeroDivisionError

    table = Table(None, None, "lru", clock=clock)
    table.put(A, 1)
    assert table.get(B) is None
    assert table.read(A) is not None
    table.put(B, 2, expires_at=5.0)
    for use in (lambda: table.get(B), lambda: table.read(A), table.sweep):
        with pytest.raises(ZeroDivisionError):
            use()
    table.remove(B)
    assert table.read(A) is not None


def test_the_clock_may_use_the_table() -> None:
    tables: list[Table] = []
    tables.append(Table(None, None, "lru", clock=lambda: float(len(tables[0]))))
    tables[0].put(A, 1, expires_at=1.5)
    assert tables[0].get(A) == 1
    tables[0].put(B, 2)
    assert tables[0].get(A) is None


def test_early_refresh_is_due_in_proportion_to_the_cost(table: Table, clock: ManualClock) -> None:
    table.put(A, "v", 1, 2.0, expires_at=clock.now() + 4)

    def drawn(beta: float) -> int:
        rows = [table.read(A, beta) for _ in range(4000)]
        return sum(row[0] == 1 for row in rows if row is not None)

    assert drawn(0.0) == 0
    # P(-cost * beta * ln(u) >= 4 s) = exp(-4 / (cost * beta)): 0.135 and 0.368.
    assert 400 < drawn(1.0) < 700
    assert 1250 < drawn(2.0) < 1700
    table.put(B, "free", expires_at=clock.now() + 1e-6)
    row = table.read(B, 1000.0)
    assert row is not None
    assert row[0] == 0
    table.put(C, "for ever", 1, 1e9)
    row = table.read(C, 1e9)
    assert row is not None
    assert row[0] == 0


def test_peeking_tells_nobody(table: Table) -> None:
    for key in (A, B):
        table.put(key, 0, 50)
    before = table.stats()
    table.peek(A)
    assert A in table
    assert table.stats() == before
    table.put(C, 0, 50)
    assert A not in table


def test_touching_is_a_use_but_no_hit(table: Table) -> None:
    for key in (A, B):
        table.put(key, 0, 50)
    assert table.touch(A)
    assert not table.touch(C)
    assert table.stats()["hits"] == 0
    table.put(C, 0, 50)
    assert sorted(table) == [A, C]


def test_removing(table: Table) -> None:
    table.put_many([(key_of(number), number) for number in range(10)])
    assert table.remove(key_of(0))
    assert not table.remove(key_of(0))
    assert table.remove_many([key_of(0), key_of(1), key_of(1), key_of(2)]) == 2
    assert table.pin(key_of(3))
    assert table.remove(key_of(3))
    assert not table.unpin(key_of(3))
    assert table.stats()["removed"] == 4
    assert table.clear() == 6
    assert len(table) == 0
    assert table.stats()["bytes"] == 0
    assert table.check() == []


def test_removing_by_group_and_tag(table: Table) -> None:
    for number in range(8):
        tags = ("even" if number % 2 == 0 else "odd", f"n{number}", "\ud800")
        table.put(key_of(number), number, group=number // 4, tags=tags)
    assert sorted(table.remove_where(1, "even")) == [key_of(4), key_of(6)]
    assert table.remove_where(7) == []
    assert table.remove_where(tag="eve") == []
    assert table.remove_where(tag="n1") == [key_of(1)]
    assert sorted(table.remove_where(0)) == [key_of(0), key_of(2), key_of(3)]
    assert len(table.remove_where(tag="\ud800")) == 2
    table.put(A, 1)
    assert table.remove_where() == [A]


def test_a_batch_of_puts_answers_one_by_one(table: Table) -> None:
    answers = table.put_many([(A, 1, 60), (B, 2, 101), (C, 3, 50, 0.5)])
    assert answers == [True, False, True]
    assert list(table) == [C]
    with pytest.raises(ValueError, match="2 to 10 fields, not 1"):
        table.put_many([(A,)])


def test_iterating_is_over_a_snapshot(table: Table) -> None:
    table.put_many([(key_of(number), number) for number in range(5)])
    for key in table:
        table.remove(key)
    assert len(table) == 0


def test_a_chosen_entry_leaves_only_when_it_is_forgotten(table: Table) -> None:
    for number in range(4):
        table.put(key_of(number), number, 25)
    assert table.choose(1) == [key_of(0)]
    assert table.choose(30) == [key_of(1), key_of(2)]
    assert table.choose(60) is None
    assert table.get(key_of(0)) == 0
    assert table.stats()["held_entries"] == 3
    assert table.forget([key_of(0), key_of(0), key_of(3), key_of(77)]) == 1
    assert table.keep([key_of(1), key_of(2)]) == 2
    assert table.choose(60) == [key_of(1), key_of(2)]
    assert table.check() == []


def test_choosing_for_a_known_key_credits_what_it_has(table: Table) -> None:
    table.put(A, 1, 50)
    table.put(B, 2, 50)
    assert table.choose(50, key=A) == []
    assert table.choose(60, key=A) == [B]
    assert table.choose(101, key=A) is None


def test_there_is_nothing_to_choose_while_there_is_room(table: Table) -> None:
    assert table.choose(100) == []
    assert table.choose(101) is None
    assert table.victims(10) == []
    table.put(A, 1, 40)
    assert table.victims(10**9) == [A]


def test_a_put_does_not_take_what_is_leaving(table: Table) -> None:
    """Whoever chose it has not demoted it yet: a put finds other room, or none."""
    table.put(A, 1, 50)
    table.put(B, 2, 50)
    assert table.victims(1) == [A]
    assert table.put(C, 3, 50)
    assert sorted(table) == [A, C]
    assert not table.put(B, 2, 60)
    assert sorted(table) == [A, C]


def test_resizing_drops_what_is_leaving_first(table: Table) -> None:
    for number in range(4):
        table.put(key_of(number), number, 25)
    table.touch(key_of(0))
    assert table.victims(25) == [key_of(1)]
    table.touch(key_of(1))
    assert table.resize(75) == [key_of(1)]
    assert table.resize(60) == [key_of(2)]
    table.pin(key_of(0))
    with pytest.raises(ValueError, match="what is pinned is larger"):
        table.resize(24)
    assert table.stats()["capacity_bytes"] == 60
    assert table.resize(None, 1) == [key_of(3)]
    assert table.check() == []


def test_sweeping_goes_on_where_it_stopped(table: Table, clock: ManualClock) -> None:
    for number in range(10):
        table.put(key_of(number), number, expires_at=clock.now() + (1 if number % 2 else 100))
    assert table.sweep(10) == []
    clock.advance(1)
    assert table.sweep(4) == [key_of(1), key_of(3)]
    assert table.sweep(4) == [key_of(5), key_of(7)]
    assert table.sweep(100) == [key_of(9)]
    assert table.stats()["expirations"] == 5
    assert table.check() == []


def test_sweeping_costs_nothing_where_nothing_expires(table: Table) -> None:
    table.put(A, 1)
    assert table.sweep() == []


def test_stats_name_everything(table: Table) -> None:
    table.put(A, 1, 10)
    table.get(A)
    table.get(B)
    stats = table.stats()
    assert stats["hits"] == stats["misses"] == stats["puts"] == stats["entries"] == 1
    assert (stats["bytes"], stats["capacity_bytes"], stats["capacity_entries"]) == (10, 100, None)
    assert stats["policy"] == "lru"
    assert stats["memory_bytes_per_entry"] > 0
