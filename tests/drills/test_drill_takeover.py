from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.drill
RunDrill = Callable[..., list[dict[str, Any]]]


def test_waiter_takes_over_from_a_killed_process(run_drill: RunDrill) -> None:
    """It waited, and was served at most 3 s after a computation of its own would have ended."""
    (outcome,) = run_drill("takeover.py", "infercache")
    assert outcome["figure"] <= 9
    assert outcome["note"] == ""
