"""`version="auto"`: what counts of a function's code."""

from __future__ import annotations

import functools
import json
import threading
import types
from typing import Any

import pytest
import torch

from infercache import KeySpace, _core
from infercache.errors import UnkeyableError
from infercache.keys import code_version


def load(source: str, name: str = "module_under_test") -> Any:
    """Return a module made from source."""
    module = types.ModuleType(name)
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module


def version(source: str, name: str = "f") -> str:
    return code_version(getattr(load(source), name))


BASE = "K = 1\ndef g(x):\n    return x + K\ndef f(x, y=2):\n    return g(x) * y\n"


@pytest.mark.parametrize(
    "same",
    [
        "\n\n# a comment\n" + BASE,
        BASE + "OTHER = 5\n",
        BASE.replace("def f", "def unused():\n    pass\ndef f"),
        BASE.replace("    return g", "\n    # reason\n    return g"),
    ],
)
def test_lines_comments_and_neighbours_do_not_count(same: str) -> None:
    assert version(same) == version(BASE)


@pytest.mark.parametrize(
    "changed",
    [
        BASE.replace("* y", "- y"),
        BASE.replace("y=2", "y=3"),
        BASE.replace("y=2", "*, y=2"),
        BASE.replace("x + K", "x - K"),
        BASE.replace("K = 1", "K = 2"),
        BASE.replace("K = 1", "K = 1.0"),
        BASE.replace("K = 1", "K = (1, 'a')"),
        BASE.replace("return g(x)", "return (lambda: x)()"),
    ],
)
def test_code_defaults_constants_and_functions_that_it_uses_count(changed: str) -> None:
    assert version(changed) != version(BASE)


def test_functions_may_use_each_other() -> None:
    source = "def f(n):\n    return n and g(n - 1)\ndef g(n):\n    return n and f(n - 1)\n"
    assert version(source) == version(source)
    assert version(source) != version(source.replace("n and f", "n or f"))
    assert version(source) != version(source, "g")


def test_a_decorated_function_counts_by_what_it_wraps() -> None:
    source = "import functools\n@functools.lru_cache\ndef g(x):\n    return x\n"
    source += "def f(x):\n    return g(x)\n"
    assert version(source) != version(source.replace("return x\ndef", "return -x\ndef"))
    assert version(source, "g") != version(source.replace("return x\ndef", "return -x\ndef"), "g")


def closure(*captured: Any) -> Any:
    first = captured[0]

    def inner(x: Any) -> Any:
        return first, x

    return inner


def test_the_closure_counts() -> None:
    assert code_version(closure(1)) == code_version(closure(1))
    assert len({code_version(closure(value)) for value in (1, 2, True, "a", [1], {1: 2})}) == 6
    assert code_version(closure(closure(1))) != code_version(closure(closure(2)))


def test_an_empty_cell_counts_as_such() -> None:
    def make(fill: bool) -> Any:
        def inner() -> Any:
            return later

        if fill:
            later = None
        return inner

    assert code_version(make(False)) != code_version(make(True))


def test_a_closure_without_a_key_is_named() -> None:
    with pytest.raises(UnkeyableError, match=r"inner', its closure variable 'first': type .*lock"):
        code_version(closure(threading.Lock()))
    with pytest.raises(
        UnkeyableError, match=r"closure variable 'first'\['model'\]: a torch module"
    ):
        code_version(closure({"model": torch.nn.Linear(1, 1)}))


def test_torch_modules_must_be_named_by_the_version() -> None:
    with pytest.raises(UnkeyableError, match=r"Linear.*fingerprint of the model into version="):
        code_version(torch.nn.Linear(1, 1))
    module = load("def f(x):\n    return MODEL(x)\n")
    module.MODEL = torch.nn.Linear(1, 1)
    with pytest.raises(UnkeyableError, match="the global 'MODEL': a torch module"):
        code_version(module.f)


class Scorer:
    def __init__(self, scale: int) -> None:
        self.scale = scale

    def __call__(self, x: int) -> int:
        return x * self.scale

    def score(self, x: int) -> int:
        return x

    @classmethod
    def make(cls, x: int) -> int:
        return x

    @staticmethod
    def plain(x: int) -> int:
        return x

    def __infercache_key__(self) -> tuple[int]:
        return (self.scale,)


def test_all_kinds_of_callables_have_versions() -> None:
    kinds = [
        closure(1), Scorer(1), Scorer(2), Scorer(1).score, Scorer.make, Scorer.plain, Scorer, len,
        str.upper, "a".upper, functools.partial(closure(1), 1), functools.partial(closure(1), 2),
        functools.partial(closure(2), 1), functools.lru_cache(Scorer(1).score),
        json.dumps, torch.relu, torch.nn.functional.gelu,
    ]  # fmt: skip
    assert (
        len({code_version(kind) for kind in kinds}) == len(kinds) - 1
    )  # lru_cache is seen through
    assert code_version(Scorer(1).score) == code_version(Scorer(2).score)


def test_a_version_is_text_of_32_digits() -> None:
    assert len(bytes.fromhex(code_version(len))) == 16


def test_functions_given_as_arguments_count_by_code() -> None:
    space = KeySpace("", "test", "1")
    one, same, other = (load(f"def f(x): return x + {n}\n").f for n in (1, 1, 2))
    assert space.digest([one]) == space.digest([same]) != space.digest([other])
    assert space.digest(lambda: 1) != space.digest(lambda: 2)
    assert space.digest(Scorer(1).score) != space.digest(Scorer(2).score)


def test_a_memo_in_the_code_counts_by_what_it_wraps() -> None:
    module = load(BASE)
    table = _core.Table(capacity_entries=1)
    plain = code_version(module.f)
    slow = lambda args, kwargs, digest, due: None  # noqa: E731
    memo = _core.Memo(table, bytes(32), "blake3", slow, nparams=1)
    module.g = functools.update_wrapper(memo, module.g)
    assert code_version(module.f) == plain
