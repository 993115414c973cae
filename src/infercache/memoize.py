"""The decorator that keeps a function's results.

A call is looked up by the content of its arguments, bound to the function's signature, so that
`f(1)`, `f(x=1)` and `f(1, default)` are one entry. Calls with plain arguments are answered by
native code without entering Python (`infercache._core.Memo`); everything else, and every miss,
goes through the guards.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from infercache.errors import SettingError, UnkeyableError
from infercache.guards.base import Terms
from infercache.keys.functions import code_version

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


def memoize(space: Namespace, function: Any, **options: Any) -> Any:
    """Return a memoised function, or a decorator if no function is given.

    Args:
        space: Whose tiers, terms and scope to use.
        function: Function, method, classmethod, staticmethod or coroutine function, or None.
        **options: Fields of `MemoizeOptions` and of `Terms`.

    Raises:
        SettingError: an option that cannot be used, or a function that cannot be memoised.
    """
    known = {name: options.pop(name) for name in MemoizeOptions.__slots__ if name in options}
    if isinstance(known.get("ignore"), str):
        known["ignore"] = (known["ignore"],)
    if "ignore" in known:
        known["ignore"] = tuple(known["ignore"])
    made = MemoizeOptions(**known)
    if function is None:
        return lambda later: memoize(space, later, **known, **options)
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(_wrap(space, function.__func__, made, options))
    return _wrap(space, function, made, options)


def _wrap(space: Namespace, function: Any, options: MemoizeOptions, terms: dict[str, Any]) -> Any:
    _refuse_what_cannot_be_kept(function)
    is_async = inspect.iscoroutinefunction(function)
    return (AsyncMemoized if is_async else Memoized)(space, function, options, terms)


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


@dataclass(slots=True)
class _Arguments:
    """Binds calls to a signature, and drops what does not count."""

    signature: inspect.Signature
    ignore: frozenset[str]
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.names = tuple(name for name in self.signature.parameters if name not in self.ignore)
        unknown = self.ignore - set(self.signature.parameters)
        if unknown:
            raise SettingError(
                f"ignore={sorted(unknown)} names no parameter of {self.signature}; "
                f"known: {', '.join(self.signature.parameters)}"
            )

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Return the values of all parameters that count, in the order of the signature."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return tuple(bound.arguments[name] for name in self.names)


class Memoized:
    """A memoised function. Thread-safe; as a class attribute it becomes a method.

    Raises, when called:
        UnkeyableError: an argument has no content key; the computation does not run, since
            its result could never be found again: name the parameter in `ignore=` or give
            `key=`.
    """

    def __init__(
        self, space: Namespace, function: Any, options: MemoizeOptions, terms: dict[str, Any]
    ) -> None:
        functools.update_wrapper(self, function)
        self.options = options
        self._function = function
        self._arguments = _Arguments(inspect.signature(function), frozenset(options.ignore))
        if options.condition is not None:
            terms = {**terms, "keep_if": options.condition}
        self.space = space.derive(self._namespace_name(), self._version(), terms)
        self.space_terms: Terms = self.space.terms

    def _namespace_name(self) -> str:
        if self.options.name is not None:
            return self.options.name
        function = inspect.unwrap(self._function)
        module = getattr(function, "__module__", None) or "?"
        return f"{module}.{getattr(function, '__qualname__', type(function).__qualname__)}"

    def _version(self) -> str:
        return (
            code_version(self._function) if self.options.version == "auto" else self.options.version
        )

    def content(self, *args: Any, **kwargs: Any) -> Any:
        """Return what a call is looked up by."""
        if self.options.key is not None:
            return self.options.key(*args, **kwargs)
        return self._arguments.bind(args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the kept result of this call, or compute and keep it."""
        compute = functools.partial(self._function, *args, **kwargs)
        return self.space.get_or_compute(self._key(args, kwargs), compute)

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        content = self.content(*args, **kwargs)
        try:
            return self.space.key(content)
        except UnkeyableError as error:
            raise self._explain_unkeyable(error, content) from None

    def _explain_unkeyable(self, error: UnkeyableError, content: Any) -> UnkeyableError:
        """Say which parameter it is, in the function's own names."""
        if self.options.key is None:
            for name, value in zip(self._arguments.names, content, strict=True):
                try:
                    self.space.key(value)
                except UnkeyableError as inner:
                    return UnkeyableError(f"parameter {name!r} of {self.__qualname__}: {inner}")
        return error

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else BoundMemoized(self, instance)

    def invalidate(self, *args: Any, **kwargs: Any) -> int:
        """Drop the result of one call; return how many entries went."""
        return self.space.invalidate(self._key(args, kwargs))

    def cache_clear(self) -> int:
        """Drop all results of this function; return how many entries went."""
        return self.space.invalidate()

    def cache_info(self) -> CacheInfo:
        """Return hits, misses and number of entries, as `functools.lru_cache` does."""
        counts, entries = self.space.usage()
        return CacheInfo(counts.hits, counts.misses, entries, counts.saved_s)

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Say which tier would answer this call, and why each of the others would not."""
        return self.space.explain(self._key(args, kwargs))

    def __repr__(self) -> str:
        return f"<memoized {self.__qualname__} in {self.space!r}>"

    __qualname__: str

    def __reduce__(self) -> str:
        """Travel by name, as functions do."""
        return self.__qualname__


class AsyncMemoized(Memoized):
    """A memoised coroutine function."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if hasattr(inspect, "markcoroutinefunction"):  # Python 3.12
            inspect.markcoroutinefunction(self)
        else:
            self._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the kept result of this call, or compute and keep it."""
        compute = functools.partial(self._function, *args, **kwargs)
        return await self.space.aget_or_compute(self._key(args, kwargs), compute)


class BoundMemoized:
    """A memoised method of one object: every call passes the object first."""

    def __init__(self, memoized: Memoized, instance: Any) -> None:
        self.__func__ = memoized
        self.__self__ = instance
        self.__wrapped__ = memoized.__wrapped__  # type: ignore[attr-defined]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the memoised function with the object as first argument."""
        return self.__func__(self.__self__, *args, **kwargs)

    def invalidate(self, *args: Any, **kwargs: Any) -> int:
        """Drop the result of one call."""
        return self.__func__.invalidate(self.__self__, *args, **kwargs)

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Say which tier would answer this call."""
        return self.__func__.explain(self.__self__, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__func__, name)
