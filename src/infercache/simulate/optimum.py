"""Belady's optimum: what a policy that knew the future would have done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from infercache import _core
from infercache.simulate import replay as _replay
from infercache.simulate.replay import Replay

if TYPE_CHECKING:
    from numpy.typing import NDArray


def belady(
    keys: Sequence[int] | NDArray[Any],
    capacity: int,
    *,
    sizes: Sequence[int] | NDArray[Any] | None = None,
    costs: Sequence[float] | NDArray[Any] | None = None,
    prefix_rule: bool = False,
    outcomes: bool = False,
) -> Replay:
    """Replay under the optimum, which evicts what is used again last.

    Without sizes the number of hits is the largest that any policy can reach in which every
    miss comes in. With sizes the problem is NP-hard, and this is the usual heuristic: of 64
    residents drawn at random the one with the most bytes times time to its next use leaves, and
    what would be worse than all of them stays out. It is no bound then, but hard to reach.
    Runs with the interpreter lock released; 20 to 60 M requests a second without sizes.

    Args:
        keys: One integer a request, as for `replay`.
        capacity: Bound on the sum of the sizes of all entries.
        sizes: Size of what each request asks for; None: all are 1.
        costs: Seconds that each request takes to compute.
        prefix_rule: The requests ask for the blocks of prefixes in order. Of two blocks that
            are used again by the same request the deeper one leaves first, and a block that
            would be the next to leave stays out, so that no chain gets a hole: the optimum
            where a block hits only if all before it do.
        outcomes: Whether to return for each request whether it hit.

    Raises:
        TypeError: keys or sizes that are not integers.
        ValueError: sizes or costs that are not as many as the keys, or a negative size.
    """
    # Later requests, and deeper blocks of one request, have later places in the trace: the
    # furthest place is the furthest request, deepest first.
    answer = _core.belady(
        _replay._integers(keys, "keys"),
        None if sizes is None else _replay._sizes(sizes),
        None if costs is None else _replay._floats(costs),
        capacity,
        bypass=prefix_rule,
        outcomes=outcomes,
    )
    return Replay(**answer)
