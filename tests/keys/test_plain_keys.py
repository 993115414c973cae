"""Keys of the standard library's types, of records, enums, models and subclasses."""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime as dt
import enum
import functools
import pathlib
import re
import types
import uuid
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import msgspec
import pydantic
import pytest

import infercache as ic
from infercache.errors import UnkeyableError
from infercache.keys import registry

SPACE = ic.KeySpace("", "test", "1")
UTC, PARIS = dt.timezone.utc, zoneinfo.ZoneInfo("Europe/Paris")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2
    NOTHING = object()


class Level(enum.IntEnum):
    LOW = 1


class Mode(str, enum.Enum):
    FAST = "fast"


class Flags(enum.Flag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: int
    y: int


class OtherPoint(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Options:
    size: int
    extra: Any = None

    @functools.cached_property
    def area(self) -> int:
        return self.size**2


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    size: int


class Model(pydantic.BaseModel):
    name: str
    tags: list[str] = []
    _note: str = pydantic.PrivateAttr("")


class Row(msgspec.Struct):
    name: str
    number: int = 0


class Name(str):
    kind: str


class SlottedInt(int):
    __slots__ = ()


class Bag(dict[str, Any]):
    pass


def named(kind: str) -> Name:
    name = Name("a")
    name.kind = kind
    return name


def noted(note: str) -> Model:
    model = Model(name="a")
    model._note = note
    return model


def moment(zone: dt.tzinfo | None = None, fold: int = 0) -> dt.datetime:
    return dt.datetime(2024, 10, 27, 2, 30, tzinfo=zone, fold=fold)


DIFFERENT: list[Any] = [
    1, True, 1.0, "a", b"a", "fast", (1, 2), {"a": 1}, ["a"],
    Colour.RED, Colour.BLUE, Colour.NOTHING, Level.LOW, Mode.FAST, Flags.A, Flags.A | Flags.B,
    Point(1, 2), OtherPoint(1, 2), Options(1), Options(1, [2]), Options(2), Slotted(1),
    Model(name="a"), Model(name="a", tags=["b"]), noted("x"), Row("a"), Row("a", 1),
    Name("a"), named("x"), named("y"), SlottedInt(1), Bag(a=1),
    pathlib.Path("a"), pathlib.Path("b"), pathlib.PureWindowsPath("a"), "b",
    dt.date(2024, 10, 27), moment(), moment(fold=1), moment(UTC), moment(PARIS),
    moment(PARIS, fold=1), moment(dt.timezone(dt.timedelta(hours=1))), dt.time(2, 30),
    dt.time(2, 30, tzinfo=UTC), dt.timedelta(1), dt.timedelta(seconds=1), UTC, PARIS,
    Decimal(1), Decimal("1.0"), Decimal("NaN"), Fraction(1), Fraction(1, 2), uuid.UUID(int=1),
    range(3), range(0, 3, 2), slice(3), slice(0, 3), ..., NotImplemented, None,
    collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1), {"a": 1, "b": 2},
    collections.defaultdict(int, a=1), collections.defaultdict(list, a=1),
    collections.Counter("a"), collections.deque(["a"]), collections.deque(["a"], 3),
    types.MappingProxyType({"a": 1}), types.SimpleNamespace(a=1), types.SimpleNamespace(a=2),
    re.compile("a"), re.compile("a", re.I), re.compile(b"a"),
    int, str, Options, types, functools, type(None), list[int], list[str], int | None,
    dict[str, list[int]], collections.abc.Callable[[int], str],
    len, str.upper, "a".upper, "b".upper, functools.partial(int, base=2), functools.partial(int),
]  # fmt: skip


def test_all_of_these_differ() -> None:
    digests: dict[bytes, Any] = {}
    for value in DIFFERENT:
        digest = SPACE.digest(value)
        assert digest not in digests, f"{value!r} has the key of {digests[digest]!r}"
        digests[digest] = value


COPYABLE = [value for value in DIFFERENT if not isinstance(value, types.ModuleType)]
COPYABLE = [value for value in COPYABLE if not isinstance(value, types.MappingProxyType)]


@pytest.mark.parametrize(
    "value", COPYABLE, ids=lambda value: repr(value).partition(" at 0x")[0][:40]
)
def test_a_copy_has_the_same_key(value: Any) -> None:
    assert SPACE.digest([copy.deepcopy(value)]) == SPACE.digest([value])


def test_a_cached_property_does_not_change_the_key() -> None:
    options = Options(3)
    before = SPACE.digest(options)
    assert options.area == 9
    assert SPACE.digest(options) == before


def test_an_attribute_beyond_the_fields_counts() -> None:
    options = Options(3)
    before = SPACE.digest(options)
    options.hidden = 1  # type: ignore[attr-defined]
    assert SPACE.digest(options) != before


def test_a_zone_of_another_maker_counts_by_what_it_says() -> None:
    class Hour(dt.tzinfo):
        def __init__(self, hours: int) -> None:
            self.hours = hours

        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
            return dt.timedelta(hours=self.hours)

        def dst(self, when: dt.datetime | None) -> dt.timedelta:
            return dt.timedelta(0)

        def tzname(self, when: dt.datetime | None) -> str:
            return f"+{self.hours}"

    assert SPACE.digest(moment(Hour(1))) == SPACE.digest(moment(Hour(1)))
    assert SPACE.digest(moment(Hour(1))) != SPACE.digest(moment(Hour(2)))


def test_the_spaces_parts_all_count_and_do_not_run_into_each_other() -> None:
    parts = [("a", "b", "c"), ("ab", "", "c"), ("", "ab", "c"), ("a", "bc", ""), ("", "", "abc")]
    spaces = [ic.KeySpace(*part) for part in parts]
    spaces += [ic.KeySpace("a", "b", "c", secret=secret) for secret in (b"", b"s", b"t")]
    spaces += [ic.KeySpace("a", "b", "c", algorithm="xxh3")]
    assert len({space.digest("value") for space in spaces}) == len(spaces)
    assert len({space.seed for space in spaces}) == len(spaces)


def test_a_space_makes_whole_keys() -> None:
    space = ic.KeySpace("tenant", "embed", "v3")
    key = space.key(["text"])
    assert (key.scope, key.namespace, key.version) == ("tenant", "embed", "v3")
    assert key.digest == space.digest(["text"])
    assert space.key_of(key.digest) == key


def test_a_space_of_wrong_parts_is_refused_with_a_sentence() -> None:
    with pytest.raises(ic.errors.KeySpaceError, match="version is a str, not 3"):
        ic.KeySpace("", "a", 3)  # type: ignore[arg-type]
    with pytest.raises(ic.errors.KeySpaceError, match="known: blake3, xxh3"):
        ic.KeySpace("", "a", "1", algorithm="md5")


def test_a_space_does_not_show_its_secret() -> None:
    assert "hush" not in repr(ic.KeySpace("", "a", "1", secret=b"hush"))


class Handle:
    def __init__(self, number: int) -> None:
        self.number = number


class SubHandle(Handle):
    pass


@pytest.fixture
def registered() -> Any:
    ic.register_key(Handle, lambda handle: (handle.number,))
    yield
    registry._registered.pop(Handle)
    registry._resolved.clear()


@pytest.mark.usefixtures("registered")
def test_a_registered_type_is_keyed_by_its_parts() -> None:
    assert SPACE.digest(Handle(1)) == SPACE.digest(Handle(1))
    assert SPACE.digest(Handle(1)) != SPACE.digest(Handle(2))
    assert SPACE.digest(Handle(1)) != SPACE.digest((1,))


@pytest.mark.usefixtures("registered")
def test_a_subclass_of_a_registered_type_adds_its_name_and_attributes() -> None:
    changed = SubHandle(1)
    changed.colour = "red"  # type: ignore[attr-defined]
    digests = {SPACE.digest(handle) for handle in (Handle(1), SubHandle(1), changed)}
    assert len(digests) == 3


def test_registering_after_a_refusal_helps() -> None:
    class Late:
        pass

    with pytest.raises(UnkeyableError):
        SPACE.digest(Late())
    ic.register_key(Late, lambda late: ())
    assert SPACE.digest(Late()) == SPACE.digest(Late())


def test_a_class_may_say_itself_what_counts() -> None:
    class Own:
        def __init__(self, name: str, cache: object) -> None:
            self.name, self.cache = name, cache

        def __infercache_key__(self) -> object:
            return self.name

    assert SPACE.digest(Own("a", object())) == SPACE.digest(Own("a", object()))
    assert SPACE.digest(Own("a", 1)) != SPACE.digest(Own("b", 1))


def test_plain_types_cannot_be_registered() -> None:
    with pytest.raises(UnkeyableError, match="plain type 'dict'"):
        ic.register_key(dict, lambda value: ())
    with pytest.raises(UnkeyableError, match="wants a class"):
        ic.register_key("dict", lambda value: ())  # type: ignore[arg-type]


def test_an_encoder_that_returns_something_else_is_named() -> None:
    class Odd:
        pass

    ic.register_key(Odd, lambda value: "text")  # type: ignore[arg-type, return-value]
    with pytest.raises(UnkeyableError, match=r"Odd returned str, not a tuple"):
        SPACE.digest(Odd())


def test_an_error_in_an_encoder_passes_through() -> None:
    class Broken:
        def __infercache_key__(self) -> object:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        SPACE.digest([Broken()])
