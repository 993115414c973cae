"""A few threads that run calls beside the caller, never more than a bound."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from infercache.forks import forget_in_child

_IDLE_S = 10.0

_Task = tuple[Callable[[], Any], "Future[Any]"]


class Workers:
    """Runs calls in daemon threads that start when needed and leave when idle. Thread-safe.

    Unlike `ThreadPoolExecutor` it refuses what it cannot take at once or soon, so that a call
    that hangs holds one thread and never a growing queue, and it does not keep the interpreter
    from exiting.

    Args:
        limit: Most threads.
        name: Prefix of the threads' names.
        queue_limit: Most calls that may wait for a thread.
    """

    def __init__(self, limit: int, name: str, queue_limit: int = 0) -> None:
        self.limit = limit
        self.queue_limit = queue_limit
        self._name = name
        self._closed = False
        self._reset()
        forget_in_child(self)

    def _reset(self) -> None:
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._mutex = threading.Lock()
        self._changed = threading.Condition(self._mutex)
        self._threads = 0
        self.outstanding = 0

    def submit(self, call: Callable[[], Any]) -> Future[Any] | None:
        """Run a call soon; None if every thread is busy and the queue is full, or if closed."""
        future: Future[Any] = Future()
        with self._mutex:
            if self._closed or self.outstanding >= self.limit + self.queue_limit:
                return None
            self.outstanding += 1
            start = self.outstanding > self._threads and self._threads < self.limit
            self._threads += start
        self._tasks.put((call, future))
        if start:
            threading.Thread(target=self._run, name=f"{self._name}-worker", daemon=True).start()
        return future

    def _run(self) -> None:
        while True:
            try:
                task = self._tasks.get(timeout=_IDLE_S)
            except queue.Empty:
                task = None
            if task is None:
                with self._mutex:
                    if self._tasks.empty():
                        self._threads -= 1
                        return
                continue
            self._work(*task)
            del task

    def _work(self, call: Callable[[], Any], future: Future[Any]) -> None:
        try:
            if future.set_running_or_notify_cancel():
                self._finish(call, future)
        finally:
            with self._changed:
                self.outstanding -= 1
                self._changed.notify_all()

    @staticmethod
    def _finish(call: Callable[[], Any], future: Future[Any]) -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - handed to whoever holds the future
            future.set_exception(error)
        else:
            future.set_result(result)

    def close(self, wait_s: float = 0.0) -> bool:
        """Take nothing more; return whether all that was taken ended within `wait_s`."""
        with self._changed:
            self._closed = True
            for _ in range(self._threads):
                self._tasks.put(None)
            return self._changed.wait_for(lambda: self.outstanding == 0, timeout=wait_s)

    def forget_parent(self) -> None:
        """Start without threads: a forked child has none of its parent's."""
        self._reset()
