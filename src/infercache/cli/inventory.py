"""What a directory holds, by namespace, without reading any value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infercache.stores.directory import DirectoryStore


@dataclass(slots=True)
class Group:
    """Entries of one tenant, namespace and version."""

    scope: str
    namespace: str
    version: str
    entries: int = 0
    size_bytes: int = 0
    cost_s: float = 0.0


@dataclass(slots=True)
class Inventory:
    """What one directory holds.

    Attributes:
        tier: The tier's name.
        directory: Where it is.
        capacity_bytes: Its bound, or None if the settings do not tell.
        exists: Whether there is a directory at all.
        entries: Entries, over all processes.
        size_bytes: Charged bytes, over all processes.
        groups: The largest first.
    """

    tier: str
    directory: Path
    capacity_bytes: int | None
    exists: bool = False
    entries: int = 0
    size_bytes: int = 0
    groups: list[Group] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        return asdict(self) | {"directory": str(self.directory)}


def take_inventory(tier: str, directory: Path, capacity_bytes: int | None) -> Inventory:
    """Return what a directory holds; one that does not exist holds nothing. O(entries).

    Raises:
        StoreError: it cannot be read, or infercache did not write it.
    """
    inventory = Inventory(tier, directory, capacity_bytes)
    if not directory.exists():
        return inventory
    inventory.exists = True
    store = DirectoryStore(directory, read_only=True)
    try:
        inventory.size_bytes, inventory.entries = store.usage()
        inventory.groups = _group(store)
    finally:
        store.close()
    return inventory


def _group(store: DirectoryStore) -> list[Group]:
    groups: dict[tuple[str, str, str], Group] = {}
    for info in store.scan():
        name = (info.key.scope, info.key.namespace, info.key.version)
        group = groups.setdefault(name, Group(*name))
        group.entries += 1
        group.size_bytes += info.size_bytes
        group.cost_s += info.cost_s
    return sorted(groups.values(), key=lambda group: group.size_bytes, reverse=True)
