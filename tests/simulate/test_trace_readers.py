"""Every trace format is known again by content, read in whole, and refused with a place."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import struct
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Require
from tests.simulate import shared_traces

from infercache.errors import InfercacheWarning, MissingExtraError, SettingError, TraceError
from infercache.simulate.readers import FORMATS, read_trace
from infercache.simulate.readers.numbers import keys_of, mix
from infercache.simulate.readers.registry import known_formats
from infercache.simulate.trace import Trace

Write = Callable[[bytes | str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file whose name says nothing of its format."""

    def call(content: bytes | str) -> Path:
        path = tmp_path / "trace.dat"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return call


def oracle(*rows: tuple[int, int, int, int]) -> bytes:
    return b"".join(struct.pack("<IQIq", *row) for row in rows)


def vscsi(version: int, *rows: tuple[int, int, int]) -> bytes:
    """Pack rows of block, size and microseconds."""
    mark = version << 8
    if version == 1:
        return b"".join(
            struct.pack("<IIIHHQQ", 7, size, 1, 42, mark, block, at) for block, size, at in rows
        )
    return b"".join(
        struct.pack("<HHIIIQQQ", 42, mark, 7, size, 1, block, at, 9) for block, size, at in rows
    )


def blocks(*rows: tuple[float, list[int]], **more: Any) -> str:
    lines = [json.dumps({**more, "timestamp": at, "hash_ids": ids}) for at, ids in rows]
    return "\n".join(lines) + "\n"


def listed(column: Any) -> list[Any] | None:
    return None if column is None else column.tolist()


def columns(trace: Trace) -> tuple[Any, ...]:
    return tuple(listed(getattr(trace, name)) for name in ("keys", "times", "sizes", "requests"))


