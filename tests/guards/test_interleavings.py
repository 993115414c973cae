"""Many requests and invalidations in every order: nobody is served what was invalidated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infercache.clock import ManualClock
from infercache.events import Events
from infercache.guards.algorithm import Algorithm
from infercache.guards.base import Terms
from infercache.guards.effects import Call, Compute, Sleep, Steps, Wait
from infercache.guards.flight import Work, inside
from infercache.guards.job import Item, Job
from infercache.guards.signal import Signal
from infercache.key import Key
from infercache.stores.base import Invalidation
from infercache.testing.lookups import DictLookup

Ready = Callable[[], bool]
Task = Generator[Ready, None, None]
KEYS = [Key("", "n", "v", bytes([i]) * 16) for i in range(3)]


class FakeMachineLock:
    """One lock table for several fake processes, each with its own counts."""

    def __init__(self, owners: dict[bytes, FakeMachineLock]) -> None:
        self.owners = owners
        self.counts: dict[bytes, int] = {}

    def try_acquire(self, digest: bytes) -> bool:
        if self.owners.setdefault(digest, self) is not self:
            return False
        self.counts[digest] = self.counts.get(digest, 0) + 1
        return True

    def release(self, digest: bytes) -> None:
        self.counts[digest] -= 1
        if not self.counts[digest]:
            del self.owners[digest]


class Asleep:
    """A request that polls: worth waking when a lock has moved."""

    def __init__(self, owners: dict[bytes, FakeMachineLock]) -> None:
        self._now = owners
        self._then = dict(owners)

    def __call__(self) -> bool:
        return self._now != self._then


class Pausing:
    """Runs a call in a thread that stops at every `pause()` until the scheduler goes on."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self._run = run
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self.done = False
        self.result: Any = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def _main(self) -> None:
        self._go.acquire()
        try:
            self.result = self._run()
        finally:
            self.done = True
            self._stopped.release()

    def pause(self) -> None:
        self._stopped.release()
        self._go.acquire()

    def step(self) -> None:
        self._go.release()
        self._stopped.acquire()
        if self.done:
            self._thread.join()


