"""Void, settle, take back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from infercache.guards.leases import Leases
from infercache.key import Key
from infercache.stores.base import Invalidation

MakeKey = Callable[[int], Key]


@pytest.fixture
def leases() -> Leases:
    return Leases()


@pytest.fixture
def keys(make_key: MakeKey) -> list[Key]:
    return [make_key(n) for n in range(4)]


def kept_all(valid: list[int]) -> list[bool]:
    return [True] * len(valid)


def test_what_nobody_voided_is_kept(leases: Leases, keys: list[Key]) -> None:
    lease = leases.take(keys, ())
    assert leases.settle(lease, kept_all) == [True] * 4
    assert lease.fired
    assert len(leases) == 0


def test_void_keys_are_not_even_written(leases: Leases, keys: list[Key]) -> None:
    lease = leases.take(keys, ("tag",))
    assert leases.void(Invalidation(digest=keys[2].digest)) == []
    assert leases.void(Invalidation(tag="other")) == []
    asked: list[list[int]] = []

    def keep(valid: list[int]) -> list[bool]:
        asked.append(valid)
        return [True, False, True]

    assert leases.settle(lease, keep) == [True, False, False, True]
    assert asked == [[0, 1, 3]]


def test_what_is_voided_while_it_is_written_is_taken_back(leases: Leases, keys: list[Key]) -> None:
    lease = leases.take(keys, ("tag",))
    dropped: list[list[Key]] = []

    def keep(valid: list[int]) -> list[bool]:
        assert leases.void(Invalidation(digest=keys[1].digest)) == [lease]
        return kept_all(valid)

    assert leases.settle(lease, keep, dropped.append) == [True, False, True, True]
    assert dropped == [[keys[1]]]


def test_what_is_voided_while_it_is_taken_back_is_taken_back_too(
    leases: Leases, keys: list[Key]
) -> None:
    lease = leases.take(keys, ())
    dropped: list[Key] = []

    def keep(valid: list[int]) -> list[bool]:
        leases.void(Invalidation(digest=keys[0].digest))
        return kept_all(valid)

    def drop(some: list[Key]) -> None:
        dropped.extend(some)
        if len(dropped) < 3:
            leases.void(Invalidation(digest=keys[len(dropped)].digest))

    assert leases.settle(lease, keep, drop) == [False, False, False, True]
    assert dropped == keys[:3]


def test_write_that_fails_is_taken_back_where_it_is_void(leases: Leases, keys: list[Key]) -> None:
    lease = leases.take(keys, ())
    dropped: list[list[Key]] = []

    def keep(valid: list[int]) -> list[bool]:
        leases.void(Invalidation(digest=keys[3].digest))
        raise OSError("disk full after some")

    with pytest.raises(OSError, match="disk full"):
        leases.settle(lease, keep, dropped.append)
    assert dropped == [[keys[3]]]
    assert lease.fired
    assert len(leases) == 0


def test_ended_lease_is_not_voided_any_more(leases: Leases, keys: list[Key]) -> None:
    lease = leases.take(keys, ())
    leases.end(lease)
    leases.end(lease)
    assert leases.void(Invalidation()) == []
    assert lease.void == set()
