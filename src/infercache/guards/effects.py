"""What a guarded lookup asks of the outside world, and who does it: a thread or a task.

The algorithm (`algorithm`) is a generator that yields these effects and is sent their outcome;
an effect that raises is thrown into it. The two drivers are all that differs between sync and
async use, and a test can be a third one that chooses the order of things.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from infercache.guards.flight import Work, inside
from infercache.guards.signal import Signal
from infercache.guards.workers import Workers


@dataclass(slots=True)
class Call:
    """Run something of the cache's own that may block, such as a disk.

    Attributes:
        name: "find", "lease" or "keep".
        run: What to run.
        must_finish: A caller that is cancelled meanwhile leaves only when it is done.
    """

    name: str
    run: Callable[[], Any]
    must_finish: bool = False


@dataclass(slots=True)
class Compute:
    """Run the user's computation; async ones are awaited.

    Attributes:
        run: What to run.
        work: The request that it belongs to.
        function: The user's own function, which `run` calls.
    """

    run: Callable[[], Any]
    work: Work
    function: Callable[..., Any]


@dataclass(slots=True)
class Wait:
    """Wait until a signal fires, at most so long (None: for ever); return whether it did."""

    signal: Signal
    timeout_s: float | None


@dataclass(slots=True)
class Sleep:
    """Do nothing for a while."""

    seconds: float


Effect = Call | Compute | Wait | Sleep
Steps = Generator[Effect, Any, Any]


def run_sync(steps: Steps) -> Any:
    """Run a guarded lookup in the calling thread."""
    try:
        effect = steps.send(None)
        while True:
            try:
                outcome = _perform(effect)
            except BaseException as error:  # noqa: BLE001 - the algorithm decides
                effect = steps.throw(error)
            else:
                effect = steps.send(outcome)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def _perform(effect: Effect) -> Any:
    kind = type(effect)
    if kind is Call:
        return effect.run()  # type: ignore[union-attr]
    if kind is Compute:
        return _compute_sync(effect)  # type: ignore[arg-type]
    if kind is Wait:
        return wait_sync(effect.signal, effect.timeout_s)  # type: ignore[union-attr]
    time.sleep(effect.seconds)  # type: ignore[union-attr]
    return None


def _compute_sync(effect: Compute) -> Any:
    token = inside.set(effect.work)
    try:
        return effect.run()
    finally:
        inside.reset(token)


def wait_sync(signal: Signal, timeout_s: float | None) -> bool:
    """Block the calling thread until a signal fires; return whether it did."""
    event = threading.Event()
    if not signal.subscribe(event.set):
        return True
    try:
        event.wait(timeout_s)
    finally:
        signal.unsubscribe(event.set)
    return signal.fired


async def run_async(steps: Steps, workers: Workers | None) -> Any:
    """Run a guarded lookup in the running task; what may block goes to `workers`, if given.

    A computation that is a coroutine function is awaited in this task; any other runs in a
    thread of the event loop's executor, and what it returns is awaited if it can be.
    """
    cancelled: asyncio.CancelledError | None = None
    try:
        effect = steps.send(None)
        while True:
            try:
                if cancelled is not None:
                    raise cancelled
                if type(effect) is Call and effect.must_finish:
                    outcome, cancelled = await _finish(effect, workers)
                else:
                    outcome = await _perform_async(effect, workers)
            except BaseException as error:  # noqa: BLE001 - the algorithm decides
                effect = steps.throw(error)
            else:
                effect = steps.send(outcome)
    except StopIteration as stop:
        if cancelled is not None:
            raise cancelled from None
        return stop.value
    finally:
        steps.close()


async def _perform_async(effect: Effect, workers: Workers | None) -> Any:
    if isinstance(effect, Call):
        future = None if workers is None else workers.submit(effect.run)
        return effect.run() if future is None else await asyncio.wrap_future(future)
    if isinstance(effect, Compute):
        return await _compute_async(effect)
    if isinstance(effect, Wait):
        return await wait_async(effect.signal, effect.timeout_s)
    await asyncio.sleep(effect.seconds)
    return None


async def _finish(
    effect: Call, workers: Workers | None
) -> tuple[Any, asyncio.CancelledError | None]:
    """Run a call to its end even if the task is cancelled; return the cancellation too."""
    future = None if workers is None else workers.submit(effect.run)
    if future is None:
        return effect.run(), None
    waited = asyncio.ensure_future(asyncio.wrap_future(future))
    cancelled = None
    while not waited.done():
        try:
            await asyncio.shield(waited)
        except asyncio.CancelledError as error:
            cancelled = error
    return waited.result(), cancelled


async def _compute_async(effect: Compute) -> Any:
    token = inside.set(effect.work)
    try:
        if _is_coroutine_function(effect.function):
            return await effect.run()
        outcome = await asyncio.to_thread(effect.run)
        return await outcome if inspect.isawaitable(outcome) else outcome
    finally:
        inside.reset(token)


def _is_coroutine_function(run: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(run) or inspect.iscoroutinefunction(
        getattr(run, "__call__", None)  # noqa: B004 - an object whose call is a coroutine
    )


async def wait_async(signal: Signal, timeout_s: float | None) -> bool:
    """Suspend the running task until a signal fires; return whether it did."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not future.done():
            future.set_result(None)

    def wake() -> None:
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(settle)
            except RuntimeError:  # the loop closed in between: its task is gone
                return

    if not signal.subscribe(wake):
        return True
    try:
        await asyncio.wait_for(future, timeout_s)
    except asyncio.TimeoutError:
        pass
    finally:
        signal.unsubscribe(wake)
    return signal.fired