class World:
    """Runs generators of the algorithm step by step, in an order that the test chooses."""

    def __init__(self, processes: int) -> None:
        clock = ManualClock()
        self.lookup = DictLookup(clock, fenced=processes > 1)
        self.lookup.pause = self._pause
        self.owners: dict[bytes, FakeMachineLock] = {}
        self.locks = [FakeMachineLock(self.owners) for _ in range(processes)]
        self.guards = [
            Algorithm(
                self.lookup,
                clock,
                Events(),
                lock if processes > 1 else None,  # type: ignore[arg-type]
                self.lookup.drop,
                lambda: 0.5,
            )
            for lock in self.locks
        ]
        self.truth = [0, 0, 0]
        self.floor = [0, 0, 0]
        self.computed: list[int] = []
        self._writing: Pausing | None = None

    def _pause(self) -> None:
        if self._writing is not None:
            self._writing.pause()

    # -- what happens --------------------------------------------------------------------

    def read(self, process: int, numbers: list[int]) -> Task:
        """One request: what it returns is no older than the last invalidation before it."""
        guard = self.guards[process]
        floor = [self.floor[i] for i in numbers]

        def compute(rows: list[int]) -> list[int]:
            self.computed.extend(rows)
            return [self.truth[i] for i in rows]

        work: Work = guard.flights.open_work()
        items = [Item(KEYS[i], i) for i in numbers]
        job = Job(items, compute, False, Terms(), work)
        try:
            yield from self._perform(guard.resolve(job))
        finally:
            guard.flights.close_work(work)
        served = [job.results[KEYS[i].digest] for i in numbers]
        assert all(s >= f for s, f in zip(served, floor, strict=True)), (numbers, served, floor)

    def invalidate(self, process: int, number: int) -> Task:
        """The truth changes, and everybody must know of it when this returns."""
        self.truth[number] += 1
        truth = self.truth[number]
        what = Invalidation(digest=KEYS[number].digest)
        yield _ready
        yield from self._perform(self.guards[process].forget(what))
        yield _ready
        self.lookup.invalidate(what, KEYS)
        self.floor[number] = max(self.floor[number], truth)

    def _perform(self, steps: Steps) -> Task:
        try:
            effect = steps.send(None)
            while True:
                outcome: Any = None
                if isinstance(effect, Compute):
                    token = inside.set(effect.work)
                    outcome = effect.run()
                    inside.reset(token)
                    yield _ready
                elif isinstance(effect, Call) and effect.name == "keep":
                    outcome = yield from self._write(effect)
                elif isinstance(effect, Call):
                    yield _ready
                    outcome = effect.run()
                    yield _ready  # what was seen may be out of date before it is used
                elif isinstance(effect, Wait):
                    yield partial(_has_fired, effect.signal)
                    outcome = True
                else:
                    assert isinstance(effect, Sleep)
                    yield Asleep(self.owners)
                effect = steps.send(outcome)
        except StopIteration:
            return
        finally:
            steps.close()

    def _write(self, effect: Call) -> Generator[Ready, None, Any]:
        pausing = Pausing(effect.run)
        try:
            while not pausing.done:
                self._go_on(pausing)
                yield _ready
        finally:
            while not pausing.done:  # a request that vanishes leaves its write to its end
                self._go_on(pausing)
        return pausing.result

    def _go_on(self, pausing: Pausing) -> None:
        self._writing = pausing
        pausing.step()
        self._writing = None

    # -- in which order ------------------------------------------------------------------

    def run(
        self,
        tasks: list[Task],
        choose: Callable[[int], int],
        note: Callable[[list[Task]], object] = len,
    ) -> None:
        """Run all tasks to their end; `choose(n)` picks the next of n, -k ends one early."""
        alive: dict[Task, Ready] = dict.fromkeys(tasks, _ready)
        try:
            self._run_all(alive, choose, note)
        finally:
            for task in alive:
                task.close()
        for guard in self.guards:
            assert len(guard.flights) == 0
            assert len(guard.production.leases) == 0
        assert not self.owners

    def _run_all(
        self,
        alive: dict[Task, Ready],
        choose: Callable[[int], int],
        note: Callable[[list[Task]], object],
    ) -> None:
        polls = 0
        while alive:
            ready = [task for task, is_ready in alive.items() if is_ready()]
            polls = 0 if ready else polls + 1
            ready = ready or [task for task, is_ready in alive.items() if type(is_ready) is Asleep]
            assert ready, "everybody waits for everybody"
            assert polls < 100, "everybody polls for what nobody gives back"
            note(ready)
            pick = choose(len(ready))
            task = ready[abs(pick) % len(ready)]
            try:
                if pick < 0:
                    task.close()
                    del alive[task]
                else:
                    alive[task] = next(task)
            except StopIteration:
                del alive[task]


def _ready() -> bool:
    return True


def _has_fired(signal: Signal) -> bool:
    return signal.fired


def _round_robin() -> Callable[[int], int]:
    turn = [0]

    def choose(count: int) -> int:
        turn[0] += 1
        return turn[0] % count

    return choose


def _scripted(data: st.DataObject, may_cancel: bool) -> Callable[[int], int]:
    """Bursts: somebody runs on for a while, which reaches rare orders soonest."""
    left = [40]
    burst = [0, 0]
    rest = _round_robin()

    def choose(count: int) -> int:
        if burst[1] <= 0:
            left[0] -= 1
            if left[0] < 0:
                return rest(count)
            burst[0] = data.draw(st.integers(0, 11))
            burst[1] = data.draw(st.integers(1, 9))
            if may_cancel and data.draw(st.integers(0, 7)) == 0:
                burst[1] = 0
                return -(burst[0] % count) - count
        burst[1] -= 1
        return burst[0] % count

    return choose


numbers_of_keys = st.sampled_from([[0], [0], [0], [1], [0, 1], [1, 0]])
requests = st.lists(numbers_of_keys, min_size=1, max_size=4)


@pytest.mark.parametrize("processes", [1, 2])
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_nobody_is_served_what_was_invalidated_before_asking(
    processes: int, data: st.DataObject
) -> None:
    """Requests of one or two processes, invalidations by either, writes that take a while."""
    world = World(processes)
    process = st.integers(0, processes - 1)
    for _ in range(2):
        tasks = [world.read(data.draw(process), n) for n in data.draw(requests)]
        changed = data.draw(st.lists(st.sampled_from([0, 0, 1]), max_size=2))
        tasks += [world.invalidate(data.draw(process), number) for number in changed]
        world.run(tasks, _scripted(data, may_cancel=False))


