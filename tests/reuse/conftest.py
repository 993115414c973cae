"""Makes this folder's own modules importable, and hands out caches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import infercache as ic

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def cache() -> Iterator[ic.Cache]:
    """A cache in memory."""
    with ic.Cache(ic.Memory("64MB")) as opened:
        yield opened
