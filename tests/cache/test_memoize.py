from __future__ import annotations

import asyncio
import inspect
import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pytest

import infercache as ic
from infercache.errors import SettingError, UnkeyableError

_MODULE_CACHE = ic.Cache(ic.Memory("1MB"))


@pytest.fixture
def cache() -> Iterator[ic.Cache]:
    with ic.Cache(ic.Memory("10MB")) as opened:
        yield opened
        assert opened.check() == []


def test_a_function_runs_once_for_each_content_of_its_arguments(cache: ic.Cache) -> None:
    calls: list[Any] = []

    @cache.memoize
    def scale(image: Any, factor: float = 2.0) -> Any:
        """Scale."""
        calls.append(factor)
        return image * factor

    image = numpy.arange(3.0)
    for _ in range(2):
        numpy.testing.assert_array_equal(scale(image.copy()), [0, 2, 4])
    scale(image, 3.0)
    assert calls == [2.0, 3.0]
    assert scale.__name__ == "scale"
    assert scale.__doc__ == "Scale."
    assert inspect.signature(scale).parameters["factor"].default == 2.0


def test_positional_keyword_and_default_arguments_are_one_call(cache: ic.Cache) -> None:
    calls: list[int] = []

    @cache.memoize(version="1")
    def add(a: int, b: int = 1, *, c: int = 0) -> int:
        calls.append(1)
        return a + b + c

    assert add(1) == add(a=1) == add(1, 1) == add(1, b=1) == add(b=1, a=1, c=0) == 2
    assert len(calls) == 1
    assert add(1, 2) == 3
    assert add(1, c=5) == 7
    assert len(calls) == 3


def test_one_true_and_one_point_zero_are_three_calls(cache: ic.Cache) -> None:
    @cache.memoize
    def kind(x: Any) -> str:
        return type(x).__name__

    assert [kind(1), kind(True), kind(1.0), kind("1"), kind(b"1")] == [
        "int",
        "bool",
        "float",
        "str",
        "bytes",
    ]
    assert [kind(1), kind(True), kind(1.0)] == ["int", "bool", "float"]


def test_var_arguments_count(cache: ic.Cache) -> None:
    @cache.memoize
    def total(*numbers: int, **named: int) -> int:
        return sum(numbers) + sum(named.values())

    assert (total(1, 2), total(3), total(1, 2, x=1), total()) == (3, 3, 4, 0)


def test_ignored_parameters_do_not_change_the_result(cache: ic.Cache) -> None:
    calls: list[bool] = []

    @cache.memoize(ignore=("verbose",))
    def run(x: int, verbose: bool = False) -> int:
        calls.append(verbose)
        return x

    run(1, verbose=True)
    run(1)
    assert calls == [True]
    with pytest.raises(SettingError, match="is no parameter of the function"):
        cache.memoize(ignore="nothing")(lambda x: x)


def test_a_key_function_replaces_the_arguments(cache: ic.Cache) -> None:
    calls: list[Any] = []

    @cache.memoize(key=lambda session, user: user)
    def load(session: object, user: str) -> str:
        calls.append(session)
        return user.upper()

    assert load(object(), "ann") == load(object(), "ann") == "ANN"
    assert len(calls) == 1


def test_a_condition_decides_what_is_kept(cache: ic.Cache) -> None:
    calls: list[int] = []

    @cache.memoize(condition=lambda answer: answer > 0)
    def measure(x: int) -> int:
        calls.append(x)
        return x

    for x in (-1, -1, 1, 1):
        assert measure(x) == x
    assert calls == [-1, -1, 1]


_CALLS: list[str] = []


@dataclass(frozen=True)
class Scorer:
    weight: int

    @_MODULE_CACHE.memoize
    def score(self, x: int) -> int:
        _CALLS.append("score")
        return self.weight * x

    @classmethod
    @_MODULE_CACHE.memoize
    def name(cls) -> str:
        _CALLS.append("name")
        return cls.__name__

    @_MODULE_CACHE.memoize
    @classmethod
    def qualified(cls) -> str:
        return cls.__qualname__

    @_MODULE_CACHE.memoize
    @staticmethod
    def twice(x: int) -> int:
        _CALLS.append("twice")
        return 2 * x


def test_methods_classmethods_and_staticmethods() -> None:
    _MODULE_CACHE.clear()
    _CALLS.clear()
    assert Scorer(2).score(3) == Scorer(2).score(3) == 6
    assert Scorer(5).score(3) == 15
    assert Scorer.name() == Scorer(1).name() == Scorer.qualified() == "Scorer"
    assert Scorer.twice(4) == Scorer(1).twice(4) == 8
    assert _CALLS == ["score", "score", "name", "twice"]
    assert Scorer(2).score.invalidate(3) == 1
    Scorer(2).score(3)
    assert _CALLS[-1] == "score"


def test_a_method_of_an_object_without_content_key_says_what_to_do(cache: ic.Cache) -> None:
    class Client:
        @cache.memoize
        def fetch(self, x: int) -> int:
            return x

    with pytest.raises(UnkeyableError, match=r"fetch: argument 'self': .*ignore="):
        Client().fetch(1)