TWITTER = "0,k-1,3,100,7,get,0\n0,k,2,3,100,7,set,60\n2,k-1,3,0,7,gets,0\n3,k,2,3,9,7,get,0\n"
CASES: dict[str, tuple[bytes | str, str, tuple[Any, ...]]] = {
    "oracle": (
        oracle((1, 2**63, 10, 3), (2, 6, 20, -1), (2, 2**63, 10, -1)),
        "oracleGeneral",
        ([2**63, 6, 2**63], [1.0, 2.0, 2.0], [10, 20, 10], None),
    ),
    "arc": ("5 3 0 0\n100 1 0 1\n", "arc", ([5, 6, 7, 100], None, None, None)),
    "lirs": ("1\n*\n2\n\n1\n", "lirs", ([1, 2, 1], None, None, None)),
    "cache2k": (
        struct.pack(">4i", 1, 70000, 2, 1),
        "cache2k",
        ([1, 70000, 2, 1], None, None, None),
    ),
    "vscsi 1": (
        vscsi(1, (80, 4096, 1_500_000), (88, 512, 2_000_000)),
        "vscsi",
        ([80, 88], [1.5, 2.0], [4096, 512], None),
    ),
    "vscsi 2": (
        vscsi(2, (80, 4096, 1_500_000), (88, 512, 2_000_000)),
        "vscsi",
        ([80, 88], [1.5, 2.0], [4096, 512], None),
    ),
    "mooncake": (
        blocks((0, [1, 2]), (500, [1, 3])),
        "mooncake",
        ([1, 2, 1, 3], [0.0, 0.0, 0.5, 0.5], None, [0, 0, 1, 1]),
    ),
    "bailian": (
        blocks((1.5, [9]), (2, [9, 8]), chat_id=1, parent_chat_id=-1, type="text", turn=1),
        "bailian",
        ([9, 9, 8], [1.5, 2.0, 2.0], None, [0, 1, 1]),
    ),
    "csv with headings": (
        "size;clock_time;obj_id\n10;1;5\n20;2;6\n",
        "csv",
        ([5, 6], [1.0, 2.0], [10, 20], None),
    ),
    "csv without": ("1,5,10\n2,6,20\n", "csv", ([5, 6], [1.0, 2.0], [10, 20], None)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_format_is_known_by_its_content(case: str, write: Write) -> None:
    content, name, expected = CASES[case]
    trace = read_trace(write(content))
    assert (trace.format, columns(trace)) == (name, expected)
    assert columns(read_trace(write(content), format=name)) == expected
    assert trace.name == "trace"


def test_twitter_counts_reads_and_allows_commas_in_keys(write: Write) -> None:
    trace = read_trace(write(TWITTER))
    assert trace.format == "twitter"
    assert listed(trace.times) == [0.0, 2.0, 3.0]
    assert listed(trace.sizes) == [103, 3, 12]
    assert trace.keys[0] == trace.keys[1] == keys_of([b"k-1"])[0]
    assert trace.keys[2] == keys_of([b"k,2"])[0]


def test_a_twitter_cluster_without_reads_counts_every_operation(write: Write) -> None:
    assert len(read_trace(write("0,a,1,5,7,set,9\n1,a,1,5,7,delete,9\n"))) == 2


def test_adaptsize_takes_id_and_size_together_as_the_key(write: Write) -> None:
    trace = read_trace(write("1 7 100\n2 7 200\n3 7 100\n"))
    assert trace.format == "adaptsize"
    assert trace.keys[0] == trace.keys[2] != trace.keys[1]
    assert (listed(trace.times), listed(trace.sizes)) == ([1.0, 2.0, 3.0], [100, 200, 100])


def test_plain_text_keys_are_the_same_in_every_file(write: Write) -> None:
    first = read_trace(write("/a\n/b\n/a\n"))
    second = read_trace(write("/b\n/a\n"))
    assert first.format == "plain"
    assert first.keys[0] == first.keys[2] == second.keys[1] != second.keys[0]


def test_columns_of_a_csv_can_be_named(write: Write) -> None:
    trace = read_trace(write("x,0.5,10,a\ny,0.25,20,b\n"), columns="key,cost,size,-")
    assert listed(trace.costs) == [0.5, 0.25]
    assert listed(trace.sizes) == [10, 20]


@pytest.mark.parametrize("kind", ["int64", "uint64", "int32", "digest", "bytes", "text"])
def test_parquet_reads_keys_of_every_kind(kind: str, tmp_path: Path, require: Require) -> None:
    require.module("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [b"a" * 16, b"b" * 16, b"a" * 16]
    keys = {
        "digest": lambda: pa.array(names, pa.binary(16)),
        "bytes": lambda: pa.array(names, pa.binary()),
        "text": lambda: pa.array([name.decode() for name in names]),
    }.get(kind, lambda: pa.array([1, 2, 1], kind))()
    table = pa.table(
        {
            "key": keys, "time_s": [0.5, 1.0, 1.5], "size_bytes": [1, 2, 3],
            "cost_s": [0.1, 0.2, 0.3], "namespace": ["n", "n", "m"],
        }
    )  # fmt: skip
    path = tmp_path / "log"
    pq.write_table(table, path)
    trace = read_trace(path)
    assert trace.format == "parquet"
    assert len(set(trace.keys.tolist())) == 3, "one key in two namespaces is two keys"
    assert (listed(trace.times), listed(trace.sizes)) == ([0.5, 1.0, 1.5], [1, 2, 3])
    assert listed(trace.costs) == [0.1, 0.2, 0.3]
    pq.write_table(table.drop(["namespace"]), path)
    alone = read_trace(path).keys
    assert alone[0] == alone[2] != alone[1]


def zstd(data: bytes) -> bytes:
    import zstandard

    half = len(data) // 2
    packer = zstandard.ZstdCompressor()
    return bytes(packer.compress(data[:half]) + packer.compress(data[half:]))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": zstd,
}


@pytest.mark.parametrize("packer", PACKERS)
def test_packed_files_are_unpacked_and_cut_off_ones_refused(
    packer: str, write: Write, require: Require
) -> None:
    if packer == "zst":
        require.module("zstandard")
    packed = PACKERS[packer](b"\n".join(b"%d" % number for number in range(5000)))
    assert len(read_trace(write(packed))) == 5000
    with pytest.raises(TraceError, match=r"damaged or cut off"):
        read_trace(write(packed[: len(packed) * 3 // 4]))


BAD: dict[str, tuple[bytes | str, str | None, str]] = {
    "empty": (b"", None, "the file is empty"),
    "marks only": ("*\n*\n", None, "no line with a request"),
    "lirs word": ("1\n2\nthree\n", "lirs", "line 3: 'three'; expected 1 whole numbers"),
    "lirs too large": ("1\n99999999999999999999\n", "lirs", "line 2"),
    "arc short": ("1 2 0 0\n\n5 1 0\n", "arc", r"line 3: '5 1 0'; expected 4 whole numbers"),
    "arc shifted": ("1 2 0\n0 5 1 0 3\n", "arc", "line 1"),
    "arc no blocks": ("1 2 0 0\n5 0 0 1\n", "arc", "run 2: 0 blocks"),
    "adaptsize": ("1 2 3\n1 x 3\n", "adaptsize", "line 2: '1 x 3'.*time, id, size"),
    "size below zero": ("1 2 3\n1 2 -3\n", "adaptsize", "size of access 2 is -3"),
    "oracle cut off": (oracle((1, 5, 1, -1))[:-3], "oracleGeneral", "record 1: cut off"),
    "oracle cut off later": (
        oracle((1, 5, 1, -1), (2, 6, 1, -1))[:-5],
        None,
        "record 2: cut off after 19 bytes",
    ),
    "cache2k": (struct.pack(">3i", 1, 2, 3)[:-1], None, "record 3: cut off after 3 bytes"),
    "vscsi cut off": (vscsi(1, (1, 1, 1), (2, 1, 2))[:-1], None, "record 2: cut off"),
    "vscsi mixed": (
        vscsi(1, *[(block, 1, block) for block in range(30)]) + vscsi(2, (1, 1, 1)) + bytes(24),
        None,
        "record 31: version",
    ),
    "vscsi not": (bytes(64), "vscsi", "neither version 1 nor 2"),
    "twitter": (TWITTER + "4,k,1,x,7,get,0\n", "twitter", "line 5: .*expected time,key"),
    "twitter operation": (TWITTER + "4,k,1,1,7,steal,0\n", "twitter", "line 5"),
    "mooncake": (blocks((0, [1])) + '{"timestamp": 1}\n', None, "line 2: .*hash_ids"),
    "mooncake cut off": (blocks((0, [1])) + '{"timestamp": 1, "ha', None, "line 2"),
    "mooncake without blocks": (blocks((0, [])), None, "no line with a request"),
    "csv number": ("time,key\n1,a\nx,b\n", None, "line 3: the time is 'x'; expected a number"),
    "csv size": ("key,size\na,1\nb,1.5\n", None, "line 3: the size is '1.5'"),
    "csv huge size": ("key,size\na,99999999999999999999\n", None, "a size is too large"),
    "mooncake huge block": (blocks((0, [2**70])), None, "line 1: .*64 bits"),
    "csv short": ("time,key,size\n1,a,1\n2,b\n", "csv", "line 3: 2 columns; expected 3"),
    "csv no key": ("time,size\n1,1\n", None, "no heading for the key"),
    "csv wide": ("1,2,3,4,5,6\n", None, "6 columns without headings; say what they are"),
    "csv cost": ("key,cost\na,1\nb,-2\n", None, "cost of access 2 is -2.0"),
    "csv time": ("time,key\nnan,a\n", None, "time of access 1 is not a finite number"),
    "plain": ("a\nb c\n", "plain", "line 2: 2 words; expected one key"),
    "parquet": (b"PAR1" + bytes(40), None, "damaged or cut off Parquet"),
    "unknown": (bytes(range(256)) * 3, None, "no known trace format begins like this"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_file_and_place(
    case: str, write: Write, require: Require
) -> None:
    if case == "parquet":
        require.module("pyarrow")
    content, name, sentence = BAD[case]
    with pytest.raises(TraceError, match=sentence) as caught:
        read_trace(write(content), format=name)
    assert "trace.dat" in str(caught.value)


@pytest.mark.parametrize("case", ["no key", "null", "floats"])
def test_parquet_without_usable_columns_is_refused(
    case: str, tmp_path: Path, require: Require
) -> None:
    require.module("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    table, sentence = {
        "no key": ({"size": [1]}, "columns: size; expected one named 'key'"),
        "null": ({"key": [1, None]}, "record 2: no key"),
        "floats": ({"key": [1.5]}, "column key: double"),
    }[case]
    pq.write_table(pa.table(table), tmp_path / "log")
    with pytest.raises(TraceError, match=sentence):
        read_trace(tmp_path / "log")


def test_times_that_run_backwards_are_told_and_raised(write: Write) -> None:
    with pytest.warns(InfercacheWarning, match="backwards 1 times, first from access 2 to 3"):
        trace = read_trace(write("time,key\n1,a\n5,b\n3,a\n6,b\n"))
    assert listed(trace.times) == [1.0, 5.0, 5.0, 6.0]


def test_sizes_of_zero_are_told_and_count_as_one(write: Write) -> None:
    with pytest.warns(InfercacheWarning, match="1 accesses have the size zero, first access 2"):
        trace = read_trace(write("key,size\na,5\nb,0\n"))
    assert listed(trace.sizes) == [5, 1]


def test_one_key_only_is_a_trace(write: Write) -> None:
    assert listed(read_trace(write("7\n")).keys) == [7]


def test_unknown_formats_and_columns_name_the_nearest(write: Write) -> None:
    with pytest.raises(SettingError, match=r"unknown trace format 'lirz' \(did you mean 'lirs'"):
        read_trace(write("1\n"), format="lirz")
    assert read_trace(write("1\n"), format="LIRS").format == "lirs"
    with pytest.raises(SettingError, match="write time, key, size, cost or -"):
        read_trace(write("1,2\n"), columns="key,weight")
    with pytest.raises(FileNotFoundError):
        read_trace("nowhere")


def test_a_reader_of_ones_own_joins_by_name(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine:
        unit, promise = "record", "mine"

        def detect(self, source: Any) -> bool:
            return bool(source.data[:4] == b"MINE")

        def read(self, source: Any) -> Trace:
            return Trace(source.name, "mine", np.array([1], dtype=np.uint64))

    monkeypatch.setattr(FORMATS, "_targets", dict(FORMATS._targets))
    FORMATS.register("mine", Mine)
    assert read_trace(write(b"MINE\0")).format == "mine"


def test_without_numpy_the_extra_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MissingExtraError, match=r"infercache\[numpy\]"):
        read_trace(write("1\n"))


def test_every_format_says_what_it_is() -> None:
    assert sorted(known_formats()) == FORMATS.names()
    assert all(known_formats().values())


@given(st.data())
def test_damaged_files_are_refused_or_read_but_never_break_a_reader(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content, name, _ = CASES[data.draw(st.sampled_from(sorted(CASES)))]
    damaged = bytearray(content.encode() if isinstance(content, str) else content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged)))
        damaged[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path = tmp_path_factory.mktemp("damaged") / "trace"
    path.write_bytes(damaged)
    for given_format in (None, name):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InfercacheWarning)
            said = ""
            try:
                assert len(read_trace(path, format=given_format))
            except TraceError as error:
                said = str(error)
        assert not said or str(path) in said


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_mixed_keys_are_equal_where_the_rows_are(rows: list[tuple[int, int]]) -> None:
    table = np.array(rows, dtype=np.int64)
    keys = mix(table[:, 0], table[:, 1]).tolist()
    assert len(set(keys)) == len(set(rows))
    assert [keys.index(key) for key in keys] == [rows.index(row) for row in rows]


EXPECTED = {
    "adapt_size_request": ("adaptsize", 66_987, 40_240),
    "arc_OLTP": ("arc", 914_145, 186_880),
    "cache2k_orm-busy": ("cache2k", 5_000_000, 76_349),
    "cache2k_web07": ("cache2k", 76_118, 20_484),
    "lirs_loop": ("lirs", 505_500, 1_011),
    "lirs_multi1": ("lirs", 15_858, 2_606),
    "lirs_sprite": ("lirs", 133_996, 7_075),
    "mooncake_conversation": ("mooncake", 288_500, 182_790),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_public_traces_are_read_in_whole(name: str, require: Require) -> None:
    shared_traces.need()
    path = next(shared_traces.FOLDER.glob(f"{name}.*"))
    trace = read_trace(path)
    assert (trace.format, len(trace), trace.distinct()) == EXPECTED[name]
    if name != "adapt_size_request":
        assert np.array_equal(trace.keys, shared_traces.load(name))
    assert (trace.requests is not None) == (name == "mooncake_conversation")
