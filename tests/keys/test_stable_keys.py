"""Digests are the same in every process, on every machine, in every release."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden_digests.json").read_text())


def run(code: str, hash_seed: str) -> Any:
    """Run code beside the table of values, with another seed of Python's own hashes."""
    places = [str(HERE), *sys.path]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(places)}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert output.returncode == 0, output.stderr
    return json.loads(output.stdout)


@pytest.mark.skipif(sys.byteorder != "little", reason="the table is for little-endian machines")
@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_digests_are_those_of_the_table_in_any_process(hash_seed: str) -> None:
    """A change here empties every cache of every user: it needs a reason and a release note."""
    code = "import json, keyed_values as k; print(json.dumps(k.digests()))"
    assert run(code, hash_seed) == GOLDEN


def test_all_digests_of_the_table_differ() -> None:
    assert len(set(GOLDEN.values())) == len(GOLDEN)


def test_threads_get_the_same_digests() -> None:
    code = """
import json, keyed_values as k
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    all_digests = list(pool.map(lambda _: k.digests(), range(24)))
assert all(digests == all_digests[0] for digests in all_digests)
print(json.dumps(all_digests[0]))
"""
    assert run(code, "random") == GOLDEN


FUNCTION = """
import json
from infercache.keys import code_version
LIMIT = frozenset(["a", "b", "c", "d"])
def inner(x, *, y={"k": frozenset("abcdef")}): return [z for z in LIMIT if z in ("p", "q")]
def outer(x): return inner(x) if x in {"u", "v", "w", "x", "y"} else (lambda: LIMIT)
print(json.dumps(code_version(outer)))
"""


def test_versions_of_code_are_the_same_in_any_process() -> None:
    with ThreadPoolExecutor(3) as pool:
        versions = list(pool.map(lambda seed: run(FUNCTION, seed), ["1", "2", "random"]))
    moved = run("\n\n# a comment\n" + FUNCTION, "4")
    changed = run(FUNCTION.replace('"w"', '"W"'), "5")
    assert {*versions, moved} == {versions[0]}
    assert changed != versions[0]


def test_keys_load_nothing_heavy() -> None:
    code = """
import json, sys, pathlib, datetime
import infercache.keys as keys
keys.KeySpace("", "a", "1").digest([1, "a", pathlib.Path("x"), datetime.date(2024, 1, 1)])
heavy = {"numpy", "torch", "pandas", "polars", "pyarrow", "PIL", "pydantic"}
print(json.dumps(sorted(heavy & set(sys.modules))))
"""
    assert run(code, "0") == []
