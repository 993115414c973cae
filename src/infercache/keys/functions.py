"""Keys of code: `version="auto"`, and functions given as arguments.

What counts of a function: its bytecode, constants and names (not line numbers, file names or
comments), its defaults, the values in its closure, and the module-level names that it uses if
they stand for immutable plain constants or for functions of the same module, whose code counts
in the same way. What does not, and must be covered by a version of one's own: functions and
classes of other modules, classes, mutable globals, files, environment variables, and whatever
is looked up by name at run time. Bytecode differs between minor versions of Python, and so do
these versions.
"""

from __future__ import annotations

import dis
import functools
import inspect
import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

from infercache import _core
from infercache.errors import UnkeyableError
from infercache.keys.records import Parts, qualified
from infercache.keys.registry import encode_other

_INTERPRETER = (sys.implementation.name, *sys.version_info[:2])
_SEED = _core.blake3(_core.encode((b"infercache code version 1", _INTERPRETER)))
_READS_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME")
_CONSTANTS = (type(None), bool, int, float, complex, str, bytes, type(...))


def code_version(function: object) -> str:
    """Return 32 hexadecimal digits that change when the code behind a callable does.

    Functions, methods, partials, classes, builtins and callable objects. Equal for the same
    source in every process with the same minor version of Python. Costs some 100 us; meant to
    be called once for each function. Thread-safe.

    Raises:
        UnkeyableError: its closure or state holds something without a content key (the message
            names it), or it is or uses a torch module, whose weights must be named by version=.
    """
    name = f"the code of {getattr(function, '__qualname__', type(function).__qualname__)!r}"
    digester = _core.Digester(_SEED, "blake3", encode_other)
    return digester.digest(_Code(function, {}), name).hex()


class _Code:
    """A callable, keyed by its code; `seen` tells functions that use each other in a circle."""

    __slots__ = ("_function", "_seen")

    def __init__(self, function: object, seen: dict[int, int]) -> None:
        self._function = inspect.unwrap(function) if callable(function) else function
        self._seen = seen

    def __infercache_key__(self) -> Parts:
        function, seen = self._function, self._seen
        if id(function) in seen:
            return ("again", seen[id(function)])
        seen[id(function)] = len(seen)
        if isinstance(function, FunctionType):
            return {"": "function", **_function_parts(function, seen)}
        if isinstance(function, MethodType):
            owner = function.__self__
            cls = owner if isinstance(owner, type) else type(owner)
            return ("method", qualified(cls), _Code(function.__func__, seen))
        if isinstance(function, functools.partial):
            return {
                "": ("partial", _Code(function.func, seen)),
                ".args": function.args,
                ".keywords": function.keywords,
            }
        if isinstance(function, type):
            return {"": ("class", qualified(function)), **_class_parts(function, seen)}
        if isinstance(function, BuiltinFunctionType) or inspect.isroutine(function):
            return encode_builtin(function)
        return ("object", _Code(type(function).__call__, seen), function)


def _function_parts(function: FunctionType, seen: dict[int, int]) -> dict[str, Any]:
    parts: dict[str, Any] = {
        ".__code__": function.__code__,
        ".__defaults__": function.__defaults__,
        ".__kwdefaults__": function.__kwdefaults__,
    }
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            content = cell.cell_contents
        except ValueError:
            parts[f", its empty closure variable {name!r}"] = None
            continue
        content = _Code(content, seen) if _is_function(content) else content
        parts[f", its closure variable {name!r}"] = content
    for name in sorted(set(_global_names(function.__code__))):
        if name in function.__globals__:
            for part in _global_part(function, function.__globals__[name], seen):
                parts[f", the global {name!r}"] = part
    return parts


def _global_part(function: FunctionType, value: Any, seen: dict[int, int]) -> Iterator[Any]:
    """Yield what stands for a global that counts, or nothing."""
    if _is_constant(value):
        yield value
    elif _is_function(value):
        inner = inspect.unwrap(value)
        if getattr(inner, "__module__", None) == function.__module__:
            yield _Code(inner, seen)
    elif _is_torch_module(value):
        yield value  # refused where it is encoded, with its name


def _is_constant(value: Any) -> bool:
    if type(value) in (tuple, frozenset):
        return all(map(_is_constant, value))
    return type(value) in _CONSTANTS


def _is_function(value: Any) -> bool:
    return isinstance(value, FunctionType) or (
        callable(value) and isinstance(getattr(value, "__wrapped__", None), FunctionType)
    )


def _is_torch_module(value: Any) -> bool:
    module = getattr(sys.modules.get("torch.nn"), "Module", None)
    return module is not None and isinstance(value, module)


@functools.lru_cache(maxsize=4096)
def _global_names(code: CodeType) -> tuple[str, ...]:
    """Return the names that code, and code within it, reads from its module."""
    steps = dis.get_instructions(code)
    names = {step.argval for step in steps if step.opname in _READS_GLOBAL}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(_global_names(constant))
    return tuple(names)


def _class_parts(cls: type, seen: dict[int, int]) -> dict[str, Any]:
    return {
        f".{name}": _Code(member, seen)
        for name, member in sorted(vars(cls).items())
        if isinstance(member, FunctionType)
    }


def encode_function(value: FunctionType) -> Parts:
    """Key a function given as an argument by its name and code."""
    name = value.__qualname__
    return {"": name, f" (the code of {name!r})": _Code(value, {})}


def encode_code(value: CodeType) -> Parts:
    """Key a code object by what it does, not by where it was written."""
    return (
        value.co_name,
        value.co_code,
        value.co_consts,
        value.co_names,
        value.co_varnames,
        value.co_freevars,
        value.co_cellvars,
        (value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount, value.co_flags),
        getattr(value, "co_exceptiontable", b""),
    )


def encode_builtin(value: Any) -> Parts:
    """Key a function written in C by module, name and the module's version."""
    owner = getattr(value, "__self__", None)
    bound = None if owner is None or inspect.ismodule(owner) else owner
    name = getattr(value, "__module__", None) or ""
    top = sys.modules.get(name.partition(".")[0])
    version = getattr(top, "__version__", "")
    return {
        "": (name, getattr(value, "__qualname__", value.__name__), str(version)),
        ".__self__": bound,
    }


def encode_method(value: MethodType) -> Parts:
    """Key a method given as an argument by its object and code."""
    return {".__self__": value.__self__, ".__func__": value.__func__}


def encode_descriptor(value: Any) -> Parts:
    """Key a method of a class written in C, such as `str.upper`."""
    return (value.__objclass__, value.__name__)


def encode_partial(value: functools.partial[Any]) -> Parts:
    """Key a partial by its function and what it fixes."""
    return {".func": value.func, ".args": value.args, ".keywords": value.keywords}


def encode_wrapper(value: Any) -> Parts:
    """Key what `functools.lru_cache` made by the function inside."""
    if not isinstance(value.__wrapped__, FunctionType):
        raise UnkeyableError(f"{value!r} wraps something without a content key; pass a function")
    return {".__wrapped__": value.__wrapped__}
