from __future__ import annotations

import pytest

from infercache.errors import SettingError
from infercache.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        (7, 7),
        ("7", 7),
        ("512MB", 512 * 10**6),
        ("1GiB", 2**30),
        (" 1.5 kb ", 1500),
        ("2_000B", 2000),
        ("1e3MB", 10**9),
    ],
)
def test_sizes_are_read_as_people_write_them(text: int | str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["12 parsecs", "", "MB", "-5MB", "1..5GB", True, None, 1.5])
def test_what_is_not_a_size_is_named_with_its_setting(text: object) -> None:
    with pytest.raises(SettingError, match=r"memory\.capacity=.* is not a size: write bytes"):
        parse_size(text, "memory.capacity")  # type: ignore[arg-type]


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(SettingError, match="cannot be negative"):
        parse_size(-1, "memory.capacity")


@pytest.mark.parametrize(
    ("text", "seconds"), [(2, 2.0), (0.5, 0.5), ("250ms", 0.25), ("10m", 600.0), ("7d", 604800.0)]
)
def test_durations_are_read_as_people_write_them(text: float | str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["soon", "10 fortnights", None, float("nan"), -1])
def test_what_is_not_a_duration_is_named_with_its_setting(text: object) -> None:
    with pytest.raises(SettingError, match="ttl_s="):
        parse_duration(text, "ttl_s")  # type: ignore[arg-type]


def test_sizes_and_durations_are_shown_in_fitting_units() -> None:
    assert format_size(999) == "999 B"
    assert format_size(1_500_000) == "1.5 MB"
    assert format_size(5e15) == "5000.0 TB"
    assert format_duration(0) == "0 s"
    assert format_duration(2.1e-6) == "2.1 us"
    assert format_duration(0.25) == "250 ms"
    assert format_duration(5e-9) == "5 ns"
    assert format_duration(12345) == "12345 s"
