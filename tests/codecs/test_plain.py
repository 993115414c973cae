"""The default codec: views where it can, types kept always, no surprise from bytes."""

from __future__ import annotations

import gc
import sys
from collections import OrderedDict
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from infercache.codecs.plain import PlainCodec
from infercache.codecs.tree import ARRAY, TENSOR, TUPLE, VIEW, Ext, register_type
from infercache.errors import BlobError, EncodeError, SettingError
from infercache.testing.codec_kit import body_of, same

# No absolute timing: the machine may be busy.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

CODEC = PlainCodec()
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
)
KEYS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner)
        | st.dictionaries(st.text(), inner).map(OrderedDict)
        | st.sets(KEYS)
        | st.frozensets(KEYS)
    ),
    max_leaves=20,
)
DTYPES = (
    hnp.integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | hnp.boolean_dtypes()
    | hnp.datetime64_dtypes(endianness="<")
    | hnp.unicode_string_dtypes(endianness="<")
)


def around(value: Any, codec: PlainCodec = CODEC) -> Any:
    return codec.decode(body_of(codec.encode(value)))


@PATIENT
@given(VALUES)
def test_plain_values_come_back(value: Any) -> None:
    assert same(around(value), value)


@PATIENT
@given(hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0, max_dims=4)), st.data())
def test_arrays_come_back(array: Any, data: st.DataObject) -> None:
    if array.ndim:
        array = array.transpose(data.draw(st.permutations(range(array.ndim))))
        array = array[:: data.draw(st.sampled_from([1, 2, -1]))]
    assert same(around([array])[0], array)


def test_arrays_are_read_only_views_of_the_stored_bytes() -> None:
    body = body_of(CODEC.encode({"a": np.arange(1000.0), "b": np.ones((3, 3), order="F")}))
    value = CODEC.decode(body)
    stored = np.frombuffer(body, np.uint8)
    for array in value.values():
        assert np.shares_memory(array, stored)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert value["b"].flags.f_contiguous


def test_arrays_stay_read_only_over_writable_pages() -> None:
    body = memoryview(bytearray(body_of(CODEC.encode(np.arange(10)))))
    assert not CODEC.decode(body).flags.writeable


def test_tensors_share_the_stored_bytes_and_keep_them_alive() -> None:
    """Warnings are errors in these tests: torch must not warn about read-only memory."""
    body = body_of(CODEC.encode({"t": torch.arange(1000.0), "b": torch.ones(3, 3).bfloat16()}))
    address = np.frombuffer(body, np.uint8).__array_interface__["data"][0]
    value = CODEC.decode(body)
    for tensor in value.values():
        assert address <= tensor.data_ptr() < address + len(body)
    del body
    gc.collect()
    noise = [bytes(4096) for _ in range(100)]
    assert torch.equal(value["t"], torch.arange(1000.0))
    del noise


def test_copies_may_be_written_to() -> None:
    codec = PlainCodec(writable="copy")
    body = body_of(codec.encode([np.zeros(4), torch.zeros(4)]))
    array, tensor = codec.decode(body)
    array += 1
    tensor += 1
    again = codec.decode(body)
    assert not again[0].any()
    assert not again[1].any()


def test_bytes_at_odd_addresses_are_decoded_by_copying() -> None:
    """Small blobs of some stores start anywhere."""
    body = body_of(CODEC.encode([np.arange(5.0), torch.arange(5.0)]))
    shifted = memoryview(b"x" + body)[1:]
    array, tensor = CODEC.decode(shifted)
    assert array.flags.aligned
    assert not array.flags.writeable
    assert tensor.data_ptr() % 4 == 0
    assert array.tolist() == tensor.tolist() == [0, 1, 2, 3, 4]


def test_large_arrays_are_not_copied_on_the_way_out() -> None:
    array = np.arange(100_000.0)
    assert any(np.shares_memory(array, np.frombuffer(one, np.uint8)) for one in CODEC.encode(array))


def test_the_versions_in_a_state_dict_are_kept() -> None:
    state = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)).state_dict()
    back = around(state)
    assert same(dict(back), dict(state))
    assert type(back) is OrderedDict
    assert vars(back) == vars(state)
    other: Any = OrderedDict(a=1)
    other.extra = 1
    with pytest.raises(EncodeError, match="attributes of its own"):
        CODEC.encode(other)


