"""The facade that users hold."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from infercache.clock import Clock, SystemClock
from infercache.codecs.registry import make_codec
from infercache.errors import SettingError
from infercache.events import Events
from infercache.guards.base import Terms
from infercache.key import Key
from infercache.namespace import Namespace
from infercache.stack import Stack, StackOptions, describe
from infercache.stats import Stats
from infercache.stores.base import Invalidation
from infercache.terms import make_terms
from infercache.tiers.specs import Memory, TierSpec
from infercache.units import parse_size

_ALGORITHMS = ("blake3", "xxh3")


class Cache(Namespace):
    """A tiered, bounded, verified cache; itself the namespace "default".

    Thread-safe, usable from asyncio, safe to fork, and picklable: another process that gets
    it opens the same tiers there. Use it as a context manager, or `close` it, so that queued
    writes are written; at exit that happens by itself.

    Args:
        *tiers: `Memory`, `SharedMemory`, `Disk`, fastest first. None means `Memory("1GB")`.
        scope: Tenant: entries of other scopes are never served.
        digest: "blake3" (default) or "xxh3" for keys: faster, but whoever chooses the inputs
            can craft two with one key; only for inputs that you trust.
        secret: Key of digests and of blobs' checksums, for stores that others can write to.
        clock: Where the time comes from; for tests.
        **terms: Fields of `Terms` that hold unless a namespace or a call says otherwise.

    Raises:
        SettingError: a setting that cannot be used.
        StoreError: a directory holds something that infercache did not write.

    Example:
        >>> import infercache as ic
        >>> cache = ic.Cache(ic.Memory("64MB"))
        >>> cache.get_or_compute("answer", lambda: 6 * 7)
        42
    """

    def __init__(
        self,
        *tiers: TierSpec,
        scope: str = "",
        digest: str = "blake3",
        secret: bytes | None = None,
        clock: Clock | None = None,
        **terms: Any,
    ) -> None:
        if digest not in _ALGORITHMS:
            raise SettingError(f"digest={digest!r} is not one of {', '.join(_ALGORITHMS)}")
        made = make_terms(Terms(), terms)
        options = StackOptions(secret, clock or SystemClock())
        specs: tuple[TierSpec, ...] = tiers or (Memory(),)
        stack = Stack(specs, options)
        super().__init__(stack, "default", scope=scope, algorithm=digest, terms=made)

    def namespace(
        self,
        name: str,
        version: str = "",
        *,
        scope: str | None = None,
        codec: Any = None,
        trusted_pickle: bool = False,
        **terms: Any,
    ) -> Namespace:
        """Return a namespace of this cache. Cheap; asking again returns an equal one.

        Args:
            name: The pipeline stage, such as "embed".
            version: Fingerprint of all that makes its values valid. Values of another version
                are not served.
            scope: Tenant, if not the cache's.
            codec: How its values become bytes, if not as the tier says.
            trusted_pickle: Pickle the values of this namespace instead. Only for stores that
                nobody else can write to: reading a pickle runs what it says.
            **terms: Fields of `Terms`.

        Raises:
            SettingError: a setting that cannot be used.
        """
        if trusted_pickle:
            from infercache.codecs.trusted_pickle import PickleCodec

            self._stack.codecs[name] = PickleCodec(trusted=True)
        elif codec is not None:
            self._stack.codecs[name] = make_codec(codec)
        return Namespace(
            self._stack,
            name,
            version,
            scope=self.scope if scope is None else scope,
            algorithm=self.algorithm,
            terms=make_terms(self.terms, terms),
        )

    def invalidate(
        self,
        key: Any = None,
        *,
        tag: str | None = None,
        namespace: str | None = None,
        version: str | None = None,
    ) -> int:
        """Drop a key of the default namespace, or all that matches; return how many went.

        Args:
            key: A key of this cache's own ("default") namespace, or a `Key` of any.
            tag: All entries with this tag, in every namespace unless one is given.
            namespace: All entries of this namespace.
            version: All entries of this version, of every namespace unless one is given.

        Raises:
            SettingError: nothing was given (to drop everything say `clear()`), or a key and
                something else.
        """
        if key is not None and not tag is namespace is version is None:
            raise SettingError(
                "invalidate() takes a key, or tag=, namespace= and version=, not both"
            )
        if key is not None:
            made = key if isinstance(key, Key) else self.key(key)
            return self._stack.invalidate(Invalidation(digest=made.digest))
        if tag is namespace is version is None:
            raise SettingError(
                "invalidate() needs a key, tag=, namespace= or version=; clear() drops everything"
            )
        return self._stack.invalidate(
            Invalidation(scope=self.scope, namespace=namespace, version=version, tag=tag)
        )

    def clear(self) -> int:
        """Drop everything of this scope, in every tier and process; return how many went."""
        return self._stack.invalidate(Invalidation(scope=self.scope))

    @property
    def events(self) -> Events:
        """Where to subscribe to what happens: see `infercache.events`."""
        return self._stack.events

    def stats(self) -> Stats:
        """Return a snapshot of all counts and sizes."""
        return self._stack.stats()

    def check(self) -> list[str]:
        """Recompute every account; return a sentence for each that does not add up."""
        return self._stack.chain.check()

    def resize(self, tier: str, capacity: int | str) -> None:
        """Change a tier's bound while running; what no longer fits is demoted or leaves.

        Raises:
            SettingError: no such tier, or not a size.
        """
        by_name = {one.name: one for one in self._stack.tiers}
        if tier not in by_name:
            raise SettingError(f"there is no tier {tier!r}; known: {', '.join(by_name)}")
        by_name[tier].resize(parse_size(capacity, f"{tier}.capacity"))

    def sweep(self) -> int:
        """Remove everything that is past its grace; return how many entries went. O(entries)."""
        return sum(tier.sweep() for tier in self._stack.tiers)

    def flush(self) -> None:
        """Wait until queued writes are written."""
        self._stack.flush()

    def close(self) -> None:
        """Write what is queued and release everything; closing twice is allowed."""
        self._stack.close()

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Cache({describe(self._stack.tiers)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._stack, self.scope, self.algorithm, self.terms)


def _restore(stack: Stack, scope: str, algorithm: str, terms: Terms) -> Cache:
    cache = Cache.__new__(Cache)
    Namespace.__init__(cache, stack, "default", scope=scope, algorithm=algorithm, terms=terms)
    return cache
