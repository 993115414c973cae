from __future__ import annotations

import pytest

from infercache.errors import MissingExtraError, SettingError
from infercache.registry import Registry


def make_registry() -> Registry:
    return Registry(
        "store",
        {"clock": "infercache.clock:SystemClock", "far": "no_such_driver.there:Store"},
        {"far": "far"},
    )


def test_a_name_is_loaded_when_first_used() -> None:
    assert make_registry().load("clock").__name__ == "SystemClock"


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(
        SettingError, match=r"unknown store 'clok' \(did you mean 'clock'\?\); known: clock, far"
    ):
        make_registry().load("clok")


def test_a_missing_driver_names_the_extra() -> None:
    with pytest.raises(
        MissingExtraError, match=r"Store 'far' needs an extra: pip install 'infercache\[far\]'"
    ):
        make_registry().load("far")


def test_a_registered_object_is_returned_as_it_is() -> None:
    registry = make_registry()
    registry.register("own", dict)
    assert registry.load("own") is dict
    assert "own" in registry


def test_a_taken_name_is_refused() -> None:
    registry = make_registry()
    with pytest.raises(SettingError, match="'clock' is registered already"):
        registry.register("clock", dict)
