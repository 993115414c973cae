"""`infercache replay` and `infercache advise` as a user runs them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Runner = Callable[..., Any]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Write a skewed trace with times and sizes."""
    random = np.random.default_rng(3)
    keys = random.zipf(1.2, 5_000) % 400
    rows = [f"{place},{key},{1000 + key}" for place, key in enumerate(keys)]
    path = tmp_path / "shop.csv"
    path.write_text("time,key,size\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def prefixes(tmp_path: Path) -> Path:
    """Write requests for prefix blocks."""
    random = np.random.default_rng(4)
    path = tmp_path / "chat.jsonl"
    with path.open("w") as file:
        for place in range(400):
            chat = int(random.integers(0, 40))
            ids = [0, *(1 + chat * 10 + step for step in range(int(random.integers(1, 9))))]
            file.write(json.dumps({"timestamp": place * 10, "hash_ids": ids}) + "\n")
    return path


def test_replay_shows_policies_between_lru_and_the_optimum(run: Runner, trace: Path) -> None:
    done = run(
        "replay", str(trace), "--policy", "arc,sieve", "--capacity", "5%,50",
        "--csv", "all.csv", "--json", "all.json",
    )  # fmt: skip
    assert done.code == 0, done.errors
    assert [line.split()[0] for line in done.output.splitlines()[3:7]] == [
        "lru", "arc", "sieve", "belady",
    ]  # fmt: skip
    rows = json.loads(Path("all.json").read_text())
    assert len(rows) == 8
    with Path("all.csv").open() as file:
        listed = list(csv.DictReader(file))
    assert [row["policy"] for row in listed] == [row["policy"] for row in rows]
    assert [float(row["miss_ratio"]) for row in listed] == [row["miss_ratio"] for row in rows]
    best = [row for row in rows if row["policy"] == "belady"]
    assert all(row["gap_closed"] == 1.0 for row in best)


def test_replay_of_several_traces_ends_with_means(run: Runner, trace: Path) -> None:
    done = run("replay", str(trace), str(trace), "--policy", "arc", "--capacity", "5%")
    assert done.code == 0
    assert "mean gap closed over 2 traces" in done.output


def test_replay_by_the_prefix_rule_counts_fewer_hits(run: Runner, prefixes: Path) -> None:
    misses = []
    for option in ((), ("--prefix-rule",)):
        done = run(
            "replay", str(prefixes), "--policy", "fifo", "--capacity", "30%", "--json", "x", *option
        )
        assert done.code == 0, done.errors
        rows = {row["policy"]: row["miss_ratio"] for row in json.loads(Path("x").read_text())}
        misses.append(rows["fifo"])
        assert rows["belady"] <= min(rows.values())
    assert misses[1] > misses[0]


def test_replay_in_bytes_uses_the_sizes(run: Runner, trace: Path) -> None:
    done = run("replay", str(trace), "--bytes", "--capacity", "50KB,10%", "--policy", "gdsf")
    assert done.code == 0, done.errors
    assert "50.0 KB" in done.output
    assert "heuristic" in done.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--policy", "ark"), "unknown policy 'ark' (did you mean 'arc'?)"),
        (("--policy", ","), "nothing is named"),
        (("--capacity", "lots"), "capacity 'lots': write a share"),
        (("--capacity", "0%"), "above 0 and at most 100%"),
        (("--prefix-rule",), "needs a trace of prefix blocks"),
        (("--format", "arq"), "unknown trace format 'arq' (did you mean 'arc'?)"),
        (("--format", "lirs"), "shop.csv: line 1: 'time,key,size'; expected 1 whole numbers"),
    ],
)
def test_what_cannot_be_replayed_is_told_in_a_sentence(
    arguments: tuple[str, ...], sentence: str, run: Runner, trace: Path
) -> None:
    done = run("replay", str(trace), *arguments)
    assert done.code == 2
    assert sentence in " ".join(done.errors.split())


def test_the_known_formats_are_shown_without_a_trace(run: Runner) -> None:
    done = run("replay", "--formats")
    assert done.code == 0, done.errors
    assert "oracleGeneral  libCacheSim" in done.output


def test_a_missing_and_an_empty_file_are_told(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert "does not exist" in run("replay", "nowhere").errors
    assert "the file is empty" in run("replay", str(tmp_path / "empty")).errors


def self_contained(page: str, plots: int) -> None:
    assert page.count("<svg") == plots
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)", page)
    assert "url(http" not in page
    assert "@import" not in page
    clips = [one for one in re.findall(r'\bid="([^"]+)"', page) if "clip" in one]
    assert len(set(clips)) == len(clips)


def test_replay_writes_one_page_with_plots(run: Runner, prefixes: Path, require: Any) -> None:
    require.module("matplotlib", "jinja2")
    done = run("replay", str(prefixes), "--prefix-rule", "--html", "new/page.html")
    assert done.code == 0, done.errors
    page = Path("new/page.html").read_text()
    self_contained(page, 4)
    assert "chat" in page


def test_advise_recommends_a_size_and_a_policy(run: Runner, trace: Path) -> None:
    done = run("advise", str(trace), "--json", "advice.json", "--policy", "arc,lfu")
    assert done.code == 0, done.errors
    found = json.loads(Path("advice.json").read_text())
    assert f"recommended: {found['recommended']['capacity']} entries" in done.output
    assert found["policies"][0]["policy"] in ("lru", "arc", "lfu")
    assert found["sentences"][0] in done.output
    assert "working set" in done.output


def test_advise_weighs_prices_and_writes_a_page(run: Runner, trace: Path, require: Any) -> None:
    require.module("matplotlib", "jinja2")
    done = run(
        "advise", str(trace), "--bytes", "--byte-cost", "0.01", "--miss-cost", "0.001",
        "--html", "advice.html",
    )  # fmt: skip
    assert done.code == 0, done.errors
    assert "an hour after the memory is paid" in done.output
    self_contained(Path("advice.html").read_text(), 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--byte-cost", "1"), "weigh each other: give both"),
        (("--byte-cost", "0", "--miss-cost", "1"), "--byte-cost 0.0: expected a number above 0"),
        (("--byte-cost", "1", "--miss-cost", "1"), "say with --entry-size"),
        (("--tier", "memory=x,1", "--miss-cost", "1"), "write NAME=GB_HOUR,HIT"),
        (("--tier", "memory=-1,1", "--miss-cost", "1"), "two prices of 0 or more"),
        (("--policy", "lur"), "did you mean 'lru'"),
        (("--prefix-rule",), "needs a trace of prefix blocks"),
    ],
)
def test_what_cannot_be_advised_is_told_in_a_sentence(
    arguments: tuple[str, ...], sentence: str, run: Runner, trace: Path
) -> None:
    done = run("advise", str(trace), *arguments)
    assert done.code == 2
    assert sentence in " ".join(done.errors.split())


def test_advise_sizes_several_tiers_together(run: Runner, trace: Path, require: Any) -> None:
    require.module("matplotlib", "jinja2")
    done = run(
        "advise", str(trace), "--bytes", "--miss-cost", "0.001", "--json", "advice.json",
        "--tier", "memory=500,0", "--tier", "disk=0.01,0.0001", "--html", "advice.html",
    )  # fmt: skip
    assert done.code == 0, done.errors
    memory, disk = json.loads(Path("advice.json").read_text())["tiers"]
    assert 0 < memory["capacity"] < disk["capacity"]
    assert "next GB would save" in done.output
    assert "next GB would save" in Path("advice.html").read_text()


def test_both_commands_start_as_a_user_starts_them(start: Runner, trace: Path) -> None:
    for command in ("replay", "advise"):
        done = start(command, str(trace))
        assert done.returncode == 0, done.stderr
        assert "shop (csv): 5,000 accesses" in done.stdout
