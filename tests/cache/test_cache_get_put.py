from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest

import infercache as ic
from infercache.errors import (
    ClosedError,
    ForeignDirectoryError,
    KeySpaceError,
    SettingError,
    UnkeyableError,
)
from infercache.testing.corruption import flip


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ic.Cache]:
    with ic.Cache(ic.Memory("10MB"), ic.Disk(tmp_path / "d", "50MB")) as opened:
        yield opened
        assert opened.check() == []


def test_a_value_comes_back_and_a_missing_one_is_the_default(cache: ic.Cache) -> None:
    assert cache.put({"question": 1}, [1, 2, 3])
    assert cache.get({"question": 1}) == [1, 2, 3]
    assert cache.get("unknown", "default") == "default"
    assert {"question": 1} in cache
    assert "unknown" not in cache


def test_arrays_are_keys_and_values_by_content(cache: ic.Cache) -> None:
    image = numpy.arange(12.0).reshape(3, 4)
    cache.put(image, image * 2)
    kept = cache.get(numpy.arange(12.0).reshape(3, 4))
    numpy.testing.assert_array_equal(kept, image * 2)


def test_batches_keep_their_order(cache: ic.Cache) -> None:
    cache.put_many([("a", 1), ("b", 2)])
    assert cache.get_many(["b", "x", "a"], -1) == [2, -1, 1]


def test_values_survive_a_restart_on_disk(tmp_path: Path) -> None:
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB")) as first:
        first.put("k", {"answer": (1, 2)})
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB")) as second:
        assert second.get("k") == {"answer": (1, 2)}
        assert second.stats().promotions == 1
        assert second.explain("k").served_by == "memory"


def test_namespaces_versions_and_scopes_do_not_see_each_other(cache: ic.Cache) -> None:
    spaces = [
        cache.namespace("embed", "v1"),
        cache.namespace("embed", "v2"),
        cache.namespace("other", "v1"),
        cache.namespace("embed", "v1", scope="tenant"),
    ]
    for number, space in enumerate(spaces):
        assert space.get("same") is None
        space.put("same", number)
    assert [space.get("same") for space in spaces] == [0, 1, 2, 3]


def test_a_key_of_another_namespace_is_refused(cache: ic.Cache) -> None:
    key = cache.namespace("embed", "v1").key("x")
    with pytest.raises(KeySpaceError, match="does not belong to namespace 'embed' version 'v2'"):
        cache.namespace("embed", "v2").get(key)


def test_invalidation_by_key_tag_namespace_and_version(cache: ic.Cache) -> None:
    embed, other = cache.namespace("embed", "v1"), cache.namespace("other", "v1")
    embed.put("a", 1, tags=("model:x",))
    embed.put("b", 2)
    other.put("a", 3, tags=("model:x",))
    assert embed.invalidate("b") == 1
    assert embed.get("b") is None
    assert cache.invalidate(tag="model:x") == 2
    assert embed.get("a") is other.get("a") is None
    embed.put("a", 1)
    other.put("a", 3)
    assert cache.invalidate(namespace="embed") == 1
    assert (embed.get("a"), other.get("a")) == (None, 3)
    assert cache.invalidate(version="v1") == 1
    assert other.get("a") is None


def test_invalidating_nothing_in_particular_is_refused_and_clear_is_the_word(
    cache: ic.Cache,
) -> None:
    cache.put("a", 1)
    with pytest.raises(SettingError, match=r"clear\(\) drops everything"):
        cache.invalidate()
    with pytest.raises(SettingError, match="not both"):
        cache.invalidate("a", tag="t")
    assert cache.clear() == 1
    assert cache.get("a") is None


def test_entries_expire(tmp_path: Path) -> None:
    clock = ic.ManualClock()
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB"), clock=clock) as cache:
        cache.put("k", 1, ttl_s="10m")
        clock.advance(599)
        assert cache.get("k") == 1
        clock.advance(2)
        assert cache.get("k") is None


def test_each_tier_has_its_own_time_to_live(tmp_path: Path) -> None:
    clock = ic.ManualClock()
    tiers = (ic.Memory("1MB", ttl_s=5), ic.Disk(tmp_path, "5MB", ttl_s=50))
    with ic.Cache(*tiers, clock=clock) as cache:
        cache.put("k", 1)
        clock.advance(6)
        assert [a.state for a in cache.explain("k").answers] == ["miss", "hit"]
        clock.advance(45)
        assert cache.get("k") is None


