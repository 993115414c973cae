"""Every registered policy, and one written in Python, keep to the same rules."""

from __future__ import annotations

import pytest

from infercache.policies import POLICIES
from infercache.policies.base import Policy
from infercache.testing.policy_kit import PolicyConformance


class Clock(Policy):
    """FIFO with one bit: small, and different from all native ones."""

    def __init__(self) -> None:
        self.used: dict[bytes | int, bool] = {}

    def on_insert(self, key: bytes | int, size_bytes: int, cost_s: float) -> None:
        assert key not in self.used
        self.used[key] = False

    def on_hit(self, key: bytes | int) -> None:
        self.used[key] = True

    def on_remove(self, key: bytes | int) -> None:
        del self.used[key]

    def victims(self) -> list[bytes | int]:
        return sorted(self.used, key=lambda key: self.used[key])


@pytest.mark.parametrize("policy", [*POLICIES.names(), Clock])
class TestEveryPolicy(PolicyConformance):
    """The whole kit for each."""

    @pytest.fixture(autouse=True)
    def _choose(self, policy: object) -> None:
        self.policy = policy
