"""A time limit for calls into something that may hang."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import TypeVar

from infercache.errors import StoreUnavailableError
from infercache.guards.workers import Workers

T = TypeVar("T")

_WORKERS = 8
_QUEUED = 64


class DeadlineError(StoreUnavailableError):
    """A call did not answer within its deadline, or no thread was left to make it."""


class Deadline:
    """Runs calls in worker threads and stops waiting after a limit. Thread-safe.

    A call that hangs cannot be ended from outside: its thread stays until it answers. There
    are at most 8 of them; when all hang, further calls wait in a queue that is bounded too,
    and are withdrawn at their deadline. Nothing piles up.

    Cost: one hand-over to a thread, about 50 us.

    Args:
        seconds: The limit, waiting for a thread included.
        name: What is called, for messages.
    """

    def __init__(self, seconds: float, name: str) -> None:
        self.seconds = seconds
        self._name = name
        self._workers = Workers(_WORKERS, f"infercache-{name}", _QUEUED)

    def run(self, call: Callable[[], T]) -> T:
        """Return what the call returns, or raise what it raises.

        Raises:
            DeadlineError: it took too long, or everything before it hangs.
        """
        future = self._workers.submit(call)
        if future is None:
            raise DeadlineError(f"{self._name}: all {_WORKERS} threads hang in earlier calls")
        done, _ = concurrent.futures.wait([future], self.seconds)
        if not done:
            future.cancel()
            raise DeadlineError(f"{self._name}: no answer within {self.seconds:g} s")
        result: T = future.result()
        return result

    def hanging(self) -> int:
        """Return how many calls have not answered yet."""
        return self._workers.outstanding

    def close(self) -> None:
        """Take no more calls; those that hang are left to themselves."""
        self._workers.close()
