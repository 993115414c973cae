from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import infercache as ic

Runner = Callable[..., Any]


def fill(tmp_path: Path, **options: Any) -> None:
    with ic.Cache(ic.Disk(tmp_path / "disk"), **options) as cache:
        for number in range(20):
            cache.put(number, bytes([number]) * 200_000)


def value_files(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "disk" / "values").rglob("*") if path.is_file())


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.chmod(0o600)
    path.write_bytes(content)


def test_a_sound_cache_is_code_0(run: Runner, tmp_path: Path) -> None:
    fill(tmp_path)
    done = run("doctor")
    assert done.code == 0
    assert "20 entries, nothing wrong" in done.output


def test_a_missing_cache_is_sound_and_stays_missing(run: Runner, tmp_path: Path) -> None:
    assert run("doctor").code == 0
    assert not (tmp_path / "disk").exists()


def test_damage_is_found_told_and_left_without_repair(run: Runner, tmp_path: Path) -> None:
    fill(tmp_path)
    files = value_files(tmp_path)
    damage(files[0])
    files[1].unlink()
    found = run("doctor", "--json")
    assert found.code == 3
    faults = found.json()["tiers"][0]["faults"]
    assert any("do not verify" in fault for fault in faults)
    assert any("missing" in fault for fault in faults)
    assert run("doctor").code == 3


def test_repair_mends_damage_and_keeps_the_rest(run: Runner, tmp_path: Path) -> None:
    fill(tmp_path)
    files = value_files(tmp_path)
    damage(files[0])
    files[1].unlink()
    mended = run("doctor", "--repair", "--json")
    assert mended.code == 1
    tier = mended.json()["tiers"][0]
    assert (tier["entries"], tier["remaining"]) == (18, [])
    assert run("doctor").code == 0
    with ic.Cache(ic.Disk(tmp_path / "disk")) as cache:
        kept = {number: cache.get(number) for number in range(20)}
    assert sum(value is not None for value in kept.values()) == 18
    assert all(v in (None, bytes([number]) * 200_000) for number, v in kept.items())


def test_a_directory_can_be_named(run: Runner, tmp_path: Path) -> None:
    fill(tmp_path)
    damage(value_files(tmp_path)[0])
    assert run("doctor", "--path", str(tmp_path / "disk")).code == 3


def test_what_another_secret_sealed_is_left_alone(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, secret=b"ours")
    done = run("doctor", "--repair", "--json")
    assert done.code == 0
    assert done.json()["tiers"][0]["unverified"] == 20
    monkeypatch.setenv("INFERCACHE_SECRET", "ours")
    assert run("doctor", "--json").json()["tiers"][0]["unverified"] == 0


def test_a_foreign_directory_is_code_2_and_untouched(run: Runner, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"meow")
    done = run("doctor", "--repair", "--path", str(photos))
    assert done.code == 2
    assert "cat.jpg" in done.errors
    assert [path.name for path in photos.iterdir()] == ["cat.jpg"]
