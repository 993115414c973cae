from __future__ import annotations

import random
from pathlib import Path

import numpy
import pytest

import infercache as ic
from infercache.testing.corruption import corrupt_at_random, flip

ITEMS = 40_000


def open_cache(directory: Path) -> ic.Cache:
    return ic.Cache(ic.Disk(directory, "50MB"))


def test_damaged_files_are_counted_deleted_and_computed_again(tmp_path: Path) -> None:
    rng = random.Random(3)
    truth = {number: numpy.full(ITEMS, number, numpy.uint8) for number in range(5)}
    with open_cache(tmp_path) as cache:
        cache.put_many(truth.items())
        for _ in range(60):
            assert corrupt_at_random(tmp_path, rng)
            for number, value in truth.items():
                kept = cache.get_or_compute(number, lambda value=value: value)  # type: ignore[misc]
                numpy.testing.assert_array_equal(kept, value)
        counts = cache.stats().tiers[0].counts
        assert counts["corrupt"] >= 55  # swapping back what was just swapped harms nothing
        assert cache.check() == []


def test_a_damaged_value_is_explained(tmp_path: Path) -> None:
    with open_cache(tmp_path) as cache:
        cache.put("k", numpy.zeros(ITEMS))
        (file,) = (tmp_path / "values").glob("*/*")
        flip(file, 8 * (file.stat().st_size // 2))
        kinds: list[str] = []
        cache.events.subscribe(lambda event: kinds.append(event.kind))
        assert cache.get("k") is None
        assert "corrupt" in kinds


def test_one_disk_serves_several_codecs_and_never_one_for_another(tmp_path: Path) -> None:
    with ic.Cache(ic.Disk(tmp_path, "5MB")) as cache:
        cache.namespace("n", codec="json").put("k", {"a": [1, 2]})
        assert cache.namespace("n").get("k") == {"a": [1, 2]}
    with ic.Cache(ic.Disk(tmp_path, "5MB")) as plain:
        assert plain.namespace("n").get("k") is None  # written as JSON, read as plain: a miss


def test_a_secret_of_another_reads_as_missing(tmp_path: Path) -> None:
    with ic.Cache(ic.Disk(tmp_path, "5MB"), secret=b"one") as cache:
        cache.put("k", 1)
        assert cache.get("k") == 1
    with ic.Cache(ic.Disk(tmp_path, "5MB"), secret=b"two") as other:
        assert other.get("k") is None


def test_trusted_pickle_holds_for_its_namespace_only(tmp_path: Path) -> None:
    with ic.Cache(ic.Disk(tmp_path, "5MB")) as cache:
        trusted = cache.namespace("trusted", trusted_pickle=True)
        trusted.put("k", complex)
        assert trusted.get("k") is complex
        with pytest.warns(ic.InfercacheWarning, match="are not kept in tier 'disk'"):
            assert not cache.namespace("other").put("k", complex)


def test_a_read_only_cache_reads_and_a_damaged_value_is_a_miss(tmp_path: Path) -> None:
    with open_cache(tmp_path) as cache:
        cache.put("good", 1)
        cache.put("bad", numpy.zeros(ITEMS))
    (file,) = (tmp_path / "values").glob("*/*")
    flip(file, 8 * (file.stat().st_size // 2))
    with ic.Cache(ic.Disk(tmp_path, "5MB", read_only=True)) as reader:
        assert reader.get("good") == 1
        assert reader.get("bad") is None
        assert reader.stats().tiers[0].counts["corrupt"] == 1


def test_compressed_and_quantised_values_come_back(tmp_path: Path) -> None:
    array = numpy.linspace(-1, 1, 10_000, dtype=numpy.float32)
    with ic.Cache(ic.Disk(tmp_path, "5MB", codec="int8+zstd")) as cache:
        cache.put("k", {"x": array})
        assert cache.stats().tiers[0].size_bytes < array.nbytes / 2
        assert numpy.abs(cache.get("k")["x"] - array).max() <= 1 / 254 + 1e-6
