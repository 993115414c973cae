"""The opened machinery of one cache: tiers, chain, leases and guard.

Facade objects (`Cache`, `Namespace`, memoised functions) hold one `Stack` and ask it for its
parts on every call, so that a forked child and a reopened cache need to change only this.
"""

from __future__ import annotations

import atexit
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from infercache._core import Generation, Table
from infercache.clock import Clock, SystemClock
from infercache.codecs.base import Codec
from infercache.entry import Entry
from infercache.errors import ClosedError, SettingError
from infercache.events import Events
from infercache.forks import fork_safe_lock
from infercache.guards.engine import Guard
from infercache.guards.machine_lock import MachineLock
from infercache.guards.negative import let_codecs_write_failures
from infercache.guards.protected import protect
from infercache.key import Key
from infercache.lookup import TieredLookup
from infercache.stats import NamespaceCounts, NamespaceStats, Stats
from infercache.stores.base import Invalidation
from infercache.tiers.base import Outcome, Tier
from infercache.tiers.chain import Chain
from infercache.tiers.memory import MemoryTier
from infercache.tiers.spaces import Spaces
from infercache.tiers.specs import Surroundings, TierSpec
from infercache.units import parse_duration

_STRIPES = 64


@dataclass(frozen=True)
class StackOptions:
    """What the parts of one cache have in common.

    Attributes:
        secret: Key of digests and of blobs' checksums, for stores that others can write to.
        clock: Where the time comes from.
    """

    secret: bytes | None = field(default=None, repr=False)
    clock: Clock = field(default_factory=SystemClock)


class FastLane(NamedTuple):
    """This process's table, and the counter that must be as it was last seen."""

    table: Table
    gate: Generation | None


