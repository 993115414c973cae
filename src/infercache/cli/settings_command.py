"""`infercache settings`."""

from __future__ import annotations

import click

from infercache.cli.invocation import Invocation
from infercache.cli.output import print_json, print_table


@click.command("settings")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of infercache.toml.")
@click.pass_obj
def command(invocation: Invocation, as_json: bool, schema: bool) -> None:
    """Show every setting, its value and where the value came from.

    An argument (--set) comes before the environment, the environment before the file, the
    file before the default. A secret is never shown.

    \b
    Examples:
      infercache settings
      INFERCACHE_MEMORY_CAPACITY=2GB infercache settings
      infercache --config team.toml --set ttl_s=7d settings --json
    """
    if schema:
        from infercache.settings.schema import json_schema

        print_json(json_schema())
        return
    rows = list(invocation.settings().rows())
    if as_json:
        print_json({row.name: {"value": value, "origin": origin} for row, value, origin in rows})
    else:
        print_table(
            ("setting", "value", "origin", "what it does"),
            [(row.name, value, origin, row.help) for row, value, origin in rows],
        )
