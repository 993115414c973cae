"""Every codec keeps the contract of codecs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from collections import OrderedDict, namedtuple
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest
import torch

from infercache.codecs import make_codec
from infercache.codecs.base import Codec
from infercache.codecs.compress import Zstd, train_dictionary
from infercache.codecs.pipeline import Pipeline
from infercache.codecs.plain import PlainCodec
from infercache.codecs.trusted_pickle import PickleCodec
from infercache.codecs.typed import TypedCodec
from infercache.testing.codec_kit import CodecKit, same

RANDOM = np.random.default_rng(0)
JSON_VALUES: list[Any] = [
    None,
    True,
    -(2**63),
    0.1,
    "text\u20ac",
    [],
    {},
    {"a": [1, 2.5, None, {"b": ["c"]}]},
    ["long"] * 500,
]
PLAIN_VALUES: list[Any] = [
    *JSON_VALUES,
    2**64,
    -(2**200),
    float("nan"),
    -0.0,
    "\ud800 lone",
    b"raw",
    b"large" * 20_000,
    bytearray(b"mutable"),
    (),
    (1, (2, [3, (4,)])),
    {1: "int", None: "none", 2.5: "float", b"b": "bytes", "s": "str"},
    {(1, "a"): (2,), frozenset({1}): {2}},
    {"\ud801": {(2**70,): "\ud802"}},
    {1, 2, 3},
    frozenset({"a"}),
    OrderedDict([("b", 1), ("a", 2)]),
    complex(1, -0.0),
    decimal.Decimal("-0.10"),
    uuid.UUID(int=5),
    dt.datetime(2024, 2, 29, 23, 59, 59, 999999),
    dt.datetime(2024, 2, 29, tzinfo=dt.timezone(dt.timedelta(hours=-5, minutes=30))),
    dt.datetime(2024, 10, 27, 2, 30, fold=1),
    dt.time(1, 2, 3),
    dt.date(1, 1, 1),
    dt.timedelta(days=-3, microseconds=7),
]
ARRAYS: list[Any] = [
    np.arange(12.0).reshape(3, 4),
    np.arange(12).reshape(3, 4)[:, ::2],
    np.asfortranarray(np.ones((3, 4), np.float16)),
    np.array(7, np.int8),
    np.zeros((0, 3)),
    np.zeros((2, 0, 3), np.int64),
    np.array(["a", "bcd"]),
    np.array([b"ab", b"c"]),
    np.arange(3, dtype=">i8"),
    np.array([(1, [2.0, 3.0])], dtype=[("a", "i4"), ("b", ">f8", (2,))]),
    np.zeros(2, np.dtype({"names": ["x"], "formats": ["<f4"], "offsets": [4], "itemsize": 16})),
    np.zeros(2, np.dtype([("a", "i1"), ("b", [("c", "f8")])], align=True)),
    np.array(["2020-01-01", "NaT"], "M8[D]"),
    np.array([1, 2], "m8[10ms]"),
    np.array([1 + 2j, 3], np.complex64),
    np.array([True, False]),
    np.float64("nan"),
    np.int16(-5),
    np.str_(""),
    np.str_("text"),
    np.bytes_(b""),
    np.bool_(True),
    np.datetime64("2020-01-01T00:00"),
]
DTYPES = [
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool),
    *(torch.uint16, torch.uint32, torch.uint64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
]
TENSORS: list[Any] = [
    *((torch.rand(3, 5) * 5).to(dtype) for dtype in DTYPES),
    *(torch.ones(()).to(dtype) for dtype in DTYPES),
    *(torch.ones(0, 3).to(dtype) for dtype in DTYPES),
    torch.rand(4, 6).t(),
    torch.rand(8)[::3],
    torch.rand(2, 3, dtype=torch.complex64).conj(),
    torch.rand(1, 4).expand(3, 4),
]
NESTED: list[Any] = [
    {"logits": torch.rand(2, 7), "mask": (np.ones(3, bool), [torch.zeros(2)]), "name": "x"},
    (np.arange(5), {"past": ((torch.rand(1, 2, 3), torch.rand(1, 2, 3)),) * 3}),
    [np.float32(1.5), {"a": {np.int64(3), np.int64(4)}}],
]
Pair = namedtuple("Pair", "left right")


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Point:
    x: int
    names: tuple[str, ...]
    where: float = 0.0


class Row(msgspec.Struct):
    name: str
    points: list[Point]


class Text(str):
    __slots__ = ()


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
REFUSED: list[Any] = [
    object(),
    print,
    Pair(1, 2),
    Colour.RED,
    Level.LOW,
    Point(1, ()),
    Text("subclass"),
    [{"deep": object()}],
    {Colour.RED: 1},
    range(3),
    CIRCLE,
    memoryview(b"view"),
    dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(0, 60), "named")),
    np.array([object()]),
    np.array([(1, object())], dtype=[("a", "i4"), ("b", "O")]),
    np.ma.masked_array([1, 2], [True, False]),
    np.arange(2, dtype=np.longdouble),
    torch.nn.Parameter(torch.ones(2)),
    torch.ones(2, device="meta"),
    torch.eye(2).to_sparse(),
]


class TestPlain(CodecKit):
    values: ClassVar[Sequence[Any]] = [*PLAIN_VALUES, *ARRAYS, *TENSORS, *NESTED]
    refused: ClassVar[Sequence[Any]] = REFUSED

    def make(self) -> Codec:
        return PlainCodec()


class TestPlainWithCopies(CodecKit):
    values: ClassVar[Sequence[Any]] = [*PLAIN_VALUES, *ARRAYS, *TENSORS, *NESTED]
    refused: ClassVar[Sequence[Any]] = REFUSED

    def make(self) -> Codec:
        return PlainCodec(writable="copy")


class TestJson(CodecKit):
    values: ClassVar[Sequence[Any]] = JSON_VALUES
    refused: ClassVar[Sequence[Any]] = [
        (),
        b"",
        float("inf"),
        {1: 2},
        2**63,
        "\ud800",
        np.arange(3),
        {1},
        CIRCLE,
        object(),
    ]

    def make(self) -> Codec:
        return make_codec("json")


class TestZstd(CodecKit):
    values: ClassVar[Sequence[Any]] = [*PLAIN_VALUES, *ARRAYS, *NESTED]
    refused: ClassVar[Sequence[Any]] = REFUSED

    def make(self) -> Codec:
        return make_codec("auto+zstd:5")


class TestLz4(CodecKit):
    values: ClassVar[Sequence[Any]] = [*PLAIN_VALUES, *ARRAYS, *NESTED]
    refused: ClassVar[Sequence[Any]] = REFUSED

    def make(self) -> Codec:
        return make_codec("auto+lz4")


class TestTwoTransforms(CodecKit):
    values: ClassVar[Sequence[Any]] = [*PLAIN_VALUES, *NESTED]
    refused: ClassVar[Sequence[Any]] = REFUSED

    def make(self) -> Codec:
        return make_codec("auto+lz4+zstd")


def profile(number: int) -> dict[str, Any]:
    return {"user": number, "language": "english", "tags": ["premium", "active"], "score": 0.5}


DICTIONARY = train_dictionary(map(profile, range(500)), "4KiB", PlainCodec())


class TestZstdWithDictionary(CodecKit):
    values: ClassVar[Sequence[Any]] = [profile(7), *PLAIN_VALUES]
    refused: ClassVar[Sequence[Any]] = REFUSED

    def make(self) -> Codec:
        return Pipeline(PlainCodec(), Zstd(dictionary=DICTIONARY))


class TestTypedDataclass(CodecKit):
    values: ClassVar[Sequence[Any]] = [Point(1, ("a", "b"), float("nan")), Point(2**40, ())]
    refused: ClassVar[Sequence[Any]] = [Point("text", ()), {"x": 1, "names": []}, 5, None, object()]  # type: ignore[arg-type]

    def make(self) -> Codec:
        return TypedCodec(Point)

    def within_bound(self, value: Any, back: Any) -> bool:
        return type(back) is Point and same(dataclasses.astuple(value), dataclasses.astuple(back))


class TestTypedStruct(CodecKit):
    values: ClassVar[Sequence[Any]] = [Row("a", [Point(1, ("b",))])]
    refused: ClassVar[Sequence[Any]] = [Row("a", [1]), Point(1, ())]  # type: ignore[list-item]

    def make(self) -> Codec:
        return TypedCodec(Row)


class TestPickle(CodecKit):
    values: ClassVar[Sequence[Any]] = [*PLAIN_VALUES, Pair(1, 2), Colour.RED]
    refused: ClassVar[Sequence[Any]] = [lambda: None]
    runs_code = True

    def make(self) -> Codec:
        return PickleCodec(trusted=True)

    def within_bound(self, value: Any, back: Any) -> bool:
        return type(back) is type(value) and same(value, back)


@pytest.mark.parametrize("value", REFUSED[5:7])
def test_a_refusal_says_what_to_do(value: Any) -> None:
    with pytest.raises(TypeError, match=r"is not plain data; .*TypedCodec"):
        PlainCodec().encode(value)
