from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.drill
RunDrill = Callable[..., list[dict[str, Any]]]


def test_nobody_waits_when_the_time_to_live_passes(run_drill: RunDrill) -> None:
    """p99.9 of a call in ms; the computation takes 400."""
    (outcome,) = run_drill("expiry.py", "infercache")
    assert outcome["figure"] <= 6
