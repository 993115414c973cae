from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import infercache as ic


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ic.Cache]:
    with ic.Cache(ic.Memory("10MB"), ic.Disk(tmp_path / "d", "50MB")) as opened:
        yield opened
        assert opened.check() == []


def test_a_value_is_computed_once(cache: ic.Cache) -> None:
    calls: list[int] = []

    def compute() -> str:
        calls.append(1)
        return "value"

    assert [cache.get_or_compute("k", compute) for _ in range(3)] == ["value"] * 3
    assert len(calls) == 1


def test_only_the_missing_rows_are_computed_in_the_callers_order_each_once(
    cache: ic.Cache,
) -> None:
    batches: list[list[int]] = []

    def square_all(rows: list[int]) -> list[int]:
        batches.append(rows)
        return [row * row for row in rows]

    cache.put(2, 4)
    assert cache.get_or_compute_many([3, 2, 1, 3], square_all) == [9, 4, 1, 9]
    assert batches == [[3, 1]]
    assert cache.get_or_compute_many([1, 2, 3], square_all) == [1, 4, 9]
    assert len(batches) == 1


def test_a_batch_of_the_wrong_length_keeps_nothing(cache: ic.Cache) -> None:
    with pytest.raises(ValueError, match="2"):
        cache.get_or_compute_many(["a", "b"], lambda rows: [1])
    assert cache.get_many(["a", "b"]) == [None, None]


def test_an_error_reaches_the_caller_and_is_not_kept(cache: ic.Cache) -> None:
    with pytest.raises(ZeroDivisionError):
        cache.get_or_compute("k", lambda: 1 // 0)
    assert cache.get_or_compute("k", lambda: 7) == 7


def test_threads_share_one_computation(cache: ic.Cache) -> None:
    calls: list[int] = []

    def slow() -> int:
        calls.append(1)
        time.sleep(0.05)
        return 5

    results: list[int] = []
    threads = [
        threading.Thread(target=lambda: results.append(cache.get_or_compute("k", slow)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [5] * 16
    assert len(calls) == 1


async def test_tasks_share_one_computation(cache: ic.Cache) -> None:
    calls: list[int] = []

    async def slow() -> int:
        calls.append(1)
        await asyncio.sleep(0.02)
        return 5

    results = await asyncio.gather(*(cache.aget_or_compute("k", slow) for _ in range(16)))
    assert results == [5] * 16
    assert len(calls) == 1
    assert await cache.aget("k") == 5
    assert await cache.aput("other", 6)
    assert await cache.aget("other") == 6


async def test_async_batches_compute_only_what_is_missing(cache: ic.Cache) -> None:
    cache.put(1, 10)

    async def batch(rows: list[int]) -> list[int]:
        assert rows == [2]
        return [20]

    assert await cache.aget_or_compute_many([1, 2], batch) == [10, 20]


def test_an_invalidation_during_a_computation_voids_its_result(cache: ic.Cache) -> None:
    started, go_on = threading.Event(), threading.Event()

    def compute() -> str:
        started.set()
        go_on.wait(10)
        return "old"

    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(cache.get_or_compute("k", compute)))
    thread.start()
    started.wait(10)
    cache.invalidate("k")
    go_on.set()
    thread.join()
    assert got == ["old"]
    assert cache.get("k") is None
    assert cache.get_or_compute("k", lambda: "new") == "new"


def test_an_invalidation_by_tag_voids_too(cache: ic.Cache) -> None:
    def compute() -> str:
        cache.invalidate(tag="faq")
        return "old"

    assert cache.get_or_compute("k", compute, tags=("faq",)) == "old"
    assert cache.get("k") is None


def test_a_put_during_a_computation_wins(cache: ic.Cache) -> None:
    def compute() -> str:
        cache.put("k", "put")
        return "computed"

    cache.get_or_compute("k", compute)
    assert cache.get("k") == "put"


def test_a_stale_value_stands_in_when_the_computation_fails(tmp_path: Path) -> None:
    clock = ic.ManualClock()
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB"), clock=clock) as cache:
        terms = {"ttl_s": 10, "stale_s": 100, "fail_safe": True, "early_refresh": 0}
        assert cache.get_or_compute("k", lambda: "old", **terms) == "old"
        clock.advance(20)

        def fail() -> str:
            raise ConnectionError("upstream is down")

        assert cache.get_or_compute("k", fail, **terms) == "old"
        clock.advance(200)
        with pytest.raises(ConnectionError):
            cache.get_or_compute("k", fail, **terms)


def test_nothing_found_has_a_time_to_live_of_its_own() -> None:
    clock = ic.ManualClock()
    with ic.Cache(ic.Memory("1MB"), clock=clock, ttl_s=1000, negative_ttl_s=5) as cache:
        calls: list[int] = []

        def find() -> None:
            calls.append(1)

        for _ in range(3):
            assert cache.get_or_compute("k", find) is None
        assert len(calls) == 1
        clock.advance(6)
        cache.get_or_compute("k", find)
        assert len(calls) == 2


def _invalidate_elsewhere(directory: str) -> None:
    with ic.Cache(ic.Memory("1MB"), ic.Disk(directory, "5MB")) as cache:
        assert cache.get("k") == "old"
        cache.invalidate("k")
        cache.put("replaced", "new")


def test_another_process_invalidates_what_this_ones_memory_holds(tmp_path: Path) -> None:
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB")) as cache:
        cache.put_many([("k", "old"), ("replaced", "old"), ("kept", "old")])
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_invalidate_elsewhere, args=(str(tmp_path),))
        process.start()
        process.join()
        assert process.exitcode == 0
        assert cache.get_many(["k", "replaced", "kept"]) == [None, "new", "old"]
        assert cache.explain("kept").served_by == "memory"


def _put_in_fork(cache: ic.Cache) -> None:
    assert cache.get("parent") == 1
    cache.get_or_compute("child", lambda: 2)


def test_a_forked_child_shares_the_disk(tmp_path: Path) -> None:
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB")) as cache:
        cache.put("parent", 1)
        process = multiprocessing.get_context("fork").Process(target=_put_in_fork, args=(cache,))
        process.start()
        process.join()
        assert process.exitcode == 0
        assert cache.get("child") == 2


def test_write_back_is_flushed_at_close(tmp_path: Path) -> None:
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB", write="back")) as cache:
        for number in range(100):
            cache.put(number, number)
    with ic.Cache(ic.Disk(tmp_path, "5MB")) as again:
        assert again.get_many(range(100)) == list(range(100))
