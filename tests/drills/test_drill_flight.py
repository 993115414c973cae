from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.drill
RunDrill = Callable[..., list[dict[str, Any]]]


def test_four_processes_of_sixteen_callers_compute_each_of_ten_keys_once(
    run_drill: RunDrill,
) -> None:
    (outcome,) = run_drill("flight.py", "infercache")
    assert outcome["figure"] == 10
