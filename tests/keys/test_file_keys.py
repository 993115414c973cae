"""Files by content, remembered only where that is safe."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

import infercache as ic
from infercache import _core
from infercache.errors import UnkeyableError
from infercache.keys import content_of, files

SPACE = ic.KeySpace("", "test", "1")
LONG_AGO_S = time.time() - 1000


class Reads:
    """Counts how often a file was read to its end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr(files, "_core", self)

    def Hasher(self, algorithm: str) -> _core.Hasher:
        self.count += 1
        return _core.Hasher(algorithm)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    files._remembered.clear()
    return Reads(monkeypatch)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been written long ago: a ctime cannot be set back."""
    monkeypatch.setattr(files, "_SETTLED_NS", -1)


def test_a_file_is_keyed_by_what_it_holds(tmp_path: Path) -> None:
    one, twin, other = (tmp_path / name for name in ("one", "twin", "other"))
    for path, content in ((one, b"same"), (twin, b"same"), (other, b"different")):
        path.write_bytes(content)
    assert SPACE.digest(ic.File(one)) == SPACE.digest(content_of(str(twin)))
    assert SPACE.digest(ic.File(one)) != SPACE.digest(ic.File(other))
    assert SPACE.digest(ic.File(one)) != SPACE.digest(one)
    assert SPACE.digest(one) != SPACE.digest(twin)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_the_digest_is_blake3_of_the_content(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert files.file_digest(tmp_path / "file") == _core.blake3(content)


def test_a_file_opens_like_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with open(ic.File(tmp_path / "file")) as file:
        assert file.read() == "text"


def test_a_rewrite_within_one_tick_of_the_clock_is_seen(tmp_path: Path) -> None:
    """Size and times can stay the same; a file as young as this is read every time."""
    path = tmp_path / "file"
    for number in range(300):
        path.write_bytes(number.to_bytes(2, "little"))
        assert files.file_digest(path) == _core.blake3(number.to_bytes(2, "little"))


def test_a_young_file_is_read_each_time(tmp_path: Path, reads: Reads) -> None:
    (tmp_path / "file").write_bytes(b"x")
    files.file_digest(tmp_path / "file")
    files.file_digest(tmp_path / "file")
    assert reads.count == 2


@pytest.mark.usefixtures("settled")
def test_a_settled_file_is_read_once(tmp_path: Path, reads: Reads) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    digests = {files.file_digest(path) for _ in range(3)}
    assert (len(digests), reads.count) == (1, 1)
    path.rename(tmp_path / "moved")
    assert files.file_digest(tmp_path / "moved") in digests


@pytest.mark.usefixtures("settled", "reads")
def test_a_settled_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    first = files.file_digest(path)
    time.sleep(0.02)
    path.write_bytes(b"y")
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))  # the mtime can be forged, the ctime cannot
    second = files.file_digest(path)
    assert first != second


def test_setting_the_mtime_back_does_not_make_a_file_look_settled(
    tmp_path: Path, reads: Reads
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    files.file_digest(path)
    files.file_digest(path)
    assert reads.count == 2


@pytest.mark.usefixtures("settled")
def test_only_so_many_files_are_remembered(
    tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_REMEMBERED_FILES", 2)
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode())
        files.file_digest(tmp_path / name)
    files.file_digest(tmp_path / "c")
    assert reads.count == 3
    files.file_digest(tmp_path / "a")
    assert reads.count == 4


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    stamp = files._stamp
    sizes = iter(range(100))

    def restless(descriptor: int) -> Any:
        return stamp(descriptor)._replace(size=next(sizes))

    monkeypatch.setattr(files, "_stamp", restless)
    with pytest.raises(UnkeyableError, match="changes while it is read"):
        files.file_digest(path)


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnkeyableError, match=r"argument 'image': file '.*' cannot be read"):
        SPACE.digest(ic.File(tmp_path / name), "argument 'image'")
