"""What every policy must keep to, native or written in Python: subclass `PolicyConformance`.

```python
class TestMine(PolicyConformance):
    policy = MyPolicy
```
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from infercache._core import Table


def key_of(number: int) -> bytes:
    """Return the table's key for a small number."""
    return number.to_bytes(16, "little")


def _dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - chance that can be repeated, not secrets


class PolicyConformance:
    """Runs a policy in a table through random workloads; set `policy` in a subclass.

    Attributes:
        policy: A registered name, or a subclass of `Policy`.
    """

    policy: Any = None

    def make_table(self, capacity_bytes: int | None, capacity_entries: int | None = None) -> Table:
        """Return an empty table with the policy."""
        return Table(capacity_bytes, capacity_entries, self.policy)

    def _drive(self, table: Table, dice: random.Random, steps: int) -> dict[bytes, int]:
        """Do random work and return what was put last under each key that was not removed."""
        model: dict[bytes, int] = {}
        for step in range(steps):
            key = key_of(min(dice.randrange(60), dice.randrange(60)))
            action = dice.random()
            if action < 0.45:
                size = dice.randint(1, 12)
                kept = table.put(key, step, size, cost=dice.random())
                model[key] = step
                if not kept:
                    del model[key]
            elif action < 0.9:
                value = table.get(key)
                assert value is None or value == model[key]
            else:
                table.remove(key)
                model.pop(key, None)
            assert table.check() == []
        return model

    @pytest.mark.parametrize("seed", range(5))
    def test_the_accounts_are_exact_after_every_step(self, seed: int) -> None:
        """Never above capacity, no entry lost or duplicated, no old value."""
        table = self.make_table(100)
        model = self._drive(table, _dice(seed), 400)
        assert set(table) <= set(model)
        assert table.stats()["bytes"] <= 100
        assert all(table.get(key) == model[key] for key in table)

    def test_an_entry_that_fits_is_kept_at_once(self) -> None:
        """What was just put is readable right away."""
        table = self.make_table(None, 8)
        for number in range(100):
            assert table.put(key_of(number), number)
            assert table.get(key_of(number)) == number
            assert len(table) == min(number + 1, 8)

    def test_nothing_leaves_while_there_is_room(self) -> None:
        """Evictions start only where the capacity ends."""
        table = self.make_table(10)
        for number in range(5):
            table.put(key_of(number), number, 2)
        assert table.stats()["evictions"] == 0
        assert sorted(table.get_many([key_of(number) for number in range(5)])) == list(range(5))

    def test_what_is_pinned_stays(self) -> None:
        """Pinned entries are never victims, however many others come."""
        table = self.make_table(None, 10)
        for number in range(4):
            table.put(key_of(number), number)
            assert table.pin(key_of(number))
        for number in range(100, 300):
            assert table.put(key_of(number), number)
            assert table.check() == []
        assert [table.get(key_of(number)) for number in range(4)] == [0, 1, 2, 3]

    def test_what_was_unpinned_may_leave(self) -> None:
        """After the last unpin an entry is like any other."""
        table = self.make_table(None, 4)
        table.put(key_of(0), 0)
        for _ in range(2):
            table.pin(key_of(0))
        assert table.unpin(key_of(0))
        assert table.unpin(key_of(0))
        assert not table.unpin(key_of(0))
        for number in range(1, 200):
            table.put(key_of(number), number)
            table.get(key_of(number))
            table.get(key_of(number))
        assert key_of(0) not in table
        assert table.check() == []

    def test_a_put_that_cannot_make_room_changes_nothing_else(self) -> None:
        """With everything pinned a put returns False and evicts nothing."""
        table = self.make_table(4)
        for number in range(2):
            table.put(key_of(number), number, 2)
            table.pin(key_of(number))
        assert not table.put(key_of(2), 2, 1)
        assert not table.put(key_of(3), 3, 5)
        assert sorted(table) == [key_of(0), key_of(1)]
        assert table.stats()["rejected"] == 2
        assert table.check() == []

    def test_chosen_entries_stay_readable_until_they_are_forgotten(self) -> None:
        """Choose, then forget: at no moment is a value unreadable before its demotion."""
        table = self.make_table(20)
        for number in range(10):
            table.put(key_of(number), number, 2)
        chosen = table.choose(5, key=key_of(99))
        assert chosen is not None
        assert len(set(chosen)) == len(chosen) >= 3
        assert all(table.get(key) is not None for key in chosen)
        other = table.choose(4, key=key_of(98))
        assert other is not None
        assert not set(other) & set(chosen)
        assert table.forget(chosen) == len(chosen)
        assert table.keep(other) == len(other)
        assert table.check() == []
        assert table.put(key_of(99), 99, 5)
        assert len(table) == 11 - len(chosen)
        assert all(key in table for key in other)

    def test_a_put_or_a_pin_cancels_leaving(self) -> None:
        """What came back into use while it was leaving is not forgotten."""
        table = self.make_table(None, 6)
        for number in range(6):
            table.put(key_of(number), number)
        chosen = table.victims(3)
        table.put(chosen[0], "new")
        table.pin(chosen[1])
        assert table.forget(chosen) == 1
        assert table.get(chosen[0]) == "new"
        assert chosen[1] in table
        assert chosen[2] not in table
        assert table.check() == []

    @pytest.mark.parametrize("seed", range(3))
    def test_two_phase_eviction_keeps_the_accounts(self, seed: int) -> None:
        """Random choosing, keeping, forgetting, pinning and resizing."""
        dice = _dice(seed)
        table = self.make_table(60)
        leaving: list[bytes] = []
        pinned: list[bytes] = []
        for step in range(300):
            action = dice.randrange(8)
            key = key_of(dice.randrange(40))
            if action < 3:
                table.put(key, step, dice.randint(1, 9))
            elif action == 3:
                leaving += table.choose(dice.randint(1, 30), key=key) or []
            elif action == 4:
                table.forget([leaving.pop() for _ in range(min(2, len(leaving)))])
            elif action == 5:
                table.keep(leaving)
                leaving.clear()
            elif action == 6 and len(pinned) < 3 and table.pin(key):
                pinned.append(key)
            elif action == 7 and pinned:
                table.unpin(pinned.pop())
            assert table.check() == []
        for key in pinned:
            table.unpin(key)
        table.resize(10)
        assert table.check() == []
        assert table.stats()["bytes"] <= 10

    def test_shrinking_evicts_only_what_no_longer_fits(self) -> None:
        """Resize names what left, and entries at most."""
        table = self.make_table(20)
        for number in range(10):
            table.put(key_of(number), number, 2)
        gone = table.resize(9)
        assert len(gone) == 6
        assert not any(key in table for key in gone)
        assert len(table) == 4
        table.resize(None, None)
        assert table.put(key_of(50), 50, 1000)
        assert table.check() == []
