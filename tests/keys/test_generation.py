"""The counter that processes share."""

from __future__ import annotations

import multiprocessing
import os
import struct
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from infercache import _core
from infercache.errors import ReadOnlyError


def bump_many(path: str, times: int) -> None:
    counter = _core.Generation(path)
    for _ in range(times):
        counter.bump()


def test_it_starts_at_nothing_and_counts(tmp_path: Path) -> None:
    counter = _core.Generation(tmp_path / "counter")
    assert (counter.load(), counter.seen) == (0, 0)
    assert (counter.bump(), counter.bump(), counter.load()) == (1, 2, 2)
    assert counter.seen == 0


def test_another_opening_sees_every_step(tmp_path: Path) -> None:
    one, other = (_core.Generation(tmp_path / "counter") for _ in range(2))
    one.bump()
    assert other.load() == 1
    other.bump()
    assert one.load() == 2
    late = _core.Generation(str(tmp_path / "counter"))
    assert (late.load(), late.seen) == (2, 2)


def test_what_was_seen_belongs_to_the_opening(tmp_path: Path) -> None:
    one, other = (_core.Generation(tmp_path / "counter") for _ in range(2))
    one.seen = one.bump()
    assert (one.seen, other.seen) == (1, 0)


def test_the_file_holds_a_little_endian_number(tmp_path: Path) -> None:
    path = tmp_path / "counter"
    path.write_bytes(struct.pack("<Q", 258))
    counter = _core.Generation(path)
    assert (counter.load(), counter.bump()) == (258, 259)
    assert path.read_bytes() == struct.pack("<Q", 259)


def test_it_wraps_around_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "counter"
    path.write_bytes(b"\xff" * 8)
    assert _core.Generation(path).bump() == 0


def test_no_step_is_lost_among_processes_and_threads(tmp_path: Path) -> None:
    path = str(tmp_path / "counter")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=bump_many, args=(path, 5000)) for _ in range(3)]
    threads = [threading.Thread(target=bump_many, args=(path, 5000)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for thread in threads:
        thread.start()
    for worker in workers:
        worker.join()
    for thread in threads:
        thread.join()
    assert _core.Generation(path).load() == 6 * 5000


NOBODY = 65534


def read_as_nobody(path: str, answers: Any) -> None:
    if os.getuid() == 0:  # to whom permissions do not apply
        os.setuid(NOBODY)
    reader = _core.Generation(path)
    before = reader.load()
    try:
        reader.bump()
    except ReadOnlyError as error:
        answers.put((before, reader.load(), str(error)))
    else:
        answers.put("it could write")


@pytest.mark.skipif(sys.platform != "linux", reason="changes its user after a fork")
def test_where_it_cannot_write_it_reads() -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        path = Path(directory, "counter")
        writer = _core.Generation(path)
        writer.bump()
        path.chmod(0o444)
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()
        child = context.Process(target=read_as_nobody, args=(str(path), answers))
        child.start()
        answer = answers.get()
        child.join()
        assert answer == (
            1,
            1,
            f"{path} is read-only here: the counter can be read but not moved on",
        )


def test_deleting_or_replacing_the_file_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "counter"
    old = _core.Generation(path)
    old.bump()
    path.unlink()
    new = _core.Generation(path)
    assert (old.bump(), new.load()) == (2, 0)


def test_a_missing_directory_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _core.Generation(tmp_path / "missing" / "counter")
