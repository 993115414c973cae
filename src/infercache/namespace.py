"""One stage of a pipeline: its own key space and terms over the shared tiers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload

from infercache.entry import Entry, Found, Freshness
from infercache.errors import KeySpaceError
from infercache.explain import Explanation, explain
from infercache.guards.base import Terms
from infercache.guards.negative import Failure
from infercache.key import Key
from infercache.keys.space import KeySpace
from infercache.stack import FastLane, Stack
from infercache.stats import NamespaceStats
from infercache.stores.base import Invalidation
from infercache.terms import make_terms

K = TypeVar("K")
V = TypeVar("V")

_MISSING: Any = object()


class Namespace:
    """Values of one kind, under one version. Thread-safe, cheap to make, picklable.

    Everything that takes `key` takes any object that has a content key (see
    `infercache.keys`), or a `Key` made by this namespace. Everything that takes `**terms`
    takes the fields of `Terms` (`ttl_s`, `jitter`, `stale_s`, `tags` and so on), which
    override those of the namespace for one call.

    Args:
        stack: The opened cache.
        name: The namespace.
        version: Fingerprint of all that makes its values valid: a model's id, a code version.
        scope: Tenant.
        algorithm: "blake3" or "xxh3", for the keys' digests.
        terms: Terms that hold unless a call says otherwise.
    """

    def __init__(
        self,
        stack: Stack,
        name: str,
        version: str = "",
        *,
        scope: str = "",
        algorithm: str = "blake3",
        terms: Terms | None = None,
    ) -> None:
        self._stack = stack
        self.name = name
        self.version = version
        self.scope = scope
        self.algorithm = algorithm
        self.terms = terms or Terms()
        self.keys = KeySpace(scope, name, version, algorithm=algorithm, secret=stack.options.secret)
        self._lane = stack.fast_lane()
        self._tally = stack.counts.of(name)

    # -- keys ----------------------------------------------------------------------------

    def key(self, content: Any) -> Key:
        """Return the key of any object, by content. O(size of the object).

        Raises:
            UnkeyableError: it has no content key; says which part and how to register it.
            KeySpaceError: it is a `Key` of another namespace or version.
        """
        if type(content) is not Key:
            made: Key = self.keys.key(content)
            return made
        if (content.scope, content.namespace, content.version) != (
            self.scope,
            self.name,
            self.version,
        ):
            raise KeySpaceError(
                f"key {content} does not belong to namespace {self.name!r} "
                f"version {self.version!r}; use the namespace that made it"
            )
        return content

    def _probe(self, key: Key, beta: float) -> Any:
        """Return the value if it is fresh in this process's memory: one native call."""
        lane = self._lane
        if lane is None or self._stack.closed:
            return _MISSING
        table, gate = lane
        if gate is not None and not gate.is_current():
            return _MISSING
        value = table.probe(key.digest, _MISSING, beta)
        return _MISSING if type(value) is Failure else value

    # -- reading and writing -------------------------------------------------------------

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the fresh value of a key, or `default`."""
        made = self.key(key)
        value = self._probe(made, 0.0)
        if value is not _MISSING:
            return value
        self._stack.ensure_open()
        entry = _fresh_entry(self._stack.chain.find(made))
        if entry is None:
            self._tally.misses.add(1)
            return default
        self._tally.hit(entry.cost_s)
        return entry.value

    def get_many(self, keys: Sequence[Any], default: Any = None) -> list[Any]:
        """Return the fresh value or `default` for each key, in order. One trip a tier."""
        found = self.find_many([self.key(key) for key in keys])
        return [default if entry is None else entry.value for entry in found]

    def find_many(self, keys: Sequence[Key]) -> list[Entry | None]:
        """Return the fresh entry or None for each key, with its cost, expiry and tags."""
        self._stack.ensure_open()
        entries = [_fresh_entry(one) for one in self._stack.chain.find_many(keys)]
        for entry in entries:
            if entry is None:
                self._tally.misses.add(1)
            else:
                self._tally.hit(entry.cost_s)
        return entries

    def __contains__(self, key: Any) -> bool:
        return _fresh_entry(self._stack.chain.find_many([self.key(key)])[0]) is not None

    def put(self, key: Any, value: Any, *, cost_s: float = 0.0, **terms: Any) -> bool:
        """Keep a value; False if no tier took it (too large, not admitted, all out).

        A computation of this key that is running meanwhile will not overwrite it.
        """
        self._stack.ensure_open()
        made = make_terms(self.terms, terms) if terms else self.terms
        return self._stack.put_one(self.key(key), self._entry(value, cost_s, made))

    def put_many(
        self, items: Iterable[tuple[Any, Any]], *, cost_s: float = 0.0, **terms: Any
    ) -> list[bool]:
        """Keep several values; one trip a tier."""
        made = make_terms(self.terms, terms)
        self._stack.ensure_open()
        return self._stack.put(
            [(self.key(key), self._entry(value, cost_s, made)) for key, value in items]
        )

    def _entry(self, value: Any, cost_s: float, terms: Terms) -> Entry:
        now = self._stack.options.clock.now()
        fresh_until = now + terms.ttl_s
        return Entry(value, 0, cost_s, 0, now, fresh_until, fresh_until + terms.stale_s, terms.tags)

    def keep_many(self, items: Sequence[tuple[Key, Entry]]) -> list[bool]:
        """Keep values that follow from their keys; return for each whether a tier took it.

        Unlike `put_many` it replaces nothing that other processes would have to hear of.
        """
        self._stack.ensure_open()
        return self._stack.put(items, replaces=False)

    # -- computing -----------------------------------------------------------------------

    def get_or_compute(self, key: Any, compute: Callable[[], V], **terms: Any) -> V:
        """Return the kept value, or compute, keep and return it.

        However many threads, tasks and processes ask at once, one computes and the others
        wait for it. What the computation raises reaches the caller and is not kept.
        """
        made = self.key(key)
        value: V = self._probe(made, terms.get("early_refresh", self.terms.early_refresh))
        if value is not _MISSING:
            return value
        self._stack.ensure_open()
        made_terms = make_terms(self.terms, terms)
        computed: V = self._stack.guard.get_or_compute(made, compute, made_terms)
        return computed

    def compute(self, key: Key, compute: Callable[[], Any], refresh_due: bool = False) -> Any:
        """`get_or_compute` for who has the key; with `refresh_due` the kept value is served."""
        self._stack.ensure_open()
        guard = self._stack.guard
        if refresh_due:
            entry = _fresh_entry(self._stack.chain.find(key))
            if entry is not None:
                guard.refresh(key, compute, self.terms)
                return entry.value
        return guard.get_or_compute(key, compute, self.terms)

    def get_or_compute_many(
        self, keys: Sequence[K], compute_batch: Callable[[list[K]], Sequence[V]], **terms: Any
    ) -> list[V]:
        """Return a value for each key, computing only the missing ones in one batch.

        `compute_batch` gets the missing keys as they were given, in their order, each once,
        and returns as many values in the same order.

        Raises:
            ValueError: it returned another number of values; nothing is kept then.
        """
        self._stack.ensure_open()
        return self._stack.guard.get_or_compute_many(
            [self.key(key) for key in keys],
            list(keys),
            compute_batch,
            make_terms(self.terms, terms),
        )

    # -- the same for asyncio ------------------------------------------------------------

    async def aget(self, key: Any, default: Any = None) -> Any:
        """`get`; memory is asked inline, slower tiers in a thread."""
        made = self.key(key)
        value = self._probe(made, 0.0)
        if value is not _MISSING:
            return value
        if not any(tier.shared for tier in self._stack.tiers):
            return self.get(made, default)
        return await asyncio.to_thread(self.get, made, default)

    async def aput(self, key: Any, value: Any, *, cost_s: float = 0.0, **terms: Any) -> bool:
        """`put`, in a thread."""
        return await asyncio.to_thread(self.put, key, value, cost_s=cost_s, **terms)

    async def aget_or_compute(
        self, key: Any, compute: Callable[[], Awaitable[V]], **terms: Any
    ) -> V:
        """`get_or_compute` with an async computation; memory hits are answered inline."""
        self._stack.ensure_open()
        value: V = await self._stack.guard.aget_or_compute(
            self.key(key), compute, make_terms(self.terms, terms)
        )
        return value

    async def acompute(
        self, key: Key, compute: Callable[[], Awaitable[Any]], refresh_due: bool = False
    ) -> Any:
        """`compute` for coroutine functions."""
        self._stack.ensure_open()
        guard = self._stack.guard
        if refresh_due:
            entry = _fresh_entry(self._stack.chain.find_many([key], own_only=True)[0])
            if entry is not None:
                await guard.arefresh(key, compute, self.terms)
                return entry.value
        return await guard.aget_or_compute(key, compute, self.terms)

    async def aget_or_compute_many(
        self,
        keys: Sequence[K],
        compute_batch: Callable[[list[K]], Awaitable[Sequence[V]]],
        **terms: Any,
    ) -> list[V]:
        """`get_or_compute_many` with an async computation."""
        self._stack.ensure_open()
        return await self._stack.guard.aget_or_compute_many(
            [self.key(key) for key in keys],
            list(keys),
            compute_batch,
            make_terms(self.terms, terms),
        )

    # -- decorator -----------------------------------------------------------------------

    @overload
    def memoize(self, function: Callable[..., Any], /, **options: Any) -> Any: ...
    @overload
    def memoize(self, /, **options: Any) -> Callable[[Callable[..., Any]], Any]: ...
    def memoize(self, function: Any = None, /, **options: Any) -> Any:
        """Return a decorator that keeps a function's results; see `infercache.memoize`."""
        from infercache.memoize import memoize

        return memoize(self, function, **options)

    # -- upkeep --------------------------------------------------------------------------

    def invalidate(self, key: Hashable | Any = None, *, tag: str | None = None) -> int:
        """Drop one key, all entries with a tag, or (with neither) the whole namespace.

        It holds for every process that shares a tier, and for computations that are running:
        their results are not kept. Returns how many entries went.
        """
        digest = None if key is None else self.key(key).digest
        whole = key is None and tag is None
        return self._stack.invalidate(
            Invalidation(
                scope=self.scope,
                namespace=self.name,
                version=None if whole else self.version,
                tag=tag,
                digest=digest,
            )
        )

    def pin(self, key: Any) -> bool:
        """Keep an entry in this process's memory until `unpin`; False if it is not known."""
        made = self.key(key)
        memory = self._stack.memory
        if memory is None or self._stack.chain.find_many([made])[0] is None:
            return False
        return memory.table.pin(made.digest)

    def unpin(self, key: Any) -> bool:
        """Undo one `pin`; False if it was not pinned."""
        memory = self._stack.memory
        return memory is not None and memory.table.unpin(self.key(key).digest)

    def explain(self, key: Any) -> Explanation:
        """Say which tier would answer for a key, and why each of the others would not."""
        return explain(self._stack.chain, self.key(key), self._stack.options.clock)

    def fast_lane(self) -> FastLane | None:
        """Return where native code may look this namespace's values up, or None."""
        return self._lane

    def usage(self) -> tuple[NamespaceStats, int]:
        """Return this namespace's counts, and how many of its entries this process holds.

        O(entries of this process's memory); with no memory tier, of the first tier.
        """
        place = (self.scope, self.name, self.version)
        entries = sum(
            (info.key.scope, info.key.namespace, info.key.version) == place
            for info in self._stack.tiers[0].scan()
        )
        counts = self._stack.namespace_stats().get(self.name, NamespaceStats())
        return counts, entries

    def derive(self, name: str, version: str, terms: Mapping[str, Any]) -> Namespace:
        """Return a namespace of the same cache and scope, with some terms changed."""
        return Namespace(
            self._stack,
            name,
            version,
            scope=self.scope,
            algorithm=self.algorithm,
            terms=make_terms(self.terms, terms),
        )

    def __repr__(self) -> str:
        return f"Namespace({self.name!r}, version={self.version!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (
            self._stack,
            self.name,
            self.version,
            self.scope,
            self.algorithm,
            self.terms,
        )


def _restore(
    stack: Stack, name: str, version: str, scope: str, algorithm: str, terms: Terms
) -> Namespace:
    return Namespace(stack, name, version, scope=scope, algorithm=algorithm, terms=terms)


def _fresh_entry(found: Found | None) -> Entry | None:
    """Return the entry unless it is stale or stands for a kept exception."""
    if found is None or found.freshness is Freshness.STALE:
        return None
    return None if isinstance(found.entry.value, Failure) else found.entry
