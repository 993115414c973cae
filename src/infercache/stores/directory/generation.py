"""A counter that every process on the machine sees, without a system call."""

from __future__ import annotations

import time

from infercache._core import Generation
from infercache.stores.directory.layout import Layout, replace_file


def create_counter(layout: Layout) -> None:
    """Make the counter's file if there is none; call it under the opening lock.

    Two processes that each made one would watch different files. It starts at the time of
    creation, so that it is never mistaken for that of an earlier directory at the same path.
    """
    path = layout.generation
    if not (path.exists() and path.stat().st_size >= 8):
        replace_file(path, (time.time_ns() // 1000).to_bytes(8, "little"))


class SharedCounter:
    """The directory's count of loud changes; `load` and `bump` make no system call."""

    def __init__(self, layout: Layout) -> None:
        self._counter: Generation | None = Generation(layout.generation)
        self._last = 0

    def load(self) -> int:
        """Return the counter."""
        counter = self._counter
        return self._last if counter is None else counter.load()

    def bump(self) -> None:
        """Change the counter."""
        if self._counter is not None:
            self._counter.bump()

    def close(self) -> None:
        """Let go of the file; the counter stands still from now on."""
        self._last = self.load()
        self._counter = None
