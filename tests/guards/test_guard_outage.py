"""A value whose lease could not be taken everywhere must not come back as a stale one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import infercache as ic
from infercache.guards.breaker import State
from infercache.guards.protected import ProtectedTier


@pytest.fixture
def caches(tmp_path: Path) -> Iterator[list[ic.Cache]]:
    """Two caches over one directory: what two processes would have."""
    opened = [ic.Cache(ic.Memory("1MB"), ic.Disk(tmp_path, "10MB")) for _ in range(2)]
    yield opened
    for cache in opened:
        cache.close()


@pytest.mark.filterwarnings("ignore:tier 'disk' is out")
@pytest.mark.parametrize("looks_meanwhile", [False, True])
def test_value_leased_during_an_outage_and_invalidated_elsewhere_is_not_served(
    caches: list[ic.Cache], looks_meanwhile: bool
) -> None:
    """The disk is out when the computation begins, and back before it ends."""
    ours, theirs = caches
    disk = ours._stack.tiers[1]
    assert isinstance(disk, ProtectedTier)
    disk.breaker.open("pulled the plug")

    def compute() -> str:
        disk.breaker.state = State.CLOSED
        theirs.invalidate("key")
        if looks_meanwhile:
            ours.get("another key")  # learns of the invalidation before the value is kept
        return "old"

    assert ours.get_or_compute("key", compute) == "old"
    assert theirs.get("key") is None
    assert ours.get("key") is None
    assert ours.get_or_compute("key", lambda: "new") == "new"
    assert theirs.get("key") == "new"
