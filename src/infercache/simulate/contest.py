"""Policies side by side over one trace, between LRU and the optimum."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infercache.errors import SettingError
from infercache.policies.registry import POLICIES
from infercache.simulate.capacities import Capacity
from infercache.simulate.optimum import belady
from infercache.simulate.prefixes import strict_hits
from infercache.simulate.replay import Replay, replay
from infercache.simulate.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BASE = "lru"
OPTIMUM = "belady"
BINS = 60


@dataclass(frozen=True, slots=True)
class Cell:
    """What one policy did with one capacity.

    Attributes:
        trace: The trace's name.
        policy: The policy's name; "belady" for the optimum.
        capacity: What it had.
        accesses: Number of accesses.
        hits: Those that hit; with the prefix rule those whose predecessors hit too.
        requested_bytes: Sum of the sizes of all accesses.
        hit_bytes: Sum of the sizes of the hits.
        saved_s: Sum of the costs of the hits.
        seconds: What the replay took.
        timeline: Miss ratio in each of `BINS` equal parts of the trace, in accesses.
    """

    trace: str
    policy: str
    capacity: Capacity
    accesses: int
    hits: int
    requested_bytes: int
    hit_bytes: int
    saved_s: float
    seconds: float
    timeline: tuple[float, ...]

    @property
    def miss_ratio(self) -> float:
        """Return the share of accesses that missed."""
        return 1 - self.hits / self.accesses

    @property
    def byte_miss_ratio(self) -> float:
        """Return the share of bytes that missed."""
        return 1 - self.hit_bytes / self.requested_bytes if self.requested_bytes else 0.0


@dataclass(frozen=True, slots=True)
class Contest:
    """All cells of one trace, policies in the order in which they were asked for."""

    trace: str
    cells: tuple[Cell, ...]

    def cell(self, policy: str, capacity: Capacity) -> Cell:
        """Return one cell."""
        return next(
            cell for cell in self.cells if cell.policy == policy and cell.capacity == capacity
        )

    def capacities(self) -> list[Capacity]:
        """Return the capacities, in the order in which they were asked for."""
        return list(dict.fromkeys(cell.capacity for cell in self.cells))

    def policies(self) -> list[str]:
        """Return the policies, LRU first and the optimum last."""
        return list(dict.fromkeys(cell.policy for cell in self.cells))

    def gap_closed(self, cell: Cell) -> float | None:
        """Return (miss LRU - miss) / (miss LRU - miss optimum); None where these are equal."""
        base, best = self.cell(BASE, cell.capacity), self.cell(OPTIMUM, cell.capacity)
        gap = best.hits - base.hits
        return (cell.hits - base.hits) / gap if gap > 0 else None


def known_policy(name: str) -> str:
    """Return the name if it is one of a policy.

    Raises:
        SettingError: it is not; the message names the nearest.
    """
    if name != OPTIMUM and name not in POLICIES:
        raise SettingError(POLICIES.unknown(name))
    return name


def compete(
    trace: Trace,
    policies: Sequence[str],
    capacities: Sequence[Capacity],
    *,
    prefix_rule: bool = False,
    in_bytes: bool = False,
    workers: int | None = None,
    done: Callable[[], None] = lambda: None,
) -> Contest:
    """Replay a trace through each policy, LRU and the optimum, with each capacity.

    Replays run side by side on all cores; each takes one byte an access for its outcomes.

    Args:
        trace: The trace.
        policies: Names; LRU and the optimum need not be among them.
        capacities: In entries, or in bytes if `in_bytes`.
        prefix_rule: Count a hit only where all earlier accesses of the request hit too.
        in_bytes: Use the sizes of the trace.
        workers: Replays at a time; None for one a core. Times are fair with 1 only.
        done: Called after each replay, from any thread.

    Raises:
        SettingError: an unknown policy, or a trace without requests or sizes where asked for.
    """
    names = list(dict.fromkeys([BASE, *map(known_policy, policies)]))
    names = [name for name in names if name != OPTIMUM] + [OPTIMUM]
    if prefix_rule and trace.requests is None:
        raise SettingError(
            f"--prefix-rule: {trace.name} ({trace.format}) does not say which accesses make a "
            "request; it needs a trace of prefix blocks such as Mooncake's"
        )
    if in_bytes and trace.sizes is None:
        raise SettingError(f"--bytes: {trace.name} ({trace.format}) has no sizes; leave it out")

    def run(task: tuple[str, Capacity]) -> Cell:
        cell = _run(trace, *task, prefix_rule, in_bytes)
        done()
        return cell

    tasks = [(name, capacity) for name in names for capacity in capacities]
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        return Contest(trace.name, tuple(pool.map(run, tasks)))


def _run(trace: Trace, policy: str, capacity: Capacity, prefix_rule: bool, in_bytes: bool) -> Cell:
    options: dict[str, Any] = {
        "sizes": trace.sizes if in_bytes else None,
        "costs": trace.costs,
        "outcomes": True,
    }
    start = time.perf_counter()
    if policy == OPTIMUM:
        answer = belady(trace.keys, capacity.amount, prefix_rule=prefix_rule, **options)
    else:
        answer = replay(trace.keys, policy, capacity.amount, **options)
    seconds = time.perf_counter() - start
    return _cell(trace, policy, capacity, answer, seconds, prefix_rule)


def _cell(
    trace: Trace,
    policy: str,
    capacity: Capacity,
    answer: Replay,
    seconds: float,
    prefix_rule: bool,
) -> Cell:
    import numpy as np

    outcomes = answer.outcomes or b""
    hits = np.frombuffer(outcomes, dtype=np.uint8).astype(bool)
    if prefix_rule and trace.requests is not None:
        hits = strict_hits(outcomes, trace.requests)
    sizes, costs = trace.sizes, trace.costs
    return Cell(
        trace.name,
        policy,
        capacity,
        len(trace),
        int(hits.sum()),
        int(sizes.sum()) if sizes is not None else len(trace),
        int(sizes[hits].sum()) if sizes is not None else int(hits.sum()),
        float(costs[hits].sum()) if costs is not None else 0.0,
        seconds,
        _timeline(hits),
    )


def _timeline(hits: NDArray[np.bool_]) -> tuple[float, ...]:
    import numpy as np

    parts = np.array_split(hits, min(BINS, len(hits)))
    return tuple(float(1 - part.mean()) for part in parts)
