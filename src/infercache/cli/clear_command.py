"""`infercache clear`."""

from __future__ import annotations

import click

from infercache.cache import Cache
from infercache.cli.invocation import Invocation


@click.command("clear")
@click.option("--namespace", help="Entries of this namespace.")
@click.option("--version", help="Entries of this version, of every namespace or the given one.")
@click.option("--tag", help="Entries with this tag.")
@click.option("--all", "everything", is_flag=True, help="Every entry of the scope.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(
    invocation: Invocation,
    namespace: str | None,
    version: str | None,
    tag: str | None,
    everything: bool,
    yes: bool,
) -> None:
    """Drop entries, in every tier and for every process that shares one.

    What is being computed meanwhile from the old state is not kept either.

    \b
    Examples:
      infercache clear --namespace embed
      infercache clear --tag model:ranker --yes
      infercache clear --all
    """
    chosen = {"namespace": namespace, "version": version, "tag": tag}
    given = {name: value for name, value in chosen.items() if value is not None}
    if bool(given) == everything:
        raise click.UsageError("say what to drop: --namespace, --version, --tag, or --all alone")
    what = "everything" if everything else " and ".join(f"{k} {v!r}" for k, v in given.items())
    if not yes:
        places = ", ".join(map(str, invocation.directories().values()))
        click.confirm(f"Drop {what} in {places}?", abort=True)
    with invocation.open_cache() as cache:
        click.echo(f"dropped {_drop(cache, given):,} entries")


def _drop(cache: Cache, given: dict[str, str]) -> int:
    return cache.invalidate(**given) if given else cache.clear()
