"""One request to a guard, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from infercache.guards.base import Terms
from infercache.guards.flight import Flight, Work
from infercache.key import Key


@dataclass(slots=True)
class Item:
    """One key that is not yet served.

    Attributes:
        key: The key.
        row: What the batch function is given for it.
        flight: The flight that this request leads or waits for; None if it goes alone.
        late: It joined when the value was being kept already, and must look again.
    """

    key: Key
    row: Any
    flight: Flight | None = None
    late: bool = False


@dataclass(slots=True)
class Job:
    """One request: which keys, how to compute them, under which terms.

    Attributes:
        items: What is asked for, each key once.
        compute: Given the rows that are missing, in order, it returns one result for each;
            for a single key it is called without arguments and returns the value.
        single: Whether it is for a single key.
        terms: Under which the values are kept and served.
        work: Its place among the requests of this process.
        wait_until: Monotonic time after which it waits for nobody, or None.
        results: Values by digest.
        due: Items whose value was served and should be refreshed in the background, with the
            time at which that value was made.
        refresh: Whether it is a refresh itself, to be given up if somebody else is at it.
    """

    items: list[Item]
    compute: Callable[..., Any]
    single: bool
    terms: Terms
    work: Work
    wait_until: float | None = None
    results: dict[bytes, Any] = field(default_factory=dict)
    due: list[tuple[Item, float]] = field(default_factory=list)
    refresh: bool = False

    def run(self, items: Sequence[Item]) -> Any:
        """Call the computation."""
        return self.compute() if self.single else self.compute([item.row for item in items])
