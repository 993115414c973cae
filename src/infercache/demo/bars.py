"""How the demo tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Bars(Protocol):
    """Progress bars, wherever they are drawn."""

    def start(self, label: str, total: int) -> Callable[[], None]:
        """Begin a bar of `total` steps, and return what moves it by one."""


class NoBars:
    """Draws nothing."""

    def start(self, label: str, total: int) -> Callable[[], None]:
        """Return something that does nothing."""
        return _nothing


def _nothing() -> None:
    return
