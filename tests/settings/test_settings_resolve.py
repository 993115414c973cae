from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infercache.errors import SettingError
from infercache.settings import SETTINGS, Setting, resolve

EMPTY: dict[str, str] = {}


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "infercache.toml"
    file.write_text(text)
    return file


def test_argument_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = write(tmp_path, '[memory]\ncapacity = "2GB"\nentries = 7\ncopy = "copy"\n')
    environ = {"INFERCACHE_MEMORY_CAPACITY": "3GB", "INFERCACHE_MEMORY_ENTRIES": "8"}
    made = resolve(file, {"memory.capacity": "4GB"}, environ)
    assert made["memory.capacity"] == 4 * 10**9
    assert made["memory.entries"] == 8
    assert made["memory.copy"] == "copy"
    assert made["memory.policy"] == "s3fifo"
    where = {name: origin.where for name, origin in made.origins.items()}
    assert where["memory.capacity"] == "argument"
    assert where["memory.entries"] == "variable INFERCACHE_MEMORY_ENTRIES"
    assert where["memory.copy"] == f"{file}:4"
    assert where["memory.policy"] == "default"


def test_flat_and_dotted_names_mean_the_same() -> None:
    flat = resolve(overrides={"shared_memory_capacity": "5MB"}, environ=EMPTY)
    dotted = resolve(overrides={"shared_memory.capacity": "5MB"}, environ=EMPTY)
    assert flat["shared_memory.capacity"] == dotted["shared_memory.capacity"] == 5_000_000


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("memory.capacity", "12 parsecs", ["memory.capacity='12 parsecs'", "not a size", "1GiB"]),
        ("disk.write", "sideways", ["disk.write='sideways'", "through, back"]),
        ("memory.entries", 0, ["memory.entries=0", "from 1 upwards"]),
        ("jitter", 1.5, ["jitter=1.5", "below 1"]),
        ("jitter", "nan", ["jitter='nan'", "finite"]),
        ("ttl_s", "soon", ["ttl_s='soon'", "10m"]),
        ("fail_safe", "maybe", ["fail_safe='maybe'", "true or false"]),
        ("disk.path", 3, ["disk.path=3", "a path"]),
        ("disk.path", "~nobody-here/x", ["disk.path='~nobody-here/x'", "no such user"]),
        ("disk.path", "a\0b", ["disk.path=", "zero character"]),
        ("memory.policy", 3, ["memory.policy=3", "a name"]),
    ],
)
def test_a_bad_value_names_setting_value_and_origin(
    name: str, value: object, parts: list[str]
) -> None:
    with pytest.raises(SettingError) as raised:
        resolve(overrides={name: value}, environ=EMPTY)
    assert "(argument)" in str(raised.value)
    for part in parts:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("memroy.capacity", "memory.capacity"),
        ("disk_codecs", "disk.codec"),
        ("ttl", "ttl_s"),
        ("disk.deadline", "disk.deadline_s"),
    ],
)
def test_an_unknown_name_offers_the_nearest(name: str, near: str) -> None:
    with pytest.raises(SettingError, match=f"did you mean '{near}'"):
        resolve(overrides={name: "1"}, environ=EMPTY)


def test_an_unknown_variable_is_an_error_that_names_it() -> None:
    with pytest.raises(SettingError, match=r"INFERCACHE_DISC_PATH.*'disk\.path'"):
        resolve(environ={"INFERCACHE_DISC_PATH": "/tmp/x"})


@pytest.mark.parametrize(
    ("text", "line", "name"),
    [
        ("ttl_s = '1m'\n\n[memory]\n# note\ncapasity = 3\n", 5, "memory.capasity"),
        ("memory.capasity = 3\n", 1, "memory.capasity"),
        ("memory = { capasity = 3 }\n", None, "memory.capasity"),
        ("[mammary]\ncapacity = 3\n", 1, "mammary"),
    ],
)
def test_a_mistake_in_the_file_is_shown_with_its_line(
    tmp_path: Path, text: str, line: int | None, name: str
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(SettingError) as raised:
        resolve(file, environ=EMPTY)
    assert repr(name) in str(raised.value)
    assert (str(file) if line is None else f"{file}:{line}") in str(raised.value)


def test_a_file_that_is_not_toml_is_refused_with_its_name(tmp_path: Path) -> None:
    file = write(tmp_path, "memory = = 3\n")
    with pytest.raises(SettingError, match=r"infercache\.toml.*line 1"):
        resolve(file, environ=EMPTY)


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="does not exist"):
        resolve(tmp_path / "none.toml", environ=EMPTY)
    with pytest.raises(SettingError, match=r"INFERCACHE_CONFIG.*is a directory"):
        resolve(environ={"INFERCACHE_CONFIG": str(tmp_path)})


def test_the_file_in_the_working_directory_is_read_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "jitter = 0.25\n")
    monkeypatch.chdir(tmp_path)
    assert resolve(environ=EMPTY)["jitter"] == 0.25


def test_a_secret_is_taken_from_the_environment_and_never_shown(tmp_path: Path) -> None:
    made = resolve(environ={"INFERCACHE_SECRET": "open sesame"})
    assert made["secret"] == b"open sesame"
    assert "sesame" not in repr(made)
    assert "sesame" not in str(list(made.rows()))
    with pytest.raises(SettingError) as raised:
        resolve(write(tmp_path, 'secret = "open sesame"\n'), environ=EMPTY)
    assert "INFERCACHE_SECRET" in str(raised.value)
    assert "sesame" not in str(raised.value)


def test_none_can_be_written_where_it_is_the_default() -> None:
    made = resolve(environ={"INFERCACHE_TTL_S": "none", "INFERCACHE_MEMORY_ENTRIES": ""})
    assert made["ttl_s"] is None
    assert made["memory.entries"] is None


@given(st.sampled_from(SETTINGS), st.text(max_size=20))
def test_whatever_the_environment_holds_it_parses_or_is_a_setting_error(
    row: Setting, text: str
) -> None:
    sentence = ""
    try:
        origin = resolve(environ={row.variable: text}).origins[row.name].where
    except SettingError as error:
        sentence = str(error)
        origin = f"variable {row.variable}"
    assert origin == f"variable {row.variable}"
    assert not sentence or f"({origin})" in sentence


@given(st.integers(min_value=0, max_value=10**15))
def test_a_size_of_bytes_comes_through_unchanged(size: int) -> None:
    assert resolve(overrides={"memory.capacity": size}, environ=EMPTY)["memory.capacity"] == size
