"""One form for all the ways to write the same call."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter
from typing import Any

from infercache.errors import SettingError

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class Arguments:
    """A function's parameters: `f(1)`, `f(a=1)` and `f(1, default)` are one call.

    Immutable: thread-safe. Its attributes are what `_core.Memo` takes under the same names.

    Attributes:
        names: Names of all parameters, in order.
        positional_only: How many of them cannot be given by name.
        nparams: How many there are, or None if some are keyword-only or take any number: such
            calls are bound by `bind`.
        defaults: Of the last parameters, if `nparams` is not None.
        ignored: Places of the parameters that do not count.
    """

    __slots__ = (
        "_signature", "defaults", "ignored", "names", "nparams", "positional_only",
    )  # fmt: skip

    def __init__(self, function: Callable[..., Any], ignore: Iterable[str] = ()) -> None:
        """Read a function's signature.

        Raises:
            SettingError: `ignore` names a parameter that there is not.
        """
        self._signature = _signature(function)
        parameters = list(self._signature.parameters.values())
        self.names = tuple(parameter.name for parameter in parameters)
        kinds = [parameter.kind for parameter in parameters]
        self.positional_only = kinds.count(Parameter.POSITIONAL_ONLY)
        simple = all(kind in _POSITIONAL for kind in kinds)
        self.nparams = len(parameters) if simple else None
        given = (parameter.default for parameter in parameters if simple)
        self.defaults = tuple(default for default in given if default is not Parameter.empty)
        self.ignored = tuple(sorted({self._place(name) for name in ignore}))

    def _place(self, name: str) -> int:
        if name in self.names:
            return self.names.index(name)
        near = difflib.get_close_matches(name, self.names, n=1)
        guess = f" (did you mean {near[0]!r}?)" if near else ""
        raise SettingError(
            f"ignore={name!r} is no parameter of the function{guess}; "
            f"it has: {', '.join(self.names) or 'none'}"
        )

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> tuple[Any, ...]:
        """Return the values of all parameters in order, defaults filled in.

        Raises:
            TypeError: the call does not fit the signature.
        """
        bound = self._signature.bind(*args, **(kwargs or {}))
        bound.apply_defaults()
        return tuple(bound.arguments.values())

    def values(self, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> tuple[Any, ...]:
        """Return the values that count, in order; their tuple is what a call is keyed by."""
        values = self.bind(args, kwargs)
        if not self.ignored:
            return values
        return tuple(value for place, value in enumerate(values) if place not in self.ignored)


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:  # a builtin that does not tell
        any_number = Parameter("args", Parameter.VAR_POSITIONAL)
        return inspect.Signature([any_number, Parameter("kwargs", Parameter.VAR_KEYWORD)])
