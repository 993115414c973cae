from __future__ import annotations

from pathlib import Path

import pytest

from infercache.assemble import build_tiers, default_directory, directories, open_cache
from infercache.errors import SettingError
from infercache.settings import resolve
from infercache.tiers.specs import Disk, Memory, SharedMemory


def test_without_settings_there_is_memory_and_a_disk_in_the_cache_directory() -> None:
    memory, disk = build_tiers(resolve(environ={}))
    assert isinstance(memory, Memory)
    assert isinstance(disk, Disk)
    assert disk.directory() == default_directory()


def test_the_cache_directory_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert directories(resolve(environ={})) == {"disk": Path("/somewhere/infercache")}


def test_tiers_come_fastest_first() -> None:
    tiers = build_tiers(resolve(overrides={"shared_memory.enabled": True}, environ={}))
    assert [type(tier) for tier in tiers] == [Memory, SharedMemory, Disk]


def test_an_unknown_policy_says_where_it_came_from_and_the_nearest_name(tmp_path: Path) -> None:
    file = tmp_path / "infercache.toml"
    file.write_text('[memory]\npolicy = "lur"\n')
    with pytest.raises(SettingError) as raised:
        build_tiers(resolve(file, environ={}))
    assert str(raised.value).startswith(f"memory.policy ({file}:2): unknown policy 'lur'")
    assert "did you mean 'lru'?" in str(raised.value)


def test_an_unknown_codec_says_where_it_came_from() -> None:
    with pytest.raises(SettingError, match=r"disk\.codec \(variable INFERCACHE_DISK_CODEC\)"):
        build_tiers(resolve(environ={"INFERCACHE_DISK_CODEC": "jsn"}))


def test_without_any_tier_there_is_no_cache() -> None:
    with pytest.raises(SettingError, match="at least one tier"):
        open_cache(memory_enabled=False, disk_enabled=False)


def test_a_value_survives_in_the_configured_directory(tmp_path: Path) -> None:
    with open_cache(disk_path=tmp_path / "cache", memory_capacity="1MB") as cache:
        cache.put("answer", 42)
    with open_cache(disk_path=tmp_path / "cache") as cache:
        assert cache.get("answer") == 42


def test_terms_and_scope_reach_the_cache(tmp_path: Path) -> None:
    with open_cache(
        disk_path=tmp_path, ttl_s="10m", jitter=0.5, scope="tenant", digest="xxh3", fail_safe=True
    ) as cache:
        assert (cache.terms.ttl_s, cache.terms.jitter) == (600.0, 0.5)
        assert (cache.scope, cache.algorithm, cache.terms.fail_safe) == ("tenant", "xxh3", True)
