"""Pickles are read by an interpreter that knows plain data and nothing else."""

from __future__ import annotations

import collections
import contextlib
import copyreg
import pickle
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infercache.errors import BlobError
from infercache.importers.pickles import read_pickle
from infercache.testing.codec_kit import same

# No absolute timing: the machine may be busy.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
KEYS = st.none() | st.integers() | st.text() | st.binary() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner)
        | st.sets(KEYS)
        | st.frozensets(KEYS)
    ),
    max_leaves=20,
)


@PATIENT
@given(VALUES, st.integers(3, 5))
def test_plain_values_are_what_pickle_makes_of_them(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert same(read_pickle(data), pickle.loads(data))


@PATIENT
@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_blob_error(data: bytes) -> None:
    with contextlib.suppress(BlobError):
        read_pickle(data)


@PATIENT
@given(VALUES, st.integers(0, 5), st.data())
def test_damaged_pickles_give_a_value_or_a_blob_error(
    value: Any, protocol: int, data: st.DataObject
) -> None:
    damaged = bytearray(pickle.dumps(value, protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BlobError):
        read_pickle(bytes(damaged))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (print, "builtins.print"),
        (uuid.uuid4(), "NEWOBJ|REDUCE|calls"),
        (collections.Counter("aab"), "collections.Counter"),
        (Exception("text"), "builtins.Exception"),
        (int, "builtins.int"),
    ],
)
def test_everything_else_is_refused_by_name(value: Any, reason: str) -> None:
    with pytest.raises(BlobError, match=reason):
        read_pickle(pickle.dumps(value))


def test_registered_extension_codes_are_refused() -> None:
    """pickle keeps a cache of extension objects that never passes `find_class`."""
    copyreg.add_extension("builtins", "eval", 240)
    try:
        with pytest.raises(BlobError, match="EXT1"):
            read_pickle(pickle.dumps(eval, 2))
    finally:
        copyreg.remove_extension("builtins", "eval", 240)


def test_a_pickle_that_unfolds_without_end_is_refused() -> None:
    bomb: list[Any] = ["x"]
    for _ in range(60):
        bomb = [bomb, bomb]
    with pytest.raises(BlobError, match="unfolds"):
        read_pickle(pickle.dumps(bomb))


def test_a_pickle_that_contains_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(BlobError, match="nested too deep"):
        read_pickle(pickle.dumps(circle))
