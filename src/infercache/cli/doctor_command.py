"""`infercache doctor`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import Progress, TaskID

from infercache.cli.checkup import Checkup, Examiner, Tick
from infercache.cli.invocation import Invocation
from infercache.cli.output import print_json, progress

SOUND, REPAIRED, FAULTY = 0, 1, 3
_SHOWN = 10


@click.command("doctor")
@click.option("--path", type=click.Path(path_type=Path), help="Look into this directory only.")
@click.option("--repair", is_flag=True, help="Mend what does not add up; without it only look.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, path: Path | None, repair: bool, as_json: bool) -> None:
    """Audit every tier that outlives a process: accounts, files and every stored byte.

    A damaged entry is never served, with or without this command: it reads as missing. The
    doctor finds all of them at once, and with --repair deletes them.

    \b
    Exit codes:
      0  nothing was wrong
      1  something was wrong, and is mended
      2  it could not look (a foreign directory, a wrong setting)
      3  something is wrong still

    \b
    Examples:
      infercache doctor
      infercache doctor --repair --path ~/.cache/infercache
    """
    invocation: Invocation = ctx.obj
    settings = invocation.settings()
    places = {"directory": path} if path is not None else dict(invocation.directories())
    checkups = []
    with progress() as bars:
        for tier, directory in places.items():
            if path is None and not directory.exists():
                checkups.append(Checkup(tier, directory))
                continue
            task = bars.add_task(tier, total=None)
            examiner = Examiner(
                tier,
                directory,
                secret=settings["secret"],
                capacity_bytes=None if path else settings[f"{tier}.capacity"],
                tick=_ticker(bars, task),
            )
            checkups.append(examiner.repair() if repair else examiner.audit())
    if as_json:
        print_json({"tiers": [checkup.as_dict() for checkup in checkups]})
    else:
        for checkup in checkups:
            _print(checkup, repair=repair)
    ctx.exit(_verdict(checkups))


def _ticker(bars: Progress, task: TaskID) -> Tick:
    return lambda done, total: bars.update(task, completed=done, total=total)


def _verdict(checkups: list[Checkup]) -> int:
    if any(checkup.remaining for checkup in checkups):
        return FAULTY
    return REPAIRED if any(checkup.faults for checkup in checkups) else SOUND


def _print(checkup: Checkup, *, repair: bool) -> None:
    where = f"{checkup.tier} ({checkup.directory})"
    if not checkup.directory.exists():
        click.echo(f"{where}: nothing stored yet")
    elif not checkup.faults:
        click.echo(f"{where}: {checkup.entries:,} entries, nothing wrong")
    else:
        click.echo(f"{where}: {len(checkup.faults)} found in {checkup.entries:,} entries")
    _print_some("found", checkup.faults)
    _print_some("mended", checkup.repairs)
    if repair:
        _print_some("remains", checkup.remaining)
    elif checkup.remaining:
        click.echo("  run `infercache doctor --repair` to mend it")
    if checkup.unverified:
        click.echo(
            f"  {checkup.unverified:,} blobs could not be verified: they have another secret"
        )


def _print_some(label: str, sentences: list[str]) -> None:
    for sentence in sentences[:_SHOWN]:
        click.echo(f"  {label}: {sentence}")
    if len(sentences) > _SHOWN:
        click.echo(f"  {label}: and {len(sentences) - _SHOWN:,} more")
