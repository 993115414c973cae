from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]
RunDrill = Callable[..., list[dict[str, Any]]]


@pytest.mark.parametrize("who", ["infercache", "infercache, 2 processes"])
def test_no_value_computed_before_an_invalidation_is_served_after_it(
    run_drill: RunDrill, who: str
) -> None:
    (outcome,) = run_drill("invalidate.py", who)
    assert (outcome["figure"], outcome["note"]) == (0, "of 10000")
