"""The command group: options of all commands, and how errors are told."""

from __future__ import annotations

import errno
import importlib
from typing import Any

import click

import infercache as ic
from infercache.cli.invocation import Invocation
from infercache.errors import InfercacheError

COMMANDS = (
    "demo", "replay", "advise", "stats", "doctor", "clear", "import", "settings", "version",
)  # fmt: skip
EPILOG = """\b
Examples:
  infercache demo
  infercache stats --json
  infercache --set disk.path=/var/cache/infercache doctor --repair
"""


class OneSentenceGroup(click.Group):
    """Loads each command from its own file when it is asked for; tells errors in one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"infercache.cli.{cmd_name}_command")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever it raises is told in one sentence unless --debug is given."""
        if ctx.params.get("debug"):
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except InfercacheError as error:
            raise _Failure(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            raise _Failure(str(error)) from error
        except Exception as error:
            raise _Failure(
                f"{type(error).__name__}: {error} (not foreseen: --debug shows where)"
            ) from error


class _Failure(click.ClickException):
    exit_code = 2


@click.group(cls=OneSentenceGroup, epilog=EPILOG, context_settings={"max_content_width": 100})
@click.option("--config", metavar="FILE", help="Settings file, instead of ./infercache.toml.")
@click.option(
    "--set",
    "assignments",
    metavar="NAME=VALUE",
    multiple=True,
    help="One setting, such as disk.capacity=50GB; may be given several times.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(ic.__version__, prog_name="infercache", message="%(prog)s %(version)s")
@click.pass_context
def infercache(
    ctx: click.Context, config: str | None, assignments: tuple[str, ...], debug: bool
) -> None:
    """Let machine-learning models skip the work that they have already done.

    The commands look after the cache that the settings describe: see `infercache settings`.
    """
    ctx.obj = Invocation(config, assignments)
