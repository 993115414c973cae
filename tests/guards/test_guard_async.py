"""What tasks get, alone and together with threads."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from infercache.clock import ManualClock
from infercache.errors import BatchSizeError
from infercache.events import Events
from infercache.guards.base import Terms
from infercache.guards.engine import Guard
from infercache.key import Key
from infercache.stores.base import Invalidation
from infercache.testing.lookups import DictLookup

MakeKey = Callable[[int], Key]
TERMS = Terms()


@pytest.fixture(params=["guard", "machine_guard"])
def either(request: pytest.FixtureRequest) -> Guard:
    """With a lookup that never blocks, and with one that is asked in threads."""
    guard: Guard = request.getfixturevalue(request.param)
    return guard


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("never came true")


async def test_two_hundred_tasks_compute_once(either: Guard, make_key: MakeKey) -> None:
    calls: list[int] = []

    async def compute() -> int:
        calls.append(1)
        await asyncio.sleep(0.05)
        return 7

    asked = [either.aget_or_compute(make_key(1), compute, TERMS) for _ in range(200)]
    assert await asyncio.gather(*asked) == [7] * 200
    assert len(calls) == 1


async def test_cancelled_leader_hands_over_and_nobody_else_notices(
    either: Guard, make_key: MakeKey
) -> None:
    calls: list[str] = []

    async def compute() -> str:
        calls.append("called")
        await asyncio.sleep(0.05 if len(calls) > 1 else 60)
        return "done"

    leader = asyncio.create_task(either.aget_or_compute(make_key(1), compute, TERMS))
    await until(lambda: len(calls) == 1)
    waiters = [
        asyncio.create_task(either.aget_or_compute(make_key(1), compute, TERMS)) for _ in range(5)
    ]
    await until(lambda: either.counts()["joined"] == 5)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert await asyncio.gather(*waiters) == ["done"] * 5
    assert len(calls) == 2


async def test_cancelled_waiter_leaves_the_leader_alone(either: Guard, make_key: MakeKey) -> None:
    go = asyncio.Event()

    async def compute() -> str:
        await go.wait()
        return "done"

    leader = asyncio.create_task(either.aget_or_compute(make_key(1), compute, TERMS))
    await until(lambda: either.counts()["computations"] == 1)
    waiter = asyncio.create_task(either.aget_or_compute(make_key(1), compute, TERMS))
    await until(lambda: either.counts()["joined"] == 1)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    go.set()
    assert await leader == "done"


async def test_error_reaches_every_task(either: Guard, make_key: MakeKey) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.05)
        raise LookupError("no")

    asked = [either.aget_or_compute(make_key(1), fail, TERMS) for _ in range(10)]
    errors = await asyncio.gather(*asked, return_exceptions=True)
    assert len({id(error) for error in errors}) == 10
    assert all(type(error) is LookupError and error.args == ("no",) for error in errors)


async def test_plain_function_runs_beside_the_loop(either: Guard, make_key: MakeKey) -> None:
    threads: list[int] = []

    def compute() -> str:
        threads.append(threading.get_ident())
        time.sleep(0.05)
        return "done"

    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.001)

    heart = asyncio.create_task(beat())
    assert await either.aget_or_compute(make_key(1), compute, TERMS) == "done"
    heart.cancel()
    assert threads != [threading.get_ident()]
    assert beats > 3


async def test_coroutine_function_needs_no_thread(
    guard: Guard, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio, "to_thread", None)

    async def compute(number: int) -> int:
        return number + 1

    class Model:
        async def __call__(self) -> int:
            return 3

    ask = guard.aget_or_compute
    assert await ask(make_key(1), functools.partial(compute, 1), TERMS) == 2
    assert await ask(make_key(2), Model(), TERMS) == 3


async def test_lambda_that_returns_a_coroutine_is_awaited(either: Guard, make_key: MakeKey) -> None:
    async def compute(number: int) -> int:
        return number + 1

    assert await either.aget_or_compute(make_key(1), lambda: compute(1), TERMS) == 2


async def test_tasks_and_threads_share_one_computation(either: Guard, make_key: MakeKey) -> None:
    go, inside = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        go.wait(5)
        return "from a thread"

    thread = asyncio.create_task(asyncio.to_thread(either.get_or_compute, make_key(1), slow, TERMS))
    await asyncio.to_thread(inside.wait, 5)

    async def other() -> str:
        raise AssertionError("computed twice")

    tasks = [
        asyncio.create_task(either.aget_or_compute(make_key(1), other, TERMS)) for _ in range(3)
    ]
    await until(lambda: either.counts()["joined"] == 3)
    go.set()
    assert await asyncio.gather(thread, *tasks) == ["from a thread"] * 4


async def test_batch_awaits_only_what_is_missing(either: Guard, make_key: MakeKey) -> None:
    asked: list[list[int]] = []

    async def batch(rows: list[int]) -> list[int]:
        asked.append(rows)
        await asyncio.sleep(0)
        return [row * 2 for row in rows]

    rows = [3, 1, 3, 2]
    keys = [make_key(row) for row in rows]
    await either.aget_or_compute(make_key(1), lambda: 2, TERMS)
    assert await either.aget_or_compute_many(keys, rows, batch, TERMS) == [6, 2, 6, 4]
    assert await either.aget_or_compute_many(keys, rows, batch, TERMS) == [6, 2, 6, 4]
    assert asked == [[3, 2]]

    async def wrong(rows: list[int]) -> list[int]:
        return rows[:-1]

    with pytest.raises(BatchSizeError, match="1 rows and returned 0"):
        await either.aget_or_compute_many([make_key(9)], [9], wrong, TERMS)


async def test_stale_value_is_served_while_a_task_refreshes(
    guard: Guard, clock: ManualClock, make_key: MakeKey
) -> None:
    terms = Terms(ttl_s=10, stale_s=60)
    await guard.aget_or_compute(make_key(1), lambda: "old", terms)
    clock.advance(20)

    async def refresh() -> str:
        await asyncio.sleep(0.02)
        return "new"

    served = [await guard.aget_or_compute(make_key(1), refresh, terms) for _ in range(5)]
    assert served == ["old"] * 5
    await until(lambda: guard.counts()["refreshes"] == 1)
    assert await guard.aget_or_compute(make_key(1), refresh, terms) == "new"


async def test_task_that_asks_for_its_own_key_does_not_wait_for_itself(
    either: Guard, make_key: MakeKey
) -> None:
    async def outer() -> Any:
        inner = asyncio.create_task(either.aget_or_compute(make_key(1), lambda: 1, TERMS))
        return await inner + 1

    assert await asyncio.wait_for(either.aget_or_compute(make_key(1), outer, TERMS), 5) == 2


async def test_cancellation_while_writing_leaves_when_the_value_is_written(
    lookup: DictLookup, clock: ManualClock, make_key: MakeKey
) -> None:
    guard = Guard(lookup, clock, Events(), blocking=True)
    writing, go = threading.Event(), threading.Event()

    def pause() -> None:
        writing.set()
        go.wait(5)

    lookup.pause = pause
    task = asyncio.create_task(guard.aget_or_compute(make_key(1), lambda: "value", TERMS))
    await asyncio.to_thread(writing.wait, 5)
    task.cancel()
    await asyncio.sleep(0.02)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lookup.entries[make_key(1).digest].value == "value"
    assert guard.check() == []


async def test_async_invalidation_voids_what_is_being_computed(
    either: Guard, lookup: DictLookup, make_key: MakeKey
) -> None:
    async def compute() -> str:
        await either.aforget(Invalidation(namespace="stage"))
        return "old"

    assert await either.aget_or_compute(make_key(1), compute, TERMS) == "old"
    assert lookup.entries == {}


def test_two_event_loops_share_one_computation(guard: Guard, make_key: MakeKey) -> None:
    calls: list[int] = []
    both = threading.Barrier(2)

    async def compute() -> int:
        calls.append(1)
        await asyncio.sleep(0.1)
        return 5

    async def ask() -> list[int]:
        await asyncio.to_thread(both.wait)
        asked = [guard.aget_or_compute(make_key(1), compute, TERMS) for _ in range(20)]
        return list(await asyncio.gather(*asked))

    results: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: results.append(asyncio.run(ask()))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == [[5] * 20] * 2
    assert len(calls) == 1


def test_loop_that_ends_in_the_middle_hands_over(guard: Guard, make_key: MakeKey) -> None:
    """`asyncio.run` cancels what is left: the next caller computes."""

    async def forever() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(guard.aget_or_compute(make_key(1), forever, TERMS))
        await until(lambda: guard.counts()["computations"] == 1)
        assert not task.done()

    asyncio.run(main())
    assert guard.get_or_compute(make_key(1), lambda: "next", TERMS) == "next"
