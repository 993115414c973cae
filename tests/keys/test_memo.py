"""The native fast path of a decorator: one entry for one call, slow for everything else."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import random
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infercache import KeySpace, _core
from infercache.clock import ManualClock
from infercache.errors import SettingError, UnkeyableError
from infercache.keys import Arguments
from infercache.keys.registry import encode_other


class Slow:
    """A slow path that computes, keeps the value and remembers how it was called."""

    def __init__(self, table: _core.Table, function: Any, **terms: Any) -> None:
        self.table, self.function, self.terms = table, function, terms
        self.calls: list[tuple[Any, ...]] = []

    def __call__(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], digest: bytes | None, due: bool
    ) -> Any:
        self.calls.append((args, kwargs, digest, due))
        value = self.function(*args, **kwargs)
        if digest is not None:
            self.table.put(digest, value, **self.terms)
        return value


def make(
    function: Any,
    *,
    ignore: tuple[str, ...] = (),
    clock: ManualClock | None = None,
    algorithm: str = "blake3",
    gate: _core.Generation | None = None,
    beta: float = 0.0,
    **terms: Any,
) -> tuple[Any, Slow, KeySpace, Arguments]:
    table = _core.Table(capacity_entries=1000, policy="lru", clock=clock.now if clock else None)
    slow, space = Slow(table, function, **terms), KeySpace("", "f", "1", algorithm=algorithm)
    arguments = Arguments(function, ignore)
    memo = _core.Memo(
        table, space.seed, algorithm, slow, arguments.defaults, arguments.nparams, gate,
        beta=beta, encode_other=encode_other, bind=arguments.bind, names=arguments.names,
        positional_only=arguments.positional_only, ignored=arguments.ignored,
    )  # fmt: skip
    return functools.update_wrapper(memo, function), slow, space, arguments


def add(a: Any, b: Any = 2, c: Any = ()) -> Any:
    return [a, b, c]


def test_all_ways_to_write_a_call_are_one_entry() -> None:
    memo, slow, _, _ = make(add)
    ways = [
        memo(1), memo(1, 2), memo(1, 2, ()), memo(a=1), memo(1, b=2), memo(b=2, a=1),
        memo(c=(), b=2, a=1), memo(1, c=()), memo(*[1], b=2),
    ]  # fmt: skip
    assert len(slow.calls) == 1
    assert all(value is ways[0] for value in ways)


def test_calls_that_differ_in_type_or_place_are_different_entries() -> None:
    memo, slow, _, _ = make(add)
    calls = [(1,), (True,), (1.0,), ("1",), (1, 3), (3, 1), (1, 2, (2,)), ((1, 2),), ([1, 2],)]
    for call in calls * 2:
        assert memo(*call) == add(*call)
    assert len(slow.calls) == len(calls)


def anything(a: int, /, b: int = 2, *rest: int, c: int = 3, **more: int) -> Any:
    return [a, b, rest, c, more]


def named_only(a: int = 1, *, c: int = 3) -> Any:
    return [a, c]


def by_place(a: int, b: int = 2, /) -> Any:
    return [a, b]


FUNCTIONS = [add, anything, named_only, by_place]
given_names = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 2), max_size=3)


@given(st.sampled_from(FUNCTIONS), st.lists(st.integers(0, 2), max_size=4), given_names)
def test_any_call_has_the_value_and_digest_of_its_bound_arguments(
    function: Any, positions: list[int], names: dict[str, int]
) -> None:
    memo, slow, space, arguments = make(function)
    try:
        expected = function(*positions, **names)
    except TypeError:
        with pytest.raises(TypeError):
            memo(*positions, **names)
        with pytest.raises(TypeError):
            memo.digest(tuple(positions), names)
        return
    assert memo(*positions, **names) == expected
    assert memo(*positions, **names) == expected
    assert len(slow.calls) == 1
    digest = memo.digest(tuple(positions), names)
    assert digest == slow.calls[0][2] == space.digest(arguments.values(tuple(positions), names))


@given(st.sampled_from([add, anything, by_place]), st.sets(st.sampled_from("abc"), max_size=2))
def test_ignored_parameters_do_not_count(function: Any, ignore: set[str]) -> None:
    ignore &= set(inspect.signature(function).parameters)
    memo, slow, space, arguments = make(function, ignore=tuple(ignore))
    signature, chance = inspect.signature(function), random.Random(1)
    for _ in range(20):
        args = tuple(chance.choices([0, 1], k=chance.randint(1, 2)))
        memo(*args)
        bound = signature.bind(*args)
        bound.apply_defaults()
        counted = tuple(value for name, value in bound.arguments.items() if name not in ignore)
        assert (
            memo.digest(args) == space.digest(counted) == space.digest(arguments.values(args, {}))
        )
    assert len(slow.calls) == len({call[2] for call in slow.calls})


def test_arguments_of_any_type_are_looked_up_natively() -> None:
    memo, slow, _, _ = make(add)
    value = {"image": np.zeros((300, 300)), "path": Path("a")}
    first = memo(value)
    assert memo(copy.deepcopy(value)) is first
    value["image"][0, 0] = 1  # type: ignore[index]
    assert memo(value) is not first
    assert len(slow.calls) == 2


@pytest.mark.parametrize("algorithm", ["blake3", "xxh3"])
def test_large_arguments_have_the_digest_of_the_space(algorithm: str) -> None:
    memo, slow, space, _ = make(add, algorithm=algorithm)
    memo(b"x" * 100_000, "y" * 100_000)
    assert slow.calls[0][2] == space.digest((b"x" * 100_000, "y" * 100_000, ()))


def test_an_argument_without_a_key_goes_to_the_slow_path() -> None:
    memo, slow, _, _ = make(add)
    lock = threading.Lock()
    assert memo(1, [lock])[1] == [lock]
    assert slow.calls == [((1, [lock]), {}, None, False)]
    with pytest.raises(UnkeyableError, match=r"^argument 'b'\[0\]: type '_thread.lock'"):
        memo.digest((1, [lock]))


def test_errors_of_the_slow_path_pass_through() -> None:
    memo, _, _, _ = make(lambda a: 1 / a)
    with pytest.raises(ZeroDivisionError):
        memo(0)
    with pytest.raises(TypeError, match="argument"):
        memo(1, 2, 3)


def test_an_expired_value_is_slow() -> None:
    clock = ManualClock()
    memo, slow, _, _ = make(
        add, clock=clock, expires_at=clock.now() + 10, stale_until=clock.now() + 99
    )
    first = memo(1)
    clock.advance(9)
    assert memo(1) is first
    clock.advance(2)
    assert memo(1) is not first
    assert [call[3] for call in slow.calls] == [False, False]


def test_an_early_refresh_is_announced_and_becomes_likelier_towards_expiry() -> None:
    clock = ManualClock()
    terms: dict[str, Any] = {"expires_at": clock.now() + 100.0, "cost": 1.0}
    memo, slow, _, _ = make(add, clock=clock, beta=1.0, **terms)
    memo(1)

    def refreshes() -> int:
        before = len(slow.calls)
        for _ in range(300):
            memo(1)
        assert all(call[2] is not None and call[3] for call in slow.calls[before:])
        return len(slow.calls) - before

    early = refreshes()
    clock.advance(99)  # one computation before expiry: e^-1 of the calls
    late = refreshes()
    assert early == 0
    assert 60 < late < 170


def test_misses_are_not_counted_twice() -> None:
    memo, slow, _, _ = make(add)
    memo(1)
    memo(1)
    memo(2)
    stats = slow.table.stats()
    assert (stats["hits"], stats["misses"]) == (1, 0)  # the slow path looks up and counts itself


def test_a_changed_generation_makes_calls_slow_until_it_was_seen(tmp_path: Path) -> None:
    gate = _core.Generation(tmp_path / "generation")
    memo, slow, _, _ = make(add, gate=gate)
    memo(1)
    memo(1)
    assert len(slow.calls) == 1
    _core.Generation(tmp_path / "generation").bump()
    memo(1)
    memo(1)
    assert [call[2] is None for call in slow.calls] == [False, True, True]
    gate.seen = gate.load()
    memo(1)
    assert len(slow.calls) == 3


def test_a_memo_looks_like_its_function() -> None:
    memo, _, _, _ = make(add)
    assert (memo.__name__, memo.__doc__, memo.__wrapped__) == ("add", add.__doc__, add)
    assert memo.__module__ == __name__
    assert inspect.signature(memo) == inspect.signature(add)
    memo.note = "kept"
    assert memo.note == "kept"
    assert weakref.ref(memo)() is memo


def test_a_memo_on_a_class_is_a_method() -> None:
    class Model:
        def __infercache_key__(self) -> tuple[()]:
            return ()

        def score(self, x: int) -> Any:
            return [self, x]

    memo, slow, _, _ = make(Model.score)
    Model.score = memo  # type: ignore[method-assign]
    model = Model()
    assert model.score(1) is model.score(x=1)
    assert model.score(1) is Model.score(model, 1)
    assert Model.score is memo
    assert len(slow.calls) == 1


def test_threads_share_the_entries() -> None:
    memo, _, _, _ = make(add)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(3000):
            a, b = chance.randrange(30), chance.choice(["x", 2.0, (1, 2)])
            if memo(a, b)[:2] != [a, b]:
                wrong.append((a, b))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_memo_in_a_circle_is_collected() -> None:
    class Holder:
        memo: Any

    def build() -> weakref.ref[Any]:
        holder = Holder()
        holder.memo, slow, _, _ = make(add)
        slow.holder = holder  # type: ignore[attr-defined]
        return weakref.ref(holder)

    gone = build()
    gc.collect()
    assert gone() is None


def test_an_ignored_name_that_is_no_parameter_is_refused() -> None:
    with pytest.raises(SettingError, match=r"ignore='verbos' .*did you mean 'verbose'"):
        Arguments(lambda verbose: 1, ["verbos"])


def test_a_builtin_without_a_signature_is_bound_as_a_whole() -> None:
    arguments = Arguments(max)
    assert arguments.values((1, 2), {"key": None}) == ((1, 2), {"key": None})