def is_coroutine_function(function: Any) -> bool:
    if hasattr(inspect, "markcoroutinefunction"):  # Python 3.12
        return inspect.iscoroutinefunction(function)
    return asyncio.iscoroutinefunction(function)


async def test_coroutine_functions_stay_coroutine_functions(cache: ic.Cache) -> None:
    calls: list[int] = []

    @cache.memoize
    async def fetch(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0.01)
        return x + 1

    assert is_coroutine_function(fetch)
    assert list(await asyncio.gather(fetch(1), fetch(1), fetch(x=1))) == [2, 2, 2]
    assert calls == [1]


def test_generators_and_classes_are_refused_with_what_to_do(cache: ic.Cache) -> None:
    def stream() -> Iterator[int]:
        yield 1

    async def astream() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(SettingError, match=r"is a generator: .* return a list"):
        cache.memoize(stream)
    with pytest.raises(SettingError, match="is an async generator"):
        cache.memoize(astream)
    with pytest.raises(SettingError, match="cannot decorate the class"):
        cache.memoize(Scorer)
    with pytest.raises(SettingError, match="decorates functions, not int"):
        cache.memoize(5)  # type: ignore[call-overload]


def test_a_change_of_code_or_of_a_closure_constant_is_another_version(cache: ic.Cache) -> None:
    def make(constant: int) -> Any:
        @cache.memoize
        def compute(x: int) -> int:
            return x + constant

        return compute

    assert make(1)(10) == 11
    assert make(2)(10) == 12
    assert make(1).explain(10).served_by == "memory"


def test_cache_info_clear_invalidate_and_explain(cache: ic.Cache) -> None:
    @cache.memoize
    def square(x: int) -> int:
        return x * x

    for x in (1, 1, 2):
        square(x)
    info = square.cache_info()
    assert (info.hits, info.misses, info.currsize) == (1, 2, 2)
    assert square.explain(2).served_by == "memory"
    assert square.invalidate(2) == 1
    assert square.explain(2).served_by is None
    assert square.cache_clear() == 1
    assert square.cache_info().currsize == 0


def test_an_error_is_raised_and_not_kept(cache: ic.Cache) -> None:
    calls: list[int] = []

    @cache.memoize
    def fail(x: int) -> int:
        calls.append(x)
        raise LookupError(x)

    for _ in range(2):
        with pytest.raises(LookupError):
            fail(1)
    assert calls == [1, 1]


def test_kept_exceptions_are_raised_again(cache: ic.Cache) -> None:
    calls: list[int] = []

    @cache.memoize(keep_exceptions=(LookupError,), negative_ttl_s=60)
    def find(x: int) -> int:
        calls.append(x)
        raise LookupError(x)

    for _ in range(3):
        with pytest.raises(LookupError):
            find(1)
    assert calls == [1]


def test_kept_exceptions_survive_a_restart(tmp_path: Path) -> None:
    calls: list[int] = []
    for _ in range(2):
        with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB")) as cache:

            @cache.memoize(
                version="1", name="find", keep_exceptions=(LookupError,), negative_ttl_s=60
            )
            def find(x: int) -> int:
                calls.append(x)
                raise KeyError(f"no {x}")

            with pytest.raises(LookupError, match="no 1"):
                find(1)
            assert find.space.get("other") is None
    assert calls == [1]


def test_entries_expire() -> None:
    clock = ic.ManualClock()
    with ic.Cache(ic.Memory("1MB"), clock=clock) as cache:
        calls: list[int] = []

        @cache.memoize(ttl_s=10, early_refresh=0)
        def now(x: int) -> int:
            calls.append(x)
            return len(calls)

        assert (now(1), now(1)) == (1, 1)
        clock.advance(11)
        assert now(1) == 2


def test_another_process_gets_the_results_from_disk(tmp_path: Path) -> None:
    calls: list[int] = []
    for _ in range(2):
        with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB")) as cache:

            @cache.memoize(version="7", name="shared")
            def work(x: int) -> list[int]:
                calls.append(x)
                return [x]

            assert work(3) == [3]
    assert calls == [3]


def test_an_invalidated_result_is_computed_again_in_every_cache_of_the_directory(
    tmp_path: Path,
) -> None:
    tiers = (ic.Memory("1MB"), ic.Disk(tmp_path, "5MB"))
    with ic.Cache(*tiers) as one, ic.Cache(*tiers) as two:
        calls: list[str] = []

        def make(cache: ic.Cache, label: str) -> Any:
            @cache.memoize(version="1", name="n")
            def work(x: int) -> str:
                calls.append(label)
                return label

            return work

        first, second = make(one, "one"), make(two, "two")
        assert first(1) == second(1) == second(1) == "one"
        assert first.invalidate(1) == 1
        assert second(1) == "two"
        assert calls == ["one", "two"]


def test_threads_share_one_computation(cache: ic.Cache) -> None:
    calls: list[int] = []
    barrier = threading.Barrier(8)

    @cache.memoize
    def work(x: int) -> int:
        calls.append(x)
        threading.Event().wait(0.05)
        return x

    def call() -> None:
        barrier.wait(10)
        work(1)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]


@_MODULE_CACHE.memoize
def double(x: int) -> int:
    return 2 * x


def test_a_memoised_function_travels_by_name() -> None:
    assert pickle.loads(pickle.dumps(double)) is double
