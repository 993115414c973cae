"""The canonical encoding: equal for what is equal, different for what differs."""

from __future__ import annotations

import copy
import math
import os
import random
import signal
import struct
import threading
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from infercache import KeySpace, _core
from infercache.errors import UnkeyableError

SPACES = [KeySpace("", "test", "1", algorithm=name) for name in ("blake3", "xxh3")]

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.complex_numbers()
    | texts
    | st.binary(max_size=8),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3) | st.tuples(),
    max_leaves=5,
)
values: st.SearchStrategy[Any] = st.recursive(
    hashable
    | st.binary(max_size=4).map(bytearray)
    | st.binary(max_size=4).map(lambda data: memoryview(data)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
    ),
    max_leaves=12,
)


def bits(number: float) -> bytes:
    return b"nan" if math.isnan(number) else struct.pack("<d", number)


def model(value: Any) -> Any:
    """Our equality in plain Python: two values are equal if and only if their models are."""
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, bits(value)
    if isinstance(value, complex):
        return kind, bits(value.real), bits(value.imag)
    if isinstance(value, memoryview):
        return kind, value.format, value.shape, value.tobytes()
    if isinstance(value, bytearray):
        return kind, bytes(value)
    if isinstance(value, (list, tuple)):
        return kind, tuple(map(model, value))
    if isinstance(value, (set, frozenset)):
        return kind, tuple(sorted(map(model, value), key=repr))
    if isinstance(value, dict):
        pairs = [(model(key), model(item)) for key, item in value.items()]
        return kind, tuple(sorted(pairs, key=repr))
    return kind, value


@settings(max_examples=400)
@given(values, values)
def test_encodings_are_equal_exactly_if_the_values_are(left: Any, right: Any) -> None:
    assert (_core.encode(left) == _core.encode(right)) == (model(left) == model(right))


@settings(max_examples=200)
@given(values, values)
def test_no_encoding_is_the_beginning_of_another(left: Any, right: Any) -> None:
    one, other = _core.encode(left), _core.encode(right)
    assume(one != other)
    assert not one.startswith(other)
    assert not other.startswith(one)


@given(st.lists(st.sampled_from([0, 1, -1, 2**63, 2**63 - 1, -(2**63), -(2**63) - 1, 255, 256])))
def test_integers_at_the_edges_of_machine_words_differ(numbers: list[int]) -> None:
    codes = {_core.encode(number) for number in numbers}
    assert len(codes) == len(set(numbers))


@given(st.dictionaries(hashable, values, max_size=8), st.randoms())
def test_the_order_of_a_dict_does_not_count(mapping: dict[Any, Any], chance: random.Random) -> None:
    items = list(mapping.items())
    chance.shuffle(items)
    assert _core.encode(dict(items)) == _core.encode(mapping)


@given(st.lists(hashable, max_size=8), st.randoms())
def test_the_order_of_a_set_does_not_count(members: list[Any], chance: random.Random) -> None:
    shuffled = members.copy()
    chance.shuffle(shuffled)
    # Equal members keep the one that came first: 1 and True are one member.
    assume(sorted(map(repr, set(shuffled))) == sorted(map(repr, set(members))))
    assert _core.encode(set(shuffled)) == _core.encode(set(members))
    assert _core.encode(frozenset(shuffled)) == _core.encode(frozenset(members))


@given(values)
def test_a_copy_has_the_key_of_the_original(value: Any) -> None:
    assume("memory" not in repr(value))
    twin = copy.deepcopy(value)
    for space in SPACES:
        assert space.digest(value) == space.digest(twin)


@given(values)
def test_the_digest_is_over_the_encoding(value: Any) -> None:
    blake3 = SPACES[0]
    assert blake3.digest(value) == _core.blake3(_core.encode(value), blake3.seed, 16)


