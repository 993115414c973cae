"""What a forked child must forget: locks held, flights and threads of its parent.

A lock that another thread of the parent holds at the moment of the fork stays locked in the
child for ever. A child of `subprocess` or of a spawned process needs nothing of this.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Protocol


class Forgetful(Protocol):
    """Holds state of this process alone."""

    def forget_parent(self) -> None:
        """Called in a forked child, before anything else runs there."""


_known: weakref.WeakSet[Forgetful] = weakref.WeakSet()
_locks: weakref.WeakSet[Any] = weakref.WeakSet()
_registered: list[bool] = []


def forget_in_child(thing: Forgetful) -> None:
    """Call `thing.forget_parent()` in every child that this process forks while it lives."""
    _register()
    _known.add(thing)


def fork_safe_lock() -> threading.Lock:
    """Return a lock that is free in every child that this process forks."""
    _register()
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def _register() -> None:
    """Register on first use, so that importing does nothing."""
    if not _registered and hasattr(os, "register_at_fork"):
        _registered.append(True)
        os.register_at_fork(after_in_child=_forget_all)


def _forget_all() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()  # what the standard library does with its own locks
    for thing in list(_known):
        thing.forget_parent()
