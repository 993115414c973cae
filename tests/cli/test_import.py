from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import infercache as ic

Runner = Callable[..., Any]


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def old(tmp_path: Path, require: Any) -> Path:
    require.module("diskcache")
    import diskcache

    with diskcache.Cache(str(tmp_path / "old")) as cache:
        cache.set("answer", 42)
        cache.set(("a", 1), {"nested": [1.5, "two", None]})
        cache.set("large", "x" * 100_000, tag="big")
        cache.set("trap", Trap(tmp_path / "sprung"))
    return tmp_path / "old"


def test_entries_are_taken_over_and_traps_are_reported(
    run: Runner, tmp_path: Path, old: Path
) -> None:
    done = run("import", "--diskcache", str(old), "--namespace", "moved", "--json")
    assert done.code == 0
    told = done.json()
    assert told["imported"] == 3
    assert [one["key"] for one in told["skipped"]] == ["'trap'"]
    assert not (tmp_path / "sprung").exists()
    with ic.Cache(ic.Disk(tmp_path / "disk")) as cache:
        moved = cache.namespace("moved")
        assert moved.get("answer") == 42
        assert moved.get(("a", 1)) == {"nested": [1.5, "two", None]}
        assert moved.get("large") == "x" * 100_000
        assert moved.invalidate(tag="big") == 1


def test_people_get_the_numbers_and_the_reasons(run: Runner, old: Path) -> None:
    output = run("import", "--diskcache", str(old)).output
    assert "imported 3 entries, skipped 1" in output
    assert "skipped 1: " in output


def test_a_folder_of_something_else_is_refused(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    done = run("import", "--diskcache", str(tmp_path / "photos"))
    assert done.code == 2
    assert "diskcache" in done.errors
