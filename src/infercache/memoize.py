"""The decorator that keeps a function's results.

A call is looked up by the content of its arguments, bound to the function's signature, so that
`f(1)`, `f(x=1)` and `f(1, default)` are one entry. A hit in this process's memory is answered by
native code (`infercache._core.Memo`) without entering Python; everything else goes through the
guards.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from infercache._core import Memo, Table
from infercache.errors import SettingError, UnkeyableError
from infercache.key import Key
from infercache.keys.arguments import Arguments
from infercache.keys.functions import code_version
from infercache.keys.registry import encode_other

if TYPE_CHECKING:
    from infercache.explain import Explanation
    from infercache.namespace import Namespace

_GENERATORS = (
    (inspect.isgeneratorfunction, "a generator"),
    (inspect.isasyncgenfunction, "an async generator"),
)


class CacheInfo(NamedTuple):
    """What `cache_info()` returns, as `functools.lru_cache` does, with what was saved."""

    hits: int
    misses: int
    currsize: int
    saved_s: float


@dataclass(frozen=True, slots=True)
class MemoizeOptions:
    """How calls become keys.

    Attributes:
        name: The namespace; by default module and qualified name of the function.
        version: "auto" covers the function's code, its defaults and its closure's constants;
            any other string is taken as it is, and is yours to change with the code.
        ignore: Names of parameters that do not change the result ("self", "verbose").
        key: What to use as key instead of the arguments: called with them.
        condition: Called with the result; only where it returns True is the result kept.
    """

    name: str | None = None
    version: str = "auto"
    ignore: tuple[str, ...] = ()
    key: Callable[..., Any] | None = None
    condition: Callable[[Any], bool] | None = None


_OPTION_NAMES = ("name", "version", "ignore", "key", "condition")


def memoize(space: Namespace, function: Any = None, **options: Any) -> Any:
    """Return a memoised function, or a decorator if no function is given.

    Args:
        space: Whose tiers, terms and scope to use.
        function: Function, method, classmethod, staticmethod or coroutine function, or None.
        **options: Fields of `MemoizeOptions` and of `Terms`.

    Raises:
        SettingError: an option that cannot be used, or a function that cannot be memoised.
    """
    known = {name: options.pop(name) for name in _OPTION_NAMES if name in options}
    if function is None:
        return lambda later: memoize(space, later, **known, **options)
    if isinstance(known.get("ignore"), str):
        known["ignore"] = (known["ignore"],)
    made = MemoizeOptions(**known)
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(_wrap(space, function.__func__, made, options))
    return _wrap(space, function, made, options)


def _wrap(space: Namespace, function: Any, options: MemoizeOptions, terms: dict[str, Any]) -> Any:
    _refuse_what_cannot_be_kept(function)
    if options.condition is not None:
        terms = {**terms, "keep_if": options.condition}
    own = space.derive(_name(function, options), _version(function, options), terms)
    call = _Call(own, function, options)
    if inspect.iscoroutinefunction(function):
        return AsyncMemoized(call)
    return Memoized.of(call)


def _refuse_what_cannot_be_kept(function: Any) -> None:
    name = getattr(function, "__qualname__", repr(function))
    if not callable(function):
        raise SettingError(f"memoize() decorates functions, not {type(function).__name__} {name}")
    if inspect.isclass(function):
        raise SettingError(f"memoize() cannot decorate the class {name}: decorate its methods")
    for is_generator, what in _GENERATORS:
        if is_generator(function):
            raise SettingError(
                f"{name} is {what}: its items are gone once they were read, so there is nothing "
                "to keep; return a list, or memoize the function that consumes it"
            )


def _name(function: Any, options: MemoizeOptions) -> str:
    if options.name is not None:
        return options.name
    inner = inspect.unwrap(function)
    module = getattr(inner, "__module__", None) or "?"
    return f"{module}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"


def _version(function: Any, options: MemoizeOptions) -> str:
    return code_version(function) if options.version == "auto" else options.version


class _Call:
    """A memoised function's parts: where its results are, and how a call becomes a key."""

    def __init__(self, space: Namespace, function: Any, options: MemoizeOptions) -> None:
        self.space = space
        self.function = function
        self.options = options
        self.arguments = Arguments(function, options.ignore)

    def make_memo(self, kind: type[Memo], slow: Callable[..., Any]) -> Any:
        """Return native code that looks calls up, and asks `slow` for what it does not find."""
        lane = None if self.space.terms.keep_exceptions else self.space.fast_lane()
        table, gate = (Table(0, 0), None) if lane is None else lane
        keys, arguments = self.space.keys, self.arguments
        by_key = self.options.key is not None
        return kind(
            table,
            keys.seed,
            keys.algorithm,
            slow,
            arguments.defaults,
            None if by_key else arguments.nparams,
            gate,
            beta=self.space.terms.early_refresh,
            encode_other=encode_other,
            bind=self._bind_key if by_key else arguments.bind,
            names=() if by_key else arguments.names,
            positional_only=arguments.positional_only,
            ignored=() if by_key else arguments.ignored,
        )

    def _bind_key(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> tuple[Any]:
        assert self.options.key is not None
        return (self.options.key(*args, **(kwargs or {})),)

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key:
        """Return what a call is looked up by, or say which argument it cannot be made of."""
        if self.options.key is not None:
            return self.space.keys.key(self._bind_key(args, kwargs), "key")
        values = self.arguments.values(args, kwargs)
        try:
            return self.space.keys.key(values)
        except UnkeyableError as error:
            raise self._locate(values) or error from None

    def _locate(self, values: tuple[Any, ...]) -> UnkeyableError | None:
        """Say which argument has no key, by its name."""
        ignored = self.arguments.ignored
        names = [name for i, name in enumerate(self.arguments.names) if i not in ignored]
        for name, value in zip(names, values, strict=True):
            try:
                self.space.keys.digest(value, f"argument {name!r}")
            except UnkeyableError as error:
                where = getattr(self.function, "__qualname__", "the function")
                return UnkeyableError(f"{where}: {error}")
        return None


class _Upkeep:
    """What users can ask of a memoised function beside calling it."""

    _call: _Call
    __qualname__: str

    @property
    def space(self) -> Namespace:
        """The namespace that holds the results."""
        return self._call.space

    def invalidate(self, *args: Any, **kwargs: Any) -> int:
        """Drop the result of one call; return how many entries went."""
        return self.space.invalidate(self._call.key(args, kwargs))

    def cache_clear(self) -> int:
        """Drop all results of this function; return how many entries went."""
        return self.space.invalidate()

    def cache_info(self) -> CacheInfo:
        """Return hits, misses and number of entries, as `functools.lru_cache` does."""
        counts, entries = self.space.usage()
        return CacheInfo(counts.hits, counts.misses, entries, counts.saved_s)

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Say which tier would answer this call, and why each of the others would not."""
        return self.space.explain(self._call.key(args, kwargs))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else BoundMemoized(self, instance)

    def __repr__(self) -> str:
        return f"<memoized {self.__qualname__} in {self.space!r}>"

    def __reduce__(self) -> str:
        """Travel by name, as functions do."""
        return self.__qualname__


class Memoized(_Upkeep, Memo):
    """A memoised function. Thread-safe; as a class attribute it becomes a method.

    Raises, when called:
        UnkeyableError: an argument has no content key; the function does not run, since its
            result could never be found again: leave it out by `ignore=`, or give `key=`.
    """

    @classmethod
    def of(cls, call: _Call) -> Memoized:
        """Return the memoised function of a call's parts."""

        def slow(
            args: tuple[Any, ...], kwargs: dict[str, Any], digest: bytes | None, due: bool
        ) -> Any:
            space = call.space
            key = call.key(args, kwargs) if digest is None else space.keys.key_of(digest)
            return space.compute(key, functools.partial(call.function, *args, **kwargs), due)

        memoized: Memoized = call.make_memo(cls, slow)
        memoized._call = call
        functools.update_wrapper(memoized, call.function)
        return memoized


class AsyncMemoized(_Upkeep):
    """A memoised coroutine function: hits in memory are answered without yielding."""

    def __init__(self, call: _Call) -> None:
        functools.update_wrapper(self, call.function)
        self._call = call
        self._memo: Memo = call.make_memo(Memo, _missed)
        if hasattr(inspect, "markcoroutinefunction"):  # Python 3.12
            inspect.markcoroutinefunction(self)
        else:
            self._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the kept result of this call, or compute and keep it."""
        found = self._memo(*args, **kwargs)
        if type(found) is not _Missed:
            return found
        call = self._call
        digest = found.digest
        key = call.key(args, kwargs) if digest is None else call.space.keys.key_of(digest)
        compute = functools.partial(call.function, *args, **kwargs)
        return await call.space.acompute(key, compute, found.due)


class _Missed(NamedTuple):
    """What native code says of an async call that it cannot answer."""

    digest: bytes | None
    due: bool


def _missed(
    args: tuple[Any, ...], kwargs: dict[str, Any], digest: bytes | None, due: bool
) -> _Missed:
    return _Missed(digest, due)


class BoundMemoized:
    """A memoised method of one object: every call passes the object first."""

    def __init__(self, memoized: Any, instance: Any) -> None:
        self.__func__ = memoized
        self.__self__ = instance
        self.__wrapped__ = memoized.__wrapped__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the memoised function with the object as first argument."""
        return self.__func__(self.__self__, *args, **kwargs)

    def invalidate(self, *args: Any, **kwargs: Any) -> int:
        """Drop the result of one call."""
        dropped: int = self.__func__.invalidate(self.__self__, *args, **kwargs)
        return dropped

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Say which tier would answer this call."""
        answer: Explanation = self.__func__.explain(self.__self__, *args, **kwargs)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__func__, name)
