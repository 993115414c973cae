"""`infercache stats`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from infercache.cli.inventory import Inventory, take_inventory
from infercache.cli.invocation import Invocation
from infercache.cli.output import print_json, print_table
from infercache.units import format_duration, format_size


@click.command("stats")
@click.option("--path", type=click.Path(path_type=Path), help="Look into this directory only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(invocation: Invocation, path: Path | None, as_json: bool) -> None:
    """Show what the tiers hold that outlive a process, by namespace.

    Hits and misses are counted in each process: `cache.stats()` has those.

    \b
    Examples:
      infercache stats
      infercache stats --json
      infercache stats --path /dev/shm/infercache-1000
    """
    inventories = [
        take_inventory(tier, directory, capacity)
        for tier, directory, capacity in _places(invocation, path)
    ]
    if as_json:
        print_json({"tiers": [inventory.as_dict() for inventory in inventories]})
        return
    print_table(
        ("tier", "entries", "size", "capacity", "full", "directory"),
        [_tier_row(inventory) for inventory in inventories],
        right=("entries", "size", "capacity", "full"),
    )
    for inventory in inventories:
        if inventory.groups:
            click.echo()
            _print_groups(inventory)


def _places(invocation: Invocation, path: Path | None) -> list[tuple[str, Path, int | None]]:
    if path is not None:
        return [("directory", path, None)]
    settings = invocation.settings()
    return [
        (tier, directory, settings[f"{tier}.capacity"])
        for tier, directory in invocation.directories().items()
    ]


def _tier_row(inventory: Inventory) -> tuple[str, ...]:
    capacity = inventory.capacity_bytes
    return (
        inventory.tier,
        f"{inventory.entries:,}",
        format_size(inventory.size_bytes),
        "" if capacity is None else format_size(capacity),
        f"{inventory.size_bytes / capacity:.0%}" if capacity else "",
        f"{inventory.directory}{'' if inventory.exists else ' (nothing stored yet)'}",
    )


def _print_groups(inventory: Inventory) -> None:
    rows: list[tuple[Any, ...]] = [
        (
            f"{group.scope}/{group.namespace}" if group.scope else group.namespace,
            group.version,
            f"{group.entries:,}",
            format_size(group.size_bytes),
            format_duration(group.cost_s),
        )
        for group in inventory.groups
    ]
    heading = f"namespace in {inventory.tier}"
    print_table(
        (heading, "version", "entries", "size", "computing took"),
        rows,
        right=("entries", "size", "computing took"),
    )
