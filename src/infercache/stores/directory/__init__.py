"""A directory as a store: on a disk it persists, on tmpfs it is memory shared by processes."""

from __future__ import annotations

from infercache.stores.directory.store import DirectoryStore

__all__ = ["DirectoryStore"]
