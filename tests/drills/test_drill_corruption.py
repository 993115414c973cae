from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]
RunDrill = Callable[..., list[dict[str, Any]]]


@pytest.mark.parametrize("who", ["infercache", "infercache, small values"])
def test_no_damaged_value_is_served_and_every_one_that_is_met_is_counted(
    run_drill: RunDrill, who: str
) -> None:
    (outcome,) = run_drill("corruption.py", who)
    assert outcome["figure"] == 0
    computed, raised, counted = re.findall(
        r"(\d+) (?:computed|exceptions|damaged)", outcome["note"]
    )
    assert outcome["note"].startswith("of 10000;")
    assert computed == counted
    assert int(computed) > 1000
    assert raised == "0"