def test_gradient_history_is_dropped() -> None:
    weight = torch.ones(2, requires_grad=True)
    assert not around(weight * 2).requires_grad


def test_a_registered_type_travels_by_its_name() -> None:
    register_type(slice, "tests.slice/1", lambda s: (s.start, s.stop), lambda p: slice(*p))
    try:
        assert around({"where": [slice(1, 5)]}) == {"where": [slice(1, 5)]}
        with pytest.raises(SettingError, match="registered already"):
            register_type(range, "tests.slice/1", tuple, tuple)
        body = bytes(body_of(CODEC.encode(slice(1, 5)))).replace(b"tests.slice/1", b"tests.other/1")
        with pytest.raises(BlobError, match="not registered here"):
            CODEC.decode(memoryview(body))
    finally:
        from infercache.codecs import tree

        tree._named_types.pop(slice)
        tree._named_loaders.pop("tests.slice/1")


def crafted(tree: Any, buffers: bytes = b"", tagged: int = 1) -> memoryview:
    packed = msgspec.msgpack.encode(tree)
    head = tagged.to_bytes(8, "little") + len(packed).to_bytes(8, "little") + packed
    return memoryview(head + bytes(-len(head) % 64) + buffers)


def array_of(*reference: Any) -> Any:
    return Ext(ARRAY, msgspec.msgpack.encode(reference))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (crafted(array_of("|O", [1], 0, False), bytes(8)), "dtype"),
        (crafted(array_of("O", [1], 0, False), bytes(8)), "dtype"),
        (crafted(array_of("f8,O", [1], 0, False), bytes(16)), "dtype"),
        (crafted(array_of([8, False, [["a", "|O", 0, []]]], [1], 0, False), bytes(8)), "dtype"),
        (crafted(array_of("<f8", [2**40], 0, False), bytes(8)), "refers to bytes"),
        (crafted(array_of("<f8", [1], 2**40, False), bytes(8)), "refers to bytes"),
        (crafted(array_of("<f8", [1], -8, False), bytes(8)), "refers to bytes"),
        (crafted(array_of("<f8", [-1], 0, False), bytes(8)), "no array has"),
        (crafted(array_of("<f8", [1] * 65, 0, False), bytes(8)), "no array has"),
        (crafted(Ext(TENSOR, msgspec.msgpack.encode(["load", [1], 0])), bytes(8)), "dtype"),
        (crafted(Ext(TENSOR, msgspec.msgpack.encode(["int8", [2**47], 0]))), "refers to bytes"),
        (crafted(Ext(VIEW, msgspec.msgpack.encode([0, 2**60]))), "refers to bytes"),
        (crafted(Ext(99, b"")), "unknown extension 99"),
        (crafted([1, Ext(TUPLE, b"")]), "outside of a container"),
        (crafted(Ext(TUPLE, b"")), "outside of a container"),
        (crafted([Ext(TUPLE, b"")], tagged=0), "without extensions"),
        (crafted({(1, 2): 3}), "keys that are not plain"),
    ],
)
def test_crafted_bodies_are_refused(body: memoryview, reason: str) -> None:
    with pytest.raises(BlobError, match=reason):
        CODEC.decode(body)


@pytest.mark.parametrize("unit", [b"\x91", b"\x81\xc0", b"\x92\xc7\x00\x14"])
@pytest.mark.parametrize("tagged", [0, 1])
@pytest.mark.parametrize("depth", [90, 150, 900, 100_000])
def test_deep_nesting_is_refused_and_does_not_crash(unit: bytes, tagged: int, depth: int) -> None:
    tree = unit * depth + b"\xc0"
    body = tagged.to_bytes(8, "little") + len(tree).to_bytes(8, "little") + tree
    try:
        CODEC.decode(memoryview(body))
    except BlobError:
        return
    assert depth < sys.getrecursionlimit()


@pytest.mark.parametrize("start", [b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"])
def test_lying_lengths_are_refused_without_allocating(start: bytes) -> None:
    tree = start + b"\xff\xff\xff\xff\x01"
    body = (1).to_bytes(8, "little") + len(tree).to_bytes(8, "little") + tree
    with pytest.raises(BlobError):
        CODEC.decode(memoryview(body))


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(SettingError, match="writable"):
        PlainCodec(writable="yes")
