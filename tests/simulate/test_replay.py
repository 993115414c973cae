"""What replay counts, and what it refuses."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from infercache.errors import SettingError
from infercache.policies import POLICIES
from infercache.policies.base import Policy
from infercache.simulate.replay import replay


class Oldest(Policy):
    """FIFO in Python."""

    def __init__(self) -> None:
        self.queue: list[bytes | int] = []

    def on_insert(self, key: bytes | int, size_bytes: int, cost_s: float) -> None:
        self.queue.append(key)

    def on_hit(self, key: bytes | int) -> None:
        pass

    def on_remove(self, key: bytes | int) -> None:
        self.queue.remove(key)

    def victims(self) -> list[bytes | int]:
        return self.queue[:1]


def test_counts_requests_bytes_and_savings() -> None:
    answer = replay([1, 2, 1, 3, 1], "lru", 30, sizes=[10, 20, 10, 31, 10], costs=[1, 2, 1, 8, 0.5])
    assert (answer.requests, answer.hits, answer.misses) == (5, 2, 3)
    assert (answer.requested_bytes, answer.hit_bytes) == (81, 20)
    assert answer.saved_s == 1.5
    assert (answer.evictions, answer.rejected) == (0, 1)
    assert answer.hit_ratio == 0.4
    assert answer.byte_hit_ratio == 20 / 81
    assert answer.outcomes is None


@pytest.mark.parametrize("policy", POLICIES.names())
def test_an_empty_trace_and_an_empty_cache_are_answered(policy: str) -> None:
    assert replay([], policy, 10).hit_ratio == 0.0
    assert replay([], policy, 10).byte_hit_ratio == 0.0
    nothing = replay([1, 1, 2], policy, 0)
    assert (nothing.misses, nothing.rejected) == (3, 3)


@pytest.mark.parametrize("dtype", ["uint64", "int64", "int32", "uint8", ">i4", ">u8"])
def test_integers_of_every_kind_are_the_same_keys(dtype: str) -> None:
    keys = np.array([5, 6, 5, 7, 6, 5], dtype=dtype)
    assert replay(keys, "lru", 2, outcomes=True).outcomes == bytes([0, 0, 1, 0, 0, 0])
    assert replay(keys[::2], "lru", 2, outcomes=True).outcomes == bytes([0, 1, 0])


def test_negative_keys_are_keys() -> None:
    assert replay([-1, -2, -1], "fifo", 2).hits == 1


def test_a_policy_in_python_decides_as_the_native_one() -> None:
    keys = np.random.default_rng(1).integers(0, 50, 2000)
    for policy in (Oldest, Oldest()):
        ours = replay(keys, policy, 20, outcomes=True)
        assert ours == replay(keys, "fifo", 20, outcomes=True)


def test_what_a_policy_raises_reaches_the_caller() -> None:
    class Broken(Oldest):
        def victims(self) -> list[bytes | int]:
            raise ZeroDivisionError("of my own")

    with pytest.raises(ZeroDivisionError, match="of my own"):
        replay([1, 2, 3], Broken, 2)


def test_a_policy_that_names_nothing_is_found_out() -> None:
    class Idle(Oldest):
        def victims(self) -> list[bytes | int]:
            return []

    with pytest.raises(RuntimeError, match="named no entry"):
        replay([1, 2, 3], Idle, 2)


def test_bad_input_is_refused_with_a_sentence() -> None:
    with pytest.raises(SettingError, match="did you mean 'lru'"):
        replay([1], "lur", 1)
    with pytest.raises(TypeError, match="keys must be one row of integers"):
        replay(np.array([1.5]), "lru", 1)
    with pytest.raises(ValueError, match="size -4 of request 1 is negative"):
        replay([1, 2], "lru", 1, sizes=[1, -4])
    with pytest.raises(ValueError, match="1 sizes for 2 keys"):
        replay([1, 2], "lru", 1, sizes=[1])
    with pytest.raises(ValueError, match="3 costs for 2 keys"):
        replay([1, 2], "lru", 1, costs=[1, 2, 3])
    with pytest.raises(ValueError, match="costs must be finite"):
        replay([1, 2], "lru", 1, costs=[1, float("nan")])


def test_other_threads_run_while_a_native_replay_does() -> None:
    keys = np.random.default_rng(2).integers(0, 1 << 20, 3_000_000)
    running = threading.Event()
    seen: list[None] = []

    def work() -> None:
        running.set()
        replay(keys, "s3fifo", 1 << 18)
        running.clear()

    thread = threading.Thread(target=work)
    thread.start()
    running.wait()
    while running.is_set():
        seen.append(None)
    thread.join()
    # With the interpreter lock held throughout, this loop would run for one switch or two.
    assert len(seen) > 10_000
