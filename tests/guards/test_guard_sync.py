"""What one process's threads get."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from infercache.errors import BatchSizeError
from infercache.guards.base import Terms
from infercache.guards.engine import Guard
from infercache.key import Key
from infercache.stores.base import Invalidation
from infercache.testing.lookups import DictLookup

MakeKey = Callable[[int], Key]
TERMS = Terms()


@pytest.fixture(params=["guard", "machine_guard"])
def either(request: pytest.FixtureRequest) -> Guard:
    """With and without tiers that other processes share."""
    guard: Guard = request.getfixturevalue(request.param)
    return guard


def test_value_is_computed_once_and_then_found(either: Guard, make_key: MakeKey) -> None:
    assert either.get_or_compute(make_key(1), lambda: "first", TERMS) == "first"
    assert either.get_or_compute(make_key(1), lambda: "second", TERMS) == "first"
    assert either.counts()["computations"] == 1


def test_none_is_a_value(either: Guard, make_key: MakeKey) -> None:
    assert either.get_or_compute(make_key(1), lambda: None, TERMS) is None
    assert either.get_or_compute(make_key(1), lambda: 1, TERMS) is None


def test_fifty_threads_compute_once(either: Guard, make_key: MakeKey) -> None:
    go = threading.Barrier(50)
    calls: list[int] = []
    entered = threading.Event()

    def compute() -> int:
        calls.append(1)
        entered.wait(0.2)  # nobody sets it: time for the others to arrive
        return 7

    def ask() -> object:
        go.wait()
        return either.get_or_compute(make_key(1), compute, TERMS)

    with ThreadPoolExecutor(50) as pool:
        results = [future.result() for future in [pool.submit(ask) for _ in range(50)]]
    assert (results, len(calls)) == ([7] * 50, 1)


def test_error_reaches_the_caller_unchanged_and_is_not_kept(
    either: Guard, make_key: MakeKey
) -> None:
    error = ValueError("no")

    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as caught:
        either.get_or_compute(make_key(1), fail, TERMS)
    assert caught.value is error
    assert either.get_or_compute(make_key(1), lambda: 1, TERMS) == 1


def test_every_waiter_gets_an_error_of_its_own(guard: Guard, make_key: MakeKey) -> None:
    go, inside = threading.Event(), threading.Event()

    def fail() -> None:
        inside.set()
        go.wait(5)
        raise KeyError("no such user", 7)

    def ask() -> BaseException:
        with pytest.raises(KeyError) as caught:
            guard.get_or_compute(make_key(1), fail, TERMS)
        return caught.value

    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(ask)]
        inside.wait(5)
        futures += [pool.submit(ask) for _ in range(4)]
        while guard.counts()["joined"] < 4:
            threading.Event().wait(0.005)
        go.set()
        errors = [future.result(5) for future in futures]
    assert len({id(error) for error in errors}) == 5
    assert all(error.args == ("no such user", 7) for error in errors)
    assert all(error.__cause__ is errors[0] for error in errors[1:])


def test_interrupted_leader_hands_over_to_a_waiter(guard: Guard, make_key: MakeKey) -> None:
    inside, go = threading.Event(), threading.Event()
    calls: list[str] = []

    def interrupted() -> str:
        calls.append("interrupted")
        inside.set()
        go.wait(5)
        raise KeyboardInterrupt

    def lead() -> bool:
        try:
            guard.get_or_compute(make_key(1), interrupted, TERMS)
        except KeyboardInterrupt:
            return True
        return False

    with ThreadPoolExecutor(4) as pool:
        leader = pool.submit(lead)
        inside.wait(5)
        waiters = [
            pool.submit(guard.get_or_compute, make_key(1), lambda: "done", TERMS) for _ in range(3)
        ]
        while guard.counts()["joined"] < 3:
            threading.Event().wait(0.005)
        go.set()
        assert leader.result(5)
        assert [waiter.result(5) for waiter in waiters] == ["done"] * 3
    assert guard.counts()["computations"] == 2
    assert guard.counts()["handed_over"] == 1


def test_computation_that_asks_for_its_own_key_does_not_wait_for_itself(
    either: Guard, make_key: MakeKey
) -> None:
    def outer() -> int:
        inner: int = either.get_or_compute(make_key(1), lambda: 41, TERMS)
        return inner + 1

    assert either.get_or_compute(make_key(1), outer, TERMS) == 42


def test_circle_over_two_threads_does_not_wait_for_ever(guard: Guard, make_key: MakeKey) -> None:
    """One computes 1 and needs 2, the other computes 2 and needs 1."""
    both = threading.Barrier(2)

    def need(other: int) -> Callable[[], str]:
        def compute() -> str:
            both.wait(5)
            return "got " + str(guard.get_or_compute(make_key(other), lambda: "leaf", TERMS))

        return compute

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(guard.get_or_compute, make_key(1), need(2), TERMS)
        second = pool.submit(guard.get_or_compute, make_key(2), need(1), TERMS)
        answers = {first.result(10), second.result(10)}
    assert answers == {"got leaf", "got got leaf"}
    assert guard.counts()["circular"] == 1


def test_waiter_that_ran_out_of_patience_computes_for_itself(
    lookup: DictLookup, make_key: MakeKey
) -> None:
    from infercache.clock import SystemClock
    from infercache.events import Events

    guard = Guard(lookup, SystemClock(), Events(), wait_s=0.05)
    inside, go = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        go.wait(5)
        return "slow"

    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(guard.get_or_compute, make_key(1), slow, TERMS)
        inside.wait(5)
        assert guard.get_or_compute(make_key(1), lambda: "own", TERMS) == "own"
        go.set()
        assert leader.result(5) == "slow"
    assert guard.counts()["timeouts"] == 1


# -- batches -----------------------------------------------------------------------------


def test_batch_computes_only_what_is_missing_in_the_callers_order(
    either: Guard, make_key: MakeKey
) -> None:
    either.get_or_compute(make_key(3), lambda: "kept", TERMS)
    asked: list[list[int]] = []

    def batch(rows: list[int]) -> list[str]:
        asked.append(rows)
        return [f"row {row}" for row in rows]

    rows = [5, 3, 1, 5, 2, 1]
    keys = [make_key(row) for row in rows]
    expected = ["row 5", "kept", "row 1", "row 5", "row 2", "row 1"]
    assert either.get_or_compute_many(keys, rows, batch, TERMS) == expected
    assert asked == [[5, 1, 2]]
    assert either.get_or_compute_many(keys, rows, batch, TERMS) == expected
    assert len(asked) == 1


@pytest.mark.parametrize("wrong", [[1], [1, 2, 3], [], "ab", {0: 1, 1: 2}, {1, 2}, 7, None])
def test_batch_of_another_size_is_refused_and_nothing_is_kept(
    guard: Guard, lookup: DictLookup, make_key: MakeKey, wrong: object
) -> None:
    keys = [make_key(1), make_key(2)]
    with pytest.raises(BatchSizeError, match="2 rows") as caught:
        guard.get_or_compute_many(keys, [1, 2], lambda rows: wrong, TERMS)  # type: ignore[arg-type,return-value]
    assert isinstance(caught.value, ValueError)
    if isinstance(wrong, list):
        assert f"{len(wrong)} results" in str(caught.value)
    assert lookup.entries == {}


def test_batch_may_return_an_iterator_or_an_array(guard: Guard, make_key: MakeKey) -> None:
    np = pytest.importorskip("numpy")
    keys = [make_key(1), make_key(2)]
    rows = [1, 2]
    doubled = guard.get_or_compute_many(keys, rows, lambda rows: (r * 2 for r in rows), TERMS)  # type: ignore[arg-type,return-value]
    assert doubled == [2, 4]
    keys = [make_key(3), make_key(4)]
    arrays = guard.get_or_compute_many(keys, rows, lambda rows: np.eye(2), TERMS)
    assert [array.tolist() for array in arrays] == [[1.0, 0.0], [0.0, 1.0]]


def test_empty_batch_computes_nothing(either: Guard) -> None:
    assert either.get_or_compute_many([], [], lambda rows: 1 / 0, TERMS) == []  # type: ignore[arg-type,return-value]


def test_crossing_batches_compute_each_row_once(either: Guard, make_key: MakeKey) -> None:
    """Threads ask for overlapping ranges in opposite orders: no dead-lock, no double work."""
    computed: list[int] = []

    def batch(rows: list[int]) -> list[int]:
        computed.extend(rows)
        return [row * row for row in rows]

    def ask(start: int) -> None:
        rows = list(range(start, start + 60))
        if start % 2:
            rows.reverse()
        keys = [make_key(row) for row in rows]
        assert either.get_or_compute_many(keys, rows, batch, TERMS) == [row * row for row in rows]

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(ask, start) for start in range(0, 80, 5)]:
            future.result(20)
    assert sorted(computed) == list(range(135))


# -- invalidation ------------------------------------------------------------------------


def test_value_computed_before_an_invalidation_is_not_kept(
    guard: Guard, lookup: DictLookup, make_key: MakeKey
) -> None:
    what = Invalidation(tag="source")
    terms = Terms(tags=("source",))

    def compute() -> str:
        guard.forget(what)
        return "old"

    assert guard.get_or_compute(make_key(1), compute, terms) == "old"
    assert lookup.entries == {}
    assert guard.counts()["voided"] == 1


def test_only_the_matching_keys_of_a_batch_are_voided(
    guard: Guard, lookup: DictLookup, make_key: MakeKey
) -> None:
    keys = [make_key(n) for n in range(3)]

    def batch(rows: list[int]) -> list[int]:
        guard.forget(Invalidation(digest=keys[1].digest))
        return rows

    assert guard.get_or_compute_many(keys, [0, 1, 2], batch, TERMS) == [0, 1, 2]
    assert set(lookup.entries) == {keys[0].digest, keys[2].digest}


def test_who_asks_after_an_invalidation_does_not_join_what_began_before(
    guard: Guard, make_key: MakeKey
) -> None:
    inside, go = threading.Event(), threading.Event()

    def old() -> str:
        inside.set()
        go.wait(5)
        return "old"

    with ThreadPoolExecutor(2) as pool:
        before = pool.submit(guard.get_or_compute, make_key(1), old, TERMS)
        inside.wait(5)
        guard.forget(Invalidation(digest=make_key(1).digest))
        after = pool.submit(guard.get_or_compute, make_key(1), lambda: "new", TERMS)
        assert after.result(5) == "new"
        go.set()
        assert before.result(5) == "old"
    assert guard.get_or_compute(make_key(1), lambda: "newer", TERMS) == "new"


def test_invalidation_waits_for_a_value_that_is_being_written(
    guard: Guard, lookup: DictLookup, make_key: MakeKey
) -> None:
    writing, go = threading.Event(), threading.Event()

    def pause() -> None:
        writing.set()
        go.wait(5)

    lookup.pause = pause
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(guard.get_or_compute, make_key(1), lambda: "old", TERMS)
        writing.wait(5)
        forgetting = pool.submit(guard.forget, Invalidation(digest=make_key(1).digest))
        with pytest.raises(TimeoutError):
            forgetting.result(0.05)
        go.set()
        forgetting.result(5)
        assert leader.result(5) == "old"
    assert lookup.entries == {}
