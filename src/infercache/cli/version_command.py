"""`infercache version`."""

from __future__ import annotations

import platform

import click

import infercache as ic
from infercache.stores.directory.layout import FORMAT


@click.command("version")
def command() -> None:
    """Print the versions that a bug report needs.

    \b
    Example:
      infercache version
    """
    click.echo(
        f"infercache {ic.__version__}, directory format {FORMAT}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )
