from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import infercache as ic
from infercache.cli.group import COMMANDS
from infercache.settings import SETTINGS

Runner = Callable[..., Any]


def fill(tmp_path: Path) -> None:
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path / "disk")) as cache:
        embed = cache.namespace("embed", version="v1")
        for number in range(5):
            embed.put(number, "x" * 1000, cost_s=0.5, tags=("even",) if number % 2 == 0 else ())
        cache.put("answer", 42)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(run: Runner, name: str) -> None:
    done = run(name, "--help")
    assert done.code == 0
    assert "Example" in done.output
    assert f"infercache {name}" in done.output or f"{name} --" in done.output


def test_the_group_lists_every_command(run: Runner) -> None:
    output = run("--help").output
    for name in COMMANDS:
        assert f"  {name} " in output


def test_version_names_the_library(run: Runner) -> None:
    assert ic.__version__ in run("version").output
    assert ic.__version__ in run("--version").output


def test_settings_show_every_value_with_its_origin(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "infercache.toml").write_text('[memory]\npolicy = "lru"\n')
    shown = run("--set", "ttl_s=7d", "settings", "--json").json()
    assert set(shown) == {row.name for row in SETTINGS}
    assert shown["memory.policy"] == {"value": "lru", "origin": "infercache.toml:2"}
    assert shown["ttl_s"]["origin"] == "argument"
    assert shown["disk.path"]["origin"] == "variable INFERCACHE_DISK_PATH"


def test_settings_never_show_a_secret(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERCACHE_SECRET", "open sesame")
    for arguments in (("settings",), ("settings", "--json"), ("settings", "--schema")):
        assert "sesame" not in run(*arguments).output


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--set", "memory.capacity=12 parsecs", "settings"), "not a size"),
        (("--set", "memroy.capacity=1GB", "settings"), "did you mean 'memory.capacity'?"),
        (("--set", "memory.policy=lur", "stats"), "did you mean 'lru'?"),
        (("--set", "nonsense", "settings"), "NAME=VALUE"),
        (("--set", "secret=x", "settings"), "INFERCACHE_SECRET"),
        (("--config", "none.toml", "settings"), "does not exist"),
        (("doctor", "--path", "missing"), "missing"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    run: Runner, arguments: tuple[str, ...], part: str
) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert part in done.errors
    assert "Traceback" not in done.errors


def test_debug_shows_the_traceback(start: Runner) -> None:
    done = start("--debug", "--set", "memory.capacity=none", "settings")
    assert "Traceback" in done.stderr
    assert "SettingError: memory.capacity" in done.stderr
    assert done.returncode != 0


def test_stats_count_entries_by_namespace(run: Runner, tmp_path: Path) -> None:
    fill(tmp_path)
    tier = run("stats", "--json").json()["tiers"][0]
    assert (tier["tier"], tier["entries"], tier["exists"]) == ("disk", 6, True)
    embed = next(group for group in tier["groups"] if group["namespace"] == "embed")
    assert (embed["version"], embed["entries"], embed["cost_s"]) == ("v1", 5, 2.5)
    assert embed["size_bytes"] >= 5000
    assert sum(group["size_bytes"] for group in tier["groups"]) == tier["size_bytes"]
    assert "embed" in run("stats").output


def test_stats_of_an_empty_place_say_so_and_create_nothing(run: Runner, tmp_path: Path) -> None:
    shown = " ".join(run("stats").output.split())  # a long path wraps the line
    assert "nothing stored yet" in shown
    assert not (tmp_path / "disk").exists()


def test_stats_refuse_a_foreign_directory(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    done = run("stats", "--path", str(tmp_path / "photos"))
    assert done.code == 2
    assert "cat.jpg" in done.errors


@pytest.mark.parametrize(
    ("arguments", "dropped", "left"),
    [
        (("--namespace", "embed"), 5, ["answer"]),
        (("--tag", "even"), 3, ["answer", 1, 3]),
        (("--version", "v1"), 5, ["answer"]),
        (("--namespace", "embed", "--tag", "even"), 3, ["answer", 1, 3]),
        (("--all",), 6, []),
    ],
)
def test_clear_drops_what_was_asked_and_nothing_else(
    run: Runner, tmp_path: Path, arguments: tuple[str, ...], dropped: int, left: list[object]
) -> None:
    fill(tmp_path)
    assert f"dropped {dropped} entries" in run("clear", *arguments, "--yes").output
    with ic.Cache(ic.Disk(tmp_path / "disk")) as cache:
        embed = cache.namespace("embed", version="v1")
        found = [name for name in ("answer",) if name in cache]
        assert [*found, *(number for number in range(5) if number in embed)] == left


def test_clear_asks_first(run: Runner, tmp_path: Path) -> None:
    fill(tmp_path)
    assert run("clear", "--all", input="n\n").code == 1
    assert run("stats", "--json").json()["tiers"][0]["entries"] == 6
    assert run("clear", "--all", input="y\n").code == 0
    assert run("stats", "--json").json()["tiers"][0]["entries"] == 0


def test_clear_without_a_choice_drops_nothing(run: Runner, tmp_path: Path) -> None:
    fill(tmp_path)
    assert run("clear", "--yes").code == 2
    assert run("clear", "--all", "--tag", "even", "--yes").code == 2
    assert run("stats", "--json").json()["tiers"][0]["entries"] == 6


def test_without_click_one_sentence_says_which_extra_to_install(start: Runner) -> None:
    done = start("stats", before="sys.modules['click'] = None")
    assert done.returncode == 2
    assert done.stderr == "Command 'infercache' needs an extra: pip install 'infercache[cli]'\n"


@pytest.mark.parametrize("arguments", [("settings",), ("settings", "--schema"), ("--help",)])
def test_a_reader_that_stops_reading_gets_no_traceback(
    start: Runner, arguments: tuple[str, ...]
) -> None:
    done: subprocess.CompletedProcess[str] = start(*arguments, shell="| head -c 10")
    assert len(done.stdout) == 10
    assert done.stderr == ""