@pytest.mark.parametrize(
    "values",
    [
        (1, True, 1.0, 1 + 0j, "1", b"1"),
        (0.0, -0.0, 0, False, None, ""),
        ("a", b"a", bytearray(b"a"), memoryview(b"a")),
        ([], (), {}, set(), frozenset(), "", b""),
        ([1, 2], (1, 2), {1, 2}, frozenset([1, 2]), {1: 2}),
        ([[1], 2], [1, [2]], [1, 2], [[1, 2]]),
        ("\ud800", "\udc00", "\ud800\udc00", "\U00010000", "?"),
        (math.nan, math.inf, -math.inf),
        ("a\0", "a", "a\0\0"),
        (memoryview(b"abcd"), memoryview(b"abcd").cast("I"), memoryview(b"abcd").cast("B", (2, 2))),
    ],
)
def test_what_differs_in_type_or_content_differs_in_key(values: tuple[Any, ...]) -> None:
    for space in SPACES:
        assert len({space.digest(value) for value in values}) == len(values)


def test_all_nans_are_one_value() -> None:
    nans = [math.nan, -math.nan, struct.unpack("<d", b"\x01\0\0\0\0\0\xf0\x7f")[0]]
    assert len({_core.encode(nan) for nan in nans}) == 1
    first, second = float("nan"), float("nan")
    assert _core.encode({first: 1, second: 2}) == _core.encode({second: 2, first: 1})
    assert _core.encode({first: 1, second: 2}) != _core.encode({first: 1, second: 1})
    assert _core.encode({first, second}) != _core.encode({first})


def test_a_view_with_gaps_has_the_key_of_its_copy() -> None:
    view = memoryview(bytes(range(20)))[::2]
    assert _core.encode(view) == _core.encode(memoryview(bytes(view)))


@pytest.mark.parametrize("size", [32_767, 32_768, 32_769, 70_000, 2_000_000])
@pytest.mark.parametrize("space", SPACES, ids=["blake3", "xxh3"])
def test_large_values_digest_in_pieces_as_in_one(space: KeySpace, size: int) -> None:
    """Pieces go into the digest as they come; the result is that of the whole encoding."""
    blob = bytes(range(256)) * (size // 256 + 1)
    value = {"b": [blob[:size], 1], "a": blob[:size], "c": ["x" * 100] * 20_000}
    assert SPACES[0].digest(value) == _core.blake3(_core.encode(value), SPACES[0].seed, 16)
    reference = space.digest(value)
    assert space.digest(dict(reversed(value.items()))) == reference
    value["b"] = [blob[: size - 1] + b"!", 1]
    assert space.digest(value) != reference


def test_a_structure_that_contains_itself_is_refused() -> None:
    loop: list[Any] = [1]
    loop.append({"inner": loop})
    with pytest.raises(UnkeyableError, match="contains itself"):
        SPACES[0].digest(loop)


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: (x,), lambda x: {"k": x}])
def test_deep_nesting_is_refused_before_it_hurts(wrap: Any) -> None:
    value: Any = 1
    for _ in range(200):
        value = wrap(value)
    assert len(SPACES[0].digest(value)) == 16
    for _ in range(100_000):
        value = wrap(value)
    with pytest.raises(UnkeyableError, match="nested deeper than 200 levels"):
        SPACES[0].digest(value)
    while not isinstance(value, int):  # unwrap, for freeing it recurses
        value = next(iter(value.values())) if isinstance(value, dict) else value[0]


@given(st.lists(st.sampled_from("ltdfs"), max_size=400))
def test_any_mix_of_deep_nesting_gives_a_key_or_a_refusal(wraps: list[str]) -> None:
    value: Any = 1
    for wrap in wraps:
        if wrap == "f":
            value = frozenset([value]) if _is_hashable(value) else (value,)
        else:
            value = {"l": [value], "t": (value,), "d": {"k": value}, "s": [value, value]}[wrap]
            if wrap == "s":
                value = value[:1]
    if len(wraps) <= 200:
        assert len(SPACES[1].digest(value)) == 16
    else:
        with pytest.raises(UnkeyableError, match="nested deeper"):
            SPACES[1].digest(value)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def test_a_structure_that_would_take_for_ever_can_be_interrupted() -> None:
    """Sixty levels of pairs are 2**60 nodes; other threads go on, and Ctrl-C ends it."""
    value: Any = [1]
    for _ in range(60):
        value = [value, value]
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        SPACES[0].digest(value)
    timer.join()
