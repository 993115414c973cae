"""Plain data out of a pickle, without running anything in it.

No unpickler runs. This is an interpreter of its own for the opcodes that build plain data; an
opcode that it does not know ends it. A name in the pickle is never imported: it is looked up in
a closed table of constructors (dates, Decimal, complex, sets, NumPy's numeric arrays), which are
called with checked plain arguments or rebuilt from their bytes here. So the worst that a
malicious pickle can do is to be refused.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from infercache.errors import BlobError

_DEEPEST = 100
# A pickle may refer to one list many times: what it unfolds to is bounded by its own length.
_MOST_ITEMS_EACH_BYTE = 16
_NUMERIC = re.compile(r"[biufc][0-9]{1,2}")


class _Name:
    """A global that the pickle names: never imported, only looked up in the table below."""

    def __init__(self, module: Any, name: Any) -> None:
        self.path = f"{module}.{name}"


class _DType:
    """A NumPy dtype in the making: its code, and its byte order once its state is known."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "|"


class _Array:
    """A NumPy array in the making."""

    def __init__(self) -> None:
        self.state: tuple[Any, ...] | None = None


def read_pickle(data: bytes) -> Any:
    """Return the plain value that a pickle holds. O(bytes); runs no code of the pickle.

    Plain: None, bool, int, float, str, bytes, bytearray, complex, Decimal, dates and times,
    list, tuple, dict, OrderedDict, set, frozenset, and NumPy arrays and scalars of numbers.

    Raises:
        BlobError: anything else; the message names the first thing that was refused.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            machine.step(opcode.name, argument)
        value = machine.result()
        return _Finish(len(data) * _MOST_ITEMS_EACH_BYTE).of(value)
    except BlobError:
        raise
    except Exception as error:  # whatever malformed bytes provoke: they are to blame
        raise BlobError(f"not a pickle of plain data: {error}") from error


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.stopped = False

    def step(self, name: str, argument: Any) -> None:
        """Do what one opcode says."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in _IGNORED:
            raise BlobError(f"the pickle uses {name}, which plain data does not need")

    def result(self) -> Any:
        """Return what is left on the stack."""
        if not self.stopped or len(self.stack) != 1 or self.marks:
            raise BlobError("the pickle is truncated")
        return self.stack[0]

    def stop(self, _: Any) -> None:
        self.stopped = True

    def mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def get(self, index: Any) -> None:
        self.stack.append(self.memo[int(index)])

    def put(self, index: Any) -> None:
        self.memo[int(index)] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def take(self, count: int) -> tuple[Any, ...]:
        taken = tuple(self.stack[-count:])
        if len(taken) != count:
            raise BlobError("the pickle takes more from its stack than there is")
        del self.stack[-count:]
        return taken

    def tuple_of(self, count: int) -> None:
        self.stack.append(self.take(count))

    def append(self, items: list[Any]) -> None:
        _expect(self.stack[-1], list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = _expect(self.stack[-1], dict, OrderedDict)
        target.update(zip(items[::2], items[1::2], strict=True))

    def add_items(self, items: list[Any]) -> None:
        _expect(self.stack[-1], set).update(items)

    def global_(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        self.stack.append(_Name(module, name))

    def stack_global(self, _: Any) -> None:
        self.stack.append(_Name(*self.take(2)))

    def reduce(self, _: Any) -> None:
        name, arguments = self.take(2)
        path = _expect(name, _Name).path
        build = _CONSTRUCTORS.get(path)
        if build is None:
            raise BlobError(f"the pickle calls {path}, which would run code")
        self.stack.append(build(*_expect(arguments, tuple)))

    def build(self, _: Any) -> None:
        (state,) = self.take(1)
        target = self.stack[-1]
        if type(target) is _DType:
            _set_dtype(target, _expect(state, tuple))
        elif type(target) is _Array:
            target.state = _expect(state, tuple)
        else:
            raise BlobError(f"the pickle sets the state of a {type(target).__qualname__}")


def _expect(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise BlobError(
            f"the pickle uses a {type(value).__qualname__} as a {kinds[0].__qualname__}"
        )
    return value


_LITERALS = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_IGNORED = frozenset({"PROTO", "FRAME"})
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "STOP": _Machine.stop,
    "MARK": _Machine.mark,
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.pop_mark().clear(),
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "TUPLE": lambda machine, _: _push(machine, tuple),
    "LIST": lambda machine, _: _push(machine, list),
    "FROZENSET": lambda machine, _: _push(machine, frozenset),
    "APPEND": lambda machine, _: machine.append(list(machine.take(1))),
    "APPENDS": lambda machine, _: machine.append(machine.pop_mark()),
    "SETITEM": lambda machine, _: machine.set_items(list(machine.take(2))),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    "DICT": lambda machine, _: _push(machine, _pairs),
    "ADDITEMS": lambda machine, _: machine.add_items(machine.pop_mark()),
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}


def _push(machine: _Machine, kind: Callable[[list[Any]], Any]) -> None:
    items = machine.pop_mark()
    machine.stack.append(kind(items))


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _plain(kind: Callable[..., Any], *allowed: type) -> Callable[..., Any]:
    """Return a constructor that takes only arguments of these exact types."""

    def build(*arguments: Any) -> Any:
        for argument in arguments:
            _expect(argument, *allowed)
        return kind(*arguments)

    return build


def _dtype(code: Any, align: Any = False, copy: Any = True) -> _DType:
    return _DType(_expect(code, str))


def _set_dtype(dtype: _DType, state: tuple[Any, ...]) -> None:
    if len(state) != 8 or any(part is not None for part in state[2:5]):
        raise BlobError(f"the pickle holds an array of dtype {dtype.code!r}, which is not numeric")
    dtype.order = _expect(state[1], str)


def _numpy_dtype(dtype: Any) -> Any:
    import numpy as np

    _expect(dtype, _DType)
    if dtype.order not in ("<", ">", "|", "=") or not _NUMERIC.fullmatch(dtype.code):
        raise BlobError(f"the pickle holds an array of dtype {dtype.code!r}, which is not numeric")
    return np.dtype(dtype.code).newbyteorder(dtype.order)


def _from_bytes(raw: Any, dtype: Any, shape: Any, order: Any) -> Any:
    import numpy as np

    kind = _numpy_dtype(dtype)
    sizes = [_expect(size, int) for size in _expect(shape, tuple)]
    data = bytes(_expect(raw, bytes, bytearray))
    if any(size < 0 for size in sizes) or math.prod(sizes) * kind.itemsize != len(data):
        raise BlobError(f"the pickle holds {len(data)} bytes for an array of shape {shape}")
    return np.frombuffer(data, kind).reshape(sizes, order="F" if order == "F" else "C")


def _from_state(state: tuple[Any, ...] | None) -> Any:
    if state is None or len(state) != 5:
        raise BlobError("the pickle holds an array without content")
    _, shape, dtype, fortran, raw = state
    return _from_bytes(raw, dtype, shape, "F" if fortran else "C")


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    if _expect(kind, _Name).path != "numpy.ndarray":
        raise BlobError(f"the pickle builds a {kind.path}, which would run code")
    return _Array()


_CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "builtins.complex": _plain(complex, float),
    "builtins.set": _plain(set, list),
    "builtins.frozenset": _plain(frozenset, list),
    "builtins.bytearray": _plain(bytearray, bytes),
    "collections.OrderedDict": _plain(OrderedDict),
    "decimal.Decimal": _plain(decimal.Decimal, str),
    "datetime.datetime": _plain(dt.datetime, bytes, dt.timezone),
    "datetime.date": _plain(dt.date, bytes),
    "datetime.time": _plain(dt.time, bytes, dt.timezone),
    "datetime.timedelta": _plain(dt.timedelta, int),
    "datetime.timezone": _plain(dt.timezone, dt.timedelta, str),
    "numpy.dtype": _dtype,
}
for _name in ("complex", "set", "frozenset", "bytearray"):  # as Python 2 called the module
    _CONSTRUCTORS[f"__builtin__.{_name}"] = _CONSTRUCTORS[f"builtins.{_name}"]
for _numpy in ("numpy.core", "numpy._core"):
    _CONSTRUCTORS[f"{_numpy}.multiarray._reconstruct"] = _reconstruct
    _CONSTRUCTORS[f"{_numpy}.numeric._frombuffer"] = _from_bytes
    _CONSTRUCTORS[f"{_numpy}.multiarray.scalar"] = lambda dtype, raw: _from_bytes(
        raw, dtype, (), "C"
    )[()]


class _Finish:
    """Puts finished arrays in the place of those in the making; bounds depth and size."""

    def __init__(self, most_items: int) -> None:
        self._left = most_items

    def of(self, value: Any, depth: int = 0) -> Any:
        """Return the finished value."""
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise BlobError("the pickle unfolds to far more than it holds, or is nested too deep")
        kind = type(value)
        if kind in (list, tuple, set, frozenset):
            return kind(self.of(item, depth + 1) for item in value)
        if kind in (dict, OrderedDict):
            return kind(
                (self.of(name, depth + 1), self.of(item, depth + 1)) for name, item in value.items()
            )
        if kind is _Array:
            return _from_state(value.state)
        if kind in (_Name, _DType):
            raise BlobError(f"the pickle holds a {getattr(value, 'path', 'dtype')}, not plain data")
        return value