@pytest.mark.parametrize("processes", [1, 2])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_requests_that_vanish_at_any_point_leave_nothing_behind(
    processes: int, data: st.DataObject
) -> None:
    """A cancelled request hands over: the others end, and nothing stays locked or leased."""
    world = World(processes)
    process = st.integers(0, processes - 1)
    tasks = [world.read(data.draw(process), n) for n in data.draw(requests)]
    tasks.append(world.invalidate(data.draw(process), 0))
    world.run(tasks, _scripted(data, may_cancel=True))


@pytest.mark.parametrize("processes", [1, 2])
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_every_key_is_computed_once_in_any_order(processes: int, data: st.DataObject) -> None:
    world = World(processes)
    process = st.integers(0, processes - 1)
    asked = data.draw(requests)
    tasks = [world.read(data.draw(process), numbers) for numbers in asked]
    world.run(tasks, _scripted(data, may_cancel=False))
    assert sorted(world.computed) == sorted({i for numbers in asked for i in numbers})


PREEMPTIONS = 2
Script = tuple[str, int, int]  # "read" or "invalidate", process, key


@pytest.mark.parametrize(
    "scripts",
    [
        [("read", 0, 0), ("invalidate", 0, 0), ("read", 0, 0)],
        [("read", 0, 0), ("invalidate", 1, 0), ("read", 0, 0)],
        [("read", 0, 0), ("read", 1, 0), ("invalidate", 1, 0)],
        pytest.param(
            [("read", 0, 0), ("read", 1, 0), ("invalidate", 1, 0), ("read", 0, 0)],
            marks=pytest.mark.drill,
        ),
        [("read", 0, 0), ("read", 0, 0), ("read", 0, 0)],
        [("read", 0, 0), ("read", 1, 0), ("read", 0, 0)],
    ],
    ids=lambda scripts: "-".join(f"{what}{process}" for what, process, _ in scripts),
)
def test_all_orders_with_few_preemptions(scripts: list[Script]) -> None:
    """Exhaustively: somebody is interrupted at most twice, anywhere, by anybody.

    Source: Musuvathi, Qadeer, "Iterative Context Bounding for Systematic Testing of
    Multithreaded Programs", PLDI 2007: few interruptions suffice to show most races.
    """
    orders = 0
    prefix: list[int] = []
    while True:
        world = World(1 + max(process for _, process, _ in scripts))
        tasks = [
            world.read(process, [key]) if what == "read" else world.invalidate(process, key)
            for what, process, key in scripts
        ]
        explorer = Explorer(prefix)
        world.run(tasks, explorer.choose, explorer.note)
        orders += 1
        if not any(what == "invalidate" for what, _, _ in scripts):
            assert len(world.computed) == 1
        next_prefix = explorer.next_prefix()
        if next_prefix is None:
            break
        prefix = next_prefix
    assert orders > 20


class Explorer:
    """Chooses by a prefix of decisions, then the first option; knows what else there was."""

    def __init__(self, prefix: list[int]) -> None:
        self._prefix = prefix
        self._taken: list[tuple[int, int]] = []
        self._left = PREEMPTIONS
        self._ready: list[Task] = []
        self._last: Task | None = None

    def note(self, ready: list[Task]) -> None:
        """Be told who could go on."""
        self._ready = ready

    def choose(self, count: int) -> int:
        running = self._last in self._ready
        options = list(range(count))
        if running:
            assert self._last is not None
            current = self._ready.index(self._last)
            options.remove(current)
            options = [current, *(options if self._left else [])]
        place = len(self._taken)
        decision = self._prefix[place] if place < len(self._prefix) else 0
        self._taken.append((decision, len(options)))
        self._left -= running and decision > 0
        pick = options[decision]
        self._last = self._ready[pick]
        return pick

    def next_prefix(self) -> list[int] | None:
        taken = list(self._taken)
        while taken and taken[-1][0] == taken[-1][1] - 1:
            taken.pop()
        if not taken:
            return None
        return [decision for decision, _ in taken[:-1]] + [taken[-1][0] + 1]
