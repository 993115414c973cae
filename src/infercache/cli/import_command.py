"""`infercache import`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import click

from infercache.cli.invocation import Invocation
from infercache.cli.output import print_json, progress
from infercache.entry import NEVER
from infercache.errors import InfercacheError
from infercache.importers.diskcache import ImportedItem, Skipped, read_diskcache
from infercache.namespace import Namespace

_SHOWN = 10


@dataclass(slots=True)
class Tally:
    """What became of the entries."""

    imported: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def skip(self, key: object, reason: str) -> None:
        """Count an entry that was not taken."""
        self.skipped.append((repr(key), reason))


@click.command("import")
@click.option(
    "--diskcache",
    "directory",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of a diskcache Cache or FanoutCache.",
)
@click.option("--namespace", default="default", show_default=True, help="Where the entries go.")
@click.option("--version", default="", help="Version of the namespace.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    invocation: Invocation, directory: Path, namespace: str, version: str, as_json: bool
) -> None:
    """Take over the entries of an old diskcache folder, without executing anything in it.

    Pickles are read only as far as they hold plain data; whatever would have to run code is
    skipped, and reported with the reason. The old folder is not changed. Keys stay what they
    were: `cache.get("name")` finds what diskcache had under "name".

    \b
    Examples:
      infercache import --diskcache ~/.cache/old
      infercache import --diskcache old --namespace embed --version v3 --json
    """
    items = read_diskcache(directory)
    with progress() as bars, invocation.open_cache() as cache:
        task = bars.add_task("import", total=None)
        space = cache.namespace(namespace, version)
        tally = take_all(bars.track(items, task_id=task), space)
    if as_json:
        skipped = [{"key": key, "reason": reason} for key, reason in tally.skipped]
        print_json({"imported": tally.imported, "skipped": skipped})
        return
    click.echo(f"imported {tally.imported:,} entries, skipped {len(tally.skipped):,}")
    for reason, number in Counter(reason for _, reason in tally.skipped).most_common(_SHOWN):
        click.echo(f"  skipped {number:,}: {reason}")


def take_all(items: Iterable[ImportedItem | Skipped], space: Namespace) -> Tally:
    """Put every item into a namespace; what cannot be taken is counted with its reason."""
    tally = Tally()
    for item in items:
        if isinstance(item, Skipped):
            tally.skip(item.key, item.reason)
            continue
        try:
            taken = _take(item, space)
        except InfercacheError as error:
            tally.skip(item.key, str(error))
            continue
        if taken:
            tally.imported += 1
        else:
            tally.skip(item.key, "no tier that outlives this process took it")
    return tally


def _take(item: ImportedItem, space: Namespace) -> bool:
    """Put one item where it outlives this process; False if no such tier took it."""
    ttl_s = None if item.expires_at == NEVER else max(item.expires_at - time.time(), 0.0)
    tags = () if item.tag is None else (str(item.tag),)
    if not space.put(item.key, item.value, ttl_s=ttl_s, tags=tags):
        return False
    answers = space.explain(item.key).answers
    return any(one.state == "hit" and one.tier != "memory" for one in answers)