def test_expired_entries_are_swept(tmp_path: Path) -> None:
    clock = ic.ManualClock()
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB"), clock=clock) as cache:
        cache.put_many([(number, number) for number in range(10)], ttl_s=5)
        cache.put("stays", 1)
        clock.advance(10)
        assert cache.sweep() == 20
        assert [tier.entries for tier in cache.stats().tiers] == [1, 1]


def test_expired_entries_leave_the_disk_first(tmp_path: Path) -> None:
    clock = ic.ManualClock()
    with ic.Cache(ic.Disk(tmp_path, "100KB", policy="lru"), clock=clock) as cache:
        cache.put("stays", "x" * 20_000)
        cache.put("goes", "x" * 50_000, ttl_s=5)
        clock.advance(10)
        cache.put("new", "x" * 50_000)
        assert "stays" in cache
        assert "new" in cache


def test_tiers_are_resized_while_running(tmp_path: Path) -> None:
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB")) as cache:
        cache.put_many([(number, "v" * 1000) for number in range(100)])
        cache.resize("memory", "20KB")
        cache.resize("disk", "60KB")
        memory, disk = cache.stats().tiers
        assert memory.size_bytes <= memory.capacity_bytes == 20_000
        assert disk.size_bytes <= disk.capacity_bytes == 60_000
        assert cache.check() == []
        with pytest.raises(SettingError, match="there is no tier 'gpu'; known: memory, disk"):
            cache.resize("gpu", 1)


def test_a_closed_cache_says_so(tmp_path: Path) -> None:
    cache = ic.Cache(ic.Memory("1MB"))
    cache.close()
    cache.close()
    with pytest.raises(ClosedError, match="was closed"):
        cache.get("k")


def test_a_pinned_entry_outlives_pressure() -> None:
    with ic.Cache(ic.Memory("20KB", policy="lru")) as cache:
        cache.put("keep", "x" * 1000)
        assert cache.pin("keep")
        for number in range(200):
            cache.put(number, "y" * 1000)
        assert cache.get("keep") == "x" * 1000
        assert cache.unpin("keep")
        assert not cache.pin("unknown")
        for number in range(200):
            cache.put(number, "z" * 1000)
        assert "keep" not in cache


def test_what_memory_evicts_is_on_disk(tmp_path: Path) -> None:
    with ic.Cache(ic.Memory("50KB"), ic.Disk(tmp_path, "5MB")) as cache:
        for number in range(200):
            cache.put(number, "v" * 1000)
        assert cache.stats().tiers[0].entries < 100
        assert cache.get_many(range(200)) == ["v" * 1000] * 200


def test_the_disk_stays_within_its_bound(tmp_path: Path) -> None:
    with ic.Cache(ic.Disk(tmp_path, "300KB")) as cache:
        for number in range(100):
            cache.put(number, numpy.full(2000, number))
            assert cache.stats().tiers[0].size_bytes <= 300_000
        assert cache.stats().tiers[0].counts["evictions"] > 0
        assert cache.check() == []


def test_a_value_larger_than_every_tier_is_handed_back_and_the_reason_is_known(
    tmp_path: Path,
) -> None:
    with ic.Cache(ic.Memory("10KB"), ic.Disk(tmp_path, "50KB")) as cache:
        value = cache.get_or_compute("big", lambda: numpy.ones(100_000))
        assert value.sum() == 100_000
        assert cache.get("big") is None
        assert not cache.put("big", value)
        assert cache.put_many([("big", value), ("small", 1)]) == [False, True]
        assert "larger than the whole tier" in str(cache.explain("big"))


def test_a_value_that_no_codec_takes_is_kept_in_memory_with_one_warning(tmp_path: Path) -> None:
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB")) as cache:
        with pytest.warns(ic.InfercacheWarning, match="are not kept in tier 'disk'"):
            cache.put("odd", object())
        cache.put("odd2", object())
        assert cache.get("odd") is cache.get("odd")
        assert "cannot write a value of this type" in str(cache.explain("odd"))


@dataclasses.dataclass
class Opaque:
    handle: object


def test_an_unkeyable_argument_says_where_it_sits(cache: ic.Cache) -> None:
    with pytest.raises(UnkeyableError, match="handle"):
        cache.get({"opts": [1, Opaque(object())]})


