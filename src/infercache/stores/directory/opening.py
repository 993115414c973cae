"""Opening a directory: one environment a process, a fresh one after a fork, a look after a crash.

The index is not flushed at each commit. A killed process loses nothing, because the kernel
keeps what was written; a power loss may leave an index whose pages are partly old. So the
directory remembers in which boot of the machine it was last written and whether the last
writer closed it; an index that was left open in an earlier boot is inspected page by page, and
one that is damaged is set aside and rebuilt from the value files.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import threading
from pathlib import Path

from infercache.forks import forget_in_child
from infercache.stores.directory import recovery
from infercache.stores.directory.audit import sweep
from infercache.stores.directory.generation import create_counter
from infercache.stores.directory.index import Index
from infercache.stores.directory.layout import (
    FILE_MODE,
    Layout,
    is_writable,
    locked,
    prepare,
    replace_file,
)
from infercache.stores.directory.values import Values

_guard = threading.Lock()
_indexes: dict[Path, Index] = {}
_users: dict[Path, int] = {}


def acquire(layout: Layout, *, map_bytes: int, read_only: bool, durable: bool) -> Index:
    """Return this process's environment for a directory, opening it if need be."""
    with _guard:
        forget_in_child(_parent)
        index = _indexes.get(layout.root)
        if index is not None and not index.is_alive(now=True):
            _drop(layout.root, index)
            index = None
        if index is None:
            read_only = read_only or not is_writable(layout.root)
            index = _open(layout, map_bytes, read_only=read_only, durable=durable)
            _indexes[layout.root] = index
        index.references += 1
        return index


def release(index: Index) -> None:
    """Give an environment back; the last one to do so closes it."""
    with _guard:
        index.references -= 1
        if index.references <= 0 and not index.abandoned:
            _drop(index.layout.root, index)


def discard(index: Index) -> None:
    """Close an environment that can no longer be used, whoever else holds it."""
    with _guard:
        if not index.abandoned:
            _drop(index.layout.root, index, clean=False)


def _open(layout: Layout, map_bytes: int, *, read_only: bool, durable: bool) -> Index:
    if read_only:
        return Index(layout, map_bytes, read_only=True, durable=False)
    prepare(layout)
    with locked(layout.open_lock):
        users = os.open(layout.users_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            alone = _try_alone(users)
            unclean = recovery.read_state(layout).get("clean") is not True
            rebuild = recovery.set_damaged_aside(layout, boot_id())
            create_counter(layout)
            index = Index(layout, map_bytes, read_only=False, durable=durable)
            if rebuild:
                recovery.rebuild(index)
            if alone and unclean:
                sweep(index, Values(layout), age_s=0.0)
            fcntl.flock(users, fcntl.LOCK_SH)
        except BaseException:
            os.close(users)
            raise
        _users[layout.root] = users
        index.before_first_write = functools.partial(write_state, layout, clean=False)
    return index


def _try_alone(users: int) -> bool:
    """Return whether no process has the directory open for writing, and hold that if so."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _drop(root: Path, index: Index, *, clean: bool = True) -> None:
    if _indexes.get(root) is index:
        del _indexes[root]
    users = _users.pop(root, None)
    try:
        if (
            clean
            and index.before_first_write is None
            and users is not None
            and index.is_alive(now=True)
        ):
            _close_clean(index, users)
        index.close()
    finally:
        if users is not None:
            os.close(users)


def _close_clean(index: Index, users: int) -> None:
    """Flush the index and say so, if it was written and no other process has it open."""
    if index.before_first_write is not None:
        return
    with locked(index.layout.open_lock):
        if _try_alone(users):
            index.env.sync(True)
            write_state(index.layout, clean=True)


def boot_id() -> str:
    """Return what tells this boot of the machine from every other."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def write_state(layout: Layout, *, clean: bool) -> None:
    """Remember who wrote last, and whether the index on the device is whole."""
    state = {"boot_id": boot_id(), "clean": clean, "seal": recovery.seal(layout) if clean else None}
    if recovery.read_state(layout) != state:
        replace_file(layout.state, json.dumps(state).encode(), durable=True)


class _Parent:
    """What a forked child holds of its parent's environments."""

    def forget_parent(self) -> None:
        """Leave the parent's environments alone; py-lmdb frees only its own side of them here."""
        global _guard
        _guard = threading.Lock()
        for index in _indexes.values():
            index.abandoned = True
            index.env.close()
        for users in _users.values():
            os.close(users)
        _indexes.clear()
        _users.clear()


_parent = _Parent()
