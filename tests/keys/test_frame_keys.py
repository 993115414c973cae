"""Keys of pandas, polars and Arrow objects."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infercache import KeySpace

SPACE = KeySpace("", "test", "1")
DAY = dt.date(2024, 1, 1)
MOMENT = dt.datetime(2024, 1, 1)


def assert_all_differ(values: list[Any]) -> None:
    digests: dict[bytes, Any] = {}
    for value in values:
        digest = SPACE.digest(value)
        assert digest not in digests, f"{value!r} has the key of {digests[digest]!r}"
        digests[digest] = value


def assert_all_equal(values: list[Any]) -> None:
    assert len({SPACE.digest(value) for value in values}) == 1


def with_attrs(**attrs: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs.update(attrs)
    return frame


def test_pandas_objects_that_differ_have_other_keys() -> None:
    dates = pd.date_range("2024", periods=2)
    assert_all_differ(
        [
            *(pd.Series([0, 1], dtype=kind) for kind in ("i8", "i4", "f8", "?", "Int64", "O")),
            *(pd.Series([0, 1], dtype=kind) for kind in ("Int8", "Float64", "boolean")),
            *(pd.Series([0, 1], dtype=kind) for kind in ("int64[pyarrow]", "Sparse[int]")),
            pd.Series([0, None], dtype="Int64"),
            pd.Series([1, 0]),
            pd.Series([0, 1], name="x"),
            pd.Series([0, 1], index=[1, 0]),
            pd.Series([0, 1], index=["a", "b"]),
            pd.Series(["a", "b"]),
            pd.Series(["a", "b"], dtype=object),
            pd.Series(["a", None]),
            pd.Series(["a", "b"], dtype="string"),
            pd.Series(["a", "b"], dtype="category"),
            pd.Series(pd.Categorical(["a", "b"], categories=["b", "a"])),
            pd.Series(pd.Categorical(["a", "b"], ordered=True)),
            pd.Series(dates),
            pd.Series(dates.tz_localize("UTC")),
            pd.Series(dates.tz_localize("Europe/Paris")),
            pd.Series(dates.to_period("D")),
            pd.Series(dates.to_period("M")),
            pd.Series(dates - dates[0]),
            pd.Series(pd.interval_range(0, 2)),
            pd.Series(pd.interval_range(0, 2, closed="left")),
            pd.DataFrame({"a": [0, 1]}),
            pd.DataFrame({"b": [0, 1]}),
            pd.DataFrame({"a": [0, 1], "b": ["x", "y"]}),
            pd.DataFrame({"b": ["x", "y"], "a": [0, 1]}),
            pd.DataFrame(index=[0, 1]),
            pd.DataFrame(),
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            pd.DataFrame([[2, 1]], columns=["a", "a"]),
            with_attrs(),
            with_attrs(unit="m"),
            pd.Index([0, 1]),
            pd.Index([0, 1], name="n"),
            pd.RangeIndex(2),
            pd.MultiIndex.from_tuples([(0, "a"), (1, "b")]),
            pd.MultiIndex.from_tuples([(0, "a"), (1, "c")]),
            dates,
            pd.DatetimeIndex(list(dates)),
            pd.Categorical(["a"]),
            pd.Timestamp("2024"),
            pd.Timestamp("2024", tz="UTC"),
            MOMENT,
            pd.Timedelta(1, "s"),
            pd.NaT,
            pd.NA,
            None,
            pd.Interval(0, 1),
            pd.Interval(0, 1, closed="left"),
            pd.Period("2024"),
            pd.Period("2024-01"),
        ]
    )


def test_blocks_and_copies_of_a_pandas_frame_do_not_count() -> None:
    whole = pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": ["x", None]})
    grown = pd.DataFrame({"a": [1, 2]})
    grown["b"] = [3, 4]
    grown["c"] = ["x", None]
    longer = pd.concat([whole, whole], ignore_index=True).iloc[:2]
    assert_all_equal([whole, whole.copy(), grown, longer])


def test_what_lies_under_a_gap_of_a_pandas_column_does_not_count() -> None:
    column = pd.array([1, 2], dtype="Int64")
    column[1] = pd.NA
    assert_all_equal([pd.Series(column), pd.Series([1, None], dtype="Int64")])


def test_the_place_of_strings_of_a_pandas_column_does_not_count() -> None:
    kinds = [pd.StringDtype(storage, na_value=pd.NA) for storage in ("python", "pyarrow")]
    assert_all_equal([pd.Series(["a", None], dtype=kind) for kind in kinds])


POLARS: list[Any] = [
    pl.Series([0, 1]), pl.Series("n", [0, 1]), pl.Series([0, 1], dtype=pl.Int8),
    pl.Series([0.0, 1.0]), pl.Series([False, True]), pl.Series([False, None]),
    pl.Series([0, None]), pl.Series([None, 0]), pl.Series([None, None]), pl.Series([0, 0]),
    pl.Series(["a", "b"]), pl.Series(["ab", ""]), pl.Series([b"a", b"b"]), pl.Series(["a", None]),
    pl.Series(["a", "b"], dtype=pl.Categorical), pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])),
    pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])),
    pl.Series([DAY]), pl.Series([MOMENT]), pl.Series([dt.timedelta(1)]), pl.Series([dt.time(1)]),
    pl.Series([MOMENT]).dt.replace_time_zone("UTC"), pl.Series([Decimal("1.5")]),
    pl.Series([Decimal("1.50")]),
    pl.Series([[1], [2]]), pl.Series([[1, 2], []]), pl.Series([[], [1, 2]]),
    pl.Series([[1, 2], None]), pl.Series([[None], []], dtype=pl.List(pl.Int64)),
    pl.Series([[], [None]], dtype=pl.List(pl.Int64)),
    pl.Series([[1], [2]], dtype=pl.Array(pl.Int64, 1)),
    pl.Series([None, [2]], dtype=pl.Array(pl.Int64, 1)),
    pl.Series([{"a": 1}]), pl.Series([{"b": 1}]), pl.Series([{"a": 1, "b": 2}]),
    pl.Series([{"a": None}, None], dtype=pl.Struct({"a": pl.Int64})),
    pl.Series([None, {"a": None}], dtype=pl.Struct({"a": pl.Int64})),
    pl.DataFrame({"a": [0, 1]}), pl.DataFrame({"a": [0], "b": [1]}), pl.DataFrame(),
    pl.DataFrame({"b": [1], "a": [0]}),
]  # fmt: skip


def test_polars_objects_that_differ_have_other_keys() -> None:
    assert_all_differ(POLARS)


@pytest.mark.parametrize("value", POLARS, ids=range(len(POLARS)))
def test_chunks_and_slices_of_polars_objects_do_not_count(value: Any) -> None:
    parts = [value[:1], value[1:]] if len(value) else [value]
    chunked = pl.concat(parts, rechunk=False)
    slice_ = pl.concat([value, value])[len(value) :]
    assert_all_equal([value, chunked, chunked.rechunk(), slice_])


def arrow_arrays() -> list[Any]:
    item = pa.int64()
    return [
        pa.array([0, 1]), pa.array([0, 1], pa.int8()), pa.array([0.0, 1.0]), pa.array([0, None]),
        pa.array([None, 0]), pa.array([None, None]), pa.array([False, True]),
        pa.array([False, None]), pa.array(["a", "b"]), pa.array(["ab", ""]),
        pa.array(["a", "b"], pa.large_string()), pa.array(["a", "b"], pa.string_view()),
        pa.array([b"a", b"b"]), pa.array([b"a", b"b"], pa.binary(1)), pa.array(["a", None]),
        pa.array(["a", "b"]).dictionary_encode(), pa.array([DAY, DAY]), pa.array([MOMENT] * 2),
        pa.array([MOMENT] * 2, pa.timestamp("us", "UTC")), pa.array([Decimal("1.5")] * 2),
        pa.array([[1], [2]]), pa.array([[1, 2], []]), pa.array([[], [1, 2]]),
        pa.array([[1, 2], None]), pa.array([[1], [2]], pa.list_(item, 1)),
        pa.array([None, [2]], pa.list_(item, 1)), pa.array([[1], [2]], pa.large_list(item)),
        pa.array([{"a": 1}, None]), pa.array([{"a": None}, None], pa.struct([("a", item)])),
        pa.array([None, {"a": None}], pa.struct([("a", item)])), pa.array([{"b": 1}, {"b": 2}]),
        pa.array([[("a", 1)], []], pa.map_(pa.string(), item)),
        pa.array([[], [("a", 1)]], pa.map_(pa.string(), item)),
        pa.array([1.5, 2.5], pa.float16()),
        pa.RunEndEncodedArray.from_arrays([1, 2], [7, 8]),
    ]  # fmt: skip


def test_arrow_objects_that_differ_have_other_keys() -> None:
    assert_all_differ(
        [
            *arrow_arrays(),
            pa.chunked_array([[0, 1]]),
            pa.table({"a": [0, 1]}),
            pa.record_batch({"a": [0, 1]}),
            pa.table({"b": [0, 1]}),
            pa.table({"a": [0, 1]}, metadata={"k": "v"}),
            pa.table([[1], [2]], names=["a", "a"]),
            pa.table([[2], [1]], names=["a", "a"]),
            pa.scalar(1),
            pa.scalar(None),
            pa.scalar([1]),
            pa.schema([("a", pa.int8())]),
            pa.int8(),
            pa.chunked_array([], pa.int8()),
            pa.chunked_array([], pa.int16()),
        ]
    )


@pytest.mark.parametrize("array", arrow_arrays(), ids=lambda array: str(array.type)[:40])
def test_chunks_and_slices_of_arrow_arrays_do_not_count(array: Any) -> None:
    longer = pa.concat_arrays([array, array, array])
    assert_all_equal([array, longer[2:4], longer.slice(4, 2)])
    chunks = [[array], [array[:1], array[1:]], [longer[2:3], array[1:], array[:0]]]
    assert_all_equal([pa.chunked_array(parts, array.type) for parts in chunks])
    assert_all_equal([pa.table({"a": pa.chunked_array(parts)}) for parts in chunks])


@settings(max_examples=60)
@given(
    st.lists(st.none() | st.lists(st.none() | st.text(max_size=3), max_size=3), max_size=6),
    st.lists(st.none() | st.lists(st.none() | st.text(max_size=3), max_size=3), max_size=6),
)
def test_nested_columns_have_equal_keys_exactly_if_their_items_are(
    left: list[Any], right: list[Any]
) -> None:
    arrow = [pa.array(items, pa.list_(pa.string())) for items in (left, right)]
    polars = [pl.Series(items, dtype=pl.List(pl.String)) for items in (left, right)]
    for one, other in (arrow, polars):
        assert (SPACE.digest(one) == SPACE.digest(other)) == (left == right)


def test_what_lies_under_a_null_does_not_count() -> None:
    for noise in (1, 2):
        numbers = pa.array([0, noise]).buffers()[1]
        array = pa.Array.from_buffers(pa.int64(), 2, [pa.array([0, None]).buffers()[0], numbers])
        assert SPACE.digest(array) == SPACE.digest(pa.array([0, None]))