class Stack:
    """Opens tiers and connects them. Thread-safe; survives fork; travels by its specs.

    Args:
        specs: What to open, fastest first.
        options: What they have in common.
        codecs: Codecs of single namespaces.

    Raises:
        SettingError: no tier, or two tiers of one name.
        StoreError: a directory holds something foreign. A tier that merely cannot be reached
            now is skipped with a warning, and tried again later.
    """

    def __init__(
        self,
        specs: Sequence[TierSpec],
        options: StackOptions,
        codecs: Mapping[str, Codec] | None = None,
    ) -> None:
        names = [spec.name for spec in specs]
        doubled = {name for name in names if names.count(name) > 1}
        if not specs or doubled:
            what = f"two tiers are named {doubled.pop()!r}" if doubled else "there is no tier"
            raise SettingError(f"a cache needs tiers of different names: {what}")
        if [getattr(spec, "write", "") for spec in specs].count("back") > 1:
            raise SettingError(
                'only one tier of a cache can have write="back": see ARCHITECTURE.md'
            )
        self.specs = tuple(specs)
        self.options = options
        self.events = Events()
        self.counts = NamespaceCounts()
        self.spaces = Spaces()
        self.closed = False
        let_codecs_write_failures()
        self._stripes = [fork_safe_lock() for _ in range(_STRIPES)]
        self.codecs = dict(codecs or {})
        self._open()
        _close_at_exit(self)

    def _open(self) -> None:
        around = Surroundings(
            self.options.clock, self.events, self.spaces, self.codecs, self.options.secret
        )
        departures = around.departures
        self.tiers = [protect(spec, around) for spec in self.specs]
        ttl_s = {
            spec.name: parse_duration(spec.ttl_s) for spec in self.specs if spec.ttl_s is not None
        }
        self.chain = Chain(self.tiers, ttl_s, self.options.clock, self.events, departures)
        self._connect_demotion()
        self.lookup = TieredLookup(self.chain, self.counts)
        self.guard = Guard(
            self.lookup,
            self.options.clock,
            self.events,
            self._machine_lock(),
            blocking=any(tier.shared for tier in self.tiers),
            find_local=self.lookup.find_local,
            drop=self.lookup.drop,
        )

    def _connect_demotion(self) -> None:
        for level, tier in enumerate(self.tiers[:-1]):
            if isinstance(tier, MemoryTier):
                tier.demote = self.chain.demote_below(level)

    def _machine_lock(self) -> MachineLock | None:
        """One lock file for all processes that share the slowest directory of this stack."""
        for tier in reversed(self.tiers):
            path = getattr(tier.journal, "path", None)
            if path is not None:
                return MachineLock(Path(path) / "locks")
        return None

    @property
    def memory(self) -> MemoryTier | None:
        """The first tier, if it is this process's memory."""
        first = self.tiers[0]
        return first if isinstance(first, MemoryTier) else None

    def fast_lane(self) -> FastLane | None:
        """Return where native code may look values up by itself, or None if it may not.

        It may where memory hands its objects out as they are, and where one counter at most
        tells what other processes changed.
        """
        memory, gates = self.memory, self.chain.gates()
        if memory is None or not memory.by_reference or len(gates) > 1 or None in gates:
            return None
        return FastLane(memory.table, gates[0] if gates else None)

    def ensure_open(self) -> None:
        """Raise `ClosedError` if the cache was closed."""
        if self.closed:
            raise ClosedError("this cache was closed; open a new one")

    def put(self, items: Sequence[tuple[Key, Entry]], replaces: bool = True) -> list[bool]:
        """Keep entries given by the user: newer than anything being computed for their keys.

        Puts of one key follow each other through all tiers, so that no two tiers end up with
        different ones. A computation that began before the put was done is not kept after it.
        Values that follow from their keys replace nothing: other processes need not hear of them.
        """
        lease = None if replaces else self.chain.positions()
        with ExitStack() as held:
            for stripe in sorted({key.digest[0] % _STRIPES for key, _ in items}):
                held.enter_context(self._stripes[stripe])
            self._forget_computations(items)
            kept = self.chain.put_many(items, lease)
            self._forget_computations(items)
        return [outcome is Outcome.KEPT for outcome in kept]

    def put_one(self, key: Key, entry: Entry) -> bool:
        """`put` without the batch."""
        with self._stripes[key.digest[0] % _STRIPES]:
            self._forget_computations(((key, entry),))
            kept = self.chain.put(key, entry)
            self._forget_computations(((key, entry),))
        return kept is Outcome.KEPT

    def _forget_computations(self, items: Sequence[tuple[Key, Entry]]) -> None:
        if not self.guard.is_idle():
            for key, _ in items:
                self.guard.forget(Invalidation(digest=key.digest))

    def invalidate(self, what: Invalidation) -> int:
        """Void what is being computed, then drop what is kept; return how many entries went."""
        self.ensure_open()
        self.guard.forget(what)
        return self.chain.invalidate(what)

    def stats(self) -> Stats:
        """Return a snapshot of all counts."""
        return Stats(
            [tier.stats() for tier in self.tiers],
            self.namespace_stats(),
            self.guard.counts(),
            self.chain.outages.counts.as_dict(),
            self.chain.counts["promotions"],
            self.chain.counts["demotions"],
        )

    def namespace_stats(self) -> dict[str, NamespaceStats]:
        """Return each namespace's counts, with the hits that native code answered by itself."""
        counts = self.counts.snapshot()
        recalled = self.memory.table.recalled() if self.memory is not None else []
        for group, (hits, saved_s) in enumerate(recalled):
            if hits:
                stats = counts.setdefault(self.spaces.space(group)[1], NamespaceStats())
                stats.hits += hits
                stats.saved_s += saved_s
        return counts

    def flush(self) -> None:
        """Wait until queued writes are written."""
        for tier in self.tiers:
            flush: Callable[[], None] | None = getattr(tier, "flush", None)
            if flush is not None:
                flush()

    def close(self) -> None:
        """Write out what is queued and release everything; closing twice is allowed."""
        if self.closed:
            return
        self.closed = True
        _OPEN.discard(self)
        self.guard.close()
        self.chain.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return Stack, (self.specs, self.options, self.codecs)


_OPEN: weakref.WeakSet[Stack] = weakref.WeakSet()


def _close_at_exit(stack: Stack) -> None:
    """Registered with the first cache, so that importing does nothing."""
    if not _OPEN:
        atexit.register(_close_all)
    _OPEN.add(stack)


def _close_all() -> None:
    for stack in list(_OPEN):
        try:
            stack.close()
        except Exception as error:  # noqa: BLE001 - at exit the others must still be closed
            warnings.warn(f"a cache could not be closed: {error}", stacklevel=1)


def describe(tiers: Sequence[Tier]) -> str:
    """Return the stack as people read it, fastest first."""
    return " > ".join(map(repr, tiers))
