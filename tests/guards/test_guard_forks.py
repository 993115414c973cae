"""A forked child of a busy process can use the same guard."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable

import pytest

from infercache.guards.base import Terms
from infercache.guards.engine import Guard
from infercache.guards.negative import copy_error
from infercache.key import Key

MakeKey = Callable[[int], Key]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_computes_what_its_parent_was_computing(
    machine_guard: Guard, make_key: MakeKey
) -> None:
    """The child has neither the thread that computes nor the lock that it holds.

    It waits for its parent's lock like any other process, and takes over from there.
    """
    inside, go = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        go.wait(10)
        return "parent"

    thread = threading.Thread(
        target=machine_guard.get_or_compute, args=(make_key(1), slow, Terms())
    )
    thread.start()
    inside.wait(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking a threaded process
        child = os.fork()
    if child == 0:
        code = 1
        try:
            threading.Timer(0.2, lambda: None).start()
            assert machine_guard.counts()["flights"] == 0
            assert machine_guard.get_or_compute(make_key(2), lambda: "own", Terms()) == "own"
            assert machine_guard.get_or_compute(make_key(1), lambda: "child", Terms()) == "child"
            code = 0
        finally:
            os._exit(code)
    go.set()
    thread.join(5)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


class Stubborn(Exception):
    """Wants more than `args` to be made."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(code)
        self.reason = reason


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a", 1),
        FileNotFoundError(2, "gone", "/x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        Stubborn(3, reason="because"),
        KeyError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_copied_error_says_the_same(error: Exception) -> None:
    error.__dict__["__notes__"] = ["note"]
    twin = copy_error(error)
    assert twin is not error
    assert (type(twin), twin.args, str(twin)) == (type(error), error.args, str(error))
    assert twin.__cause__ is error
    assert twin.__dict__["__notes__"] == ["note"]
    assert getattr(twin, "reason", None) == getattr(error, "reason", None)


def test_error_that_cannot_be_copied_is_shared() -> None:
    class Single(Exception):
        def __copy__(self) -> Single:
            return self

    error = Single("one")
    assert copy_error(error) is error