def test_bad_settings_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="12 parsecs"):
        ic.Memory("12 parsecs")
    with pytest.raises(SettingError, match=r"unknown policy 'lur' \(did you mean 'lru'\?\)"):
        ic.Disk(tmp_path, "1MB", policy="lur")
    with pytest.raises(SettingError, match="codec"):
        ic.Disk(tmp_path, "1MB", codec="zsdt")
    with pytest.raises(SettingError, match="through"):
        ic.Disk(tmp_path, "1MB", write="sideways")
    with pytest.raises(SettingError, match="copy='deep'"):
        ic.Memory("1MB", copy="deep")
    with pytest.raises(SettingError, match="two tiers are named 'memory'"):
        ic.Cache(ic.Memory("1MB"), ic.Memory("2MB"))
    with pytest.raises(SettingError, match=r"unknown term 'ttl' \(did you mean 'ttl_s'\?\)"):
        ic.Cache(ic.Memory("1MB"), ttl=5)
    with pytest.raises(SettingError, match="only one tier of a cache can have write"):
        ic.Cache(ic.SharedMemory("1MB", write="back"), ic.Disk(tmp_path, "1MB", write="back"))
    with pytest.raises(SettingError, match="digest='md5'"):
        ic.Cache(digest="md5")


def test_a_foreign_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ForeignDirectoryError, match=str(tmp_path)):
        ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB"))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_unreachable_directory_warns_and_the_work_goes_on(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a directory")

    def compute(cache: ic.Cache) -> int:
        return cache.get_or_compute("k", lambda: 42)

    with pytest.warns(ic.InfercacheWarning, match="tier 'disk' is out"):  # noqa: PT031
        cache = ic.Cache(ic.Memory("1MB"), ic.Disk(blocker / "cache", "5MB"))
        # The first operation says it; later ones just go on.
        compute(cache)
    assert compute(cache) == cache.get("k") == 42
    assert cache.explain("k").answers[1].state == "out"
    cache.close()


def test_warnings_as_errors_do_not_break_the_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """This suite turns warnings into errors: what they would break must go on, and is logged."""
    blocker = tmp_path / "file"
    blocker.write_text("not a directory")
    with ic.Cache(ic.Memory("1MB"), ic.Disk(blocker / "cache", "5MB")) as cache:
        assert cache.put("k", 1)
        assert cache.get("k") == 1
        assert cache.get_or_compute("other", lambda: 2) == 2
    assert "tier 'disk' is out" in caplog.text
    caplog.clear()


def test_a_damaged_value_is_explained(tmp_path: Path) -> None:
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB")) as cache:
        cache.put("k", numpy.zeros(10_000))
        (file,) = (tmp_path / "values").glob("*/*")
        flip(file, 8 * (file.stat().st_size // 2))
        assert "deleted because it was damaged" in str(cache.explain("k"))
        cache.put("k", numpy.zeros(10_000))
        assert "deleted" not in str(cache.explain("k"))


def test_a_cache_travels_by_its_settings(tmp_path: Path) -> None:
    with ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "5MB"), ttl_s=100) as cache:
        space = cache.namespace("embed", "v1")
        space.put("k", 5)
        other_cache, other_space = pickle.loads(pickle.dumps((cache, space)))
        with other_cache:
            assert other_space.get("k") == 5
            assert other_cache.terms == cache.terms
            assert repr(other_cache).startswith("Cache(Memory(")


def test_the_representation_shows_the_stack(cache: ic.Cache) -> None:
    assert "Memory(" in repr(cache)
    assert "> Disk(" in repr(cache)


def test_copies_protect_what_is_kept() -> None:
    for mode in ("copy", "readonly"):
        with ic.Cache(ic.Memory("1MB", copy=mode)) as cache:
            given = {"scores": [1, 2]}
            cache.put("k", given)
            given["scores"].append(3)
            cache.get("k")["scores"].append(4)
            assert cache.get("k") == {"scores": [1, 2]}


def test_read_only_views_cannot_be_written() -> None:
    with ic.Cache(ic.Memory("1MB", copy="readonly")) as cache:
        cache.put("k", [numpy.zeros(3)])
        with pytest.raises(ValueError, match="read-only"):
            cache.get("k")[0][0] = 1


def test_stats_count_what_happened(cache: ic.Cache) -> None:
    cache.get("a")
    cache.get_or_compute("a", lambda: 1)
    cache.get_or_compute("a", lambda: 2)
    cache.get("a")
    stats = cache.stats()
    assert (stats.hits, stats.misses) == (2, 2)
    assert stats.hit_ratio == 0.5
    assert stats.namespaces["default"].computed == 1
    assert [tier.name for tier in stats.tiers] == ["memory", "disk"]
    assert stats.as_dict()["hits"] == 2
    assert "2 hits, 2 misses (50.0%)" in str(stats)
