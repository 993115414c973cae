"""`infercache demo`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
from rich.progress import Progress

from infercache.cli.output import print_table, progress
from infercache.demo.outcome import Outcome
from infercache.units import format_duration

DIFFERENT = 1


@click.command("demo")
@click.option("--quick", is_flag=True, help="Fewer questions, a shorter prompt, fewer images.")
@click.option(
    "--path",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for the cache, new or empty; without it a temporary one.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("infercache-demo.html"),
    show_default=True,
    help="Where the HTML report goes.",
)
@click.option(
    "--models",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the unpacked model (540 MB) is kept for later runs; "
    "without it `infercache-models` in the user's cache directory.",
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write all figures here."
)
@click.pass_context
def command(
    ctx: click.Context,
    quick: bool,
    path: Path | None,
    report: Path,
    models: Path | None,
    json_path: Path | None,
) -> None:
    """Run a language model and an image pipeline without and with a cache, and compare.

    SmolLM2-135M answers questions about a long handbook: without a cache, from memory, and in
    a new process over the same directory. Then a small network learns to read digits, and its
    pipeline runs again over what it has seen. Every result is compared with the one computed
    without a cache.

    \b
    Exit codes:
      0  everything was identical
      1  something came out differently with the cache
      2  it could not run

    \b
    Examples:
      infercache demo
      infercache demo --quick --report /tmp/report.html
    """
    from infercache.demo.run import run_demo
    from infercache.report.demo_page import write_demo_page

    with progress() as bars:
        outcome = run_demo(_RichBars(bars), home=path, models=models, quick=quick)
    _print_answers(outcome)
    _print_rows(outcome)
    write_demo_page(outcome, report)
    if json_path is not None:
        json_path.write_text(json.dumps(outcome.as_dict(), indent=1) + "\n", encoding="utf-8")
    click.echo(f"\nreport with plots: {report}")
    ctx.exit(_tell_differences(outcome))


class _RichBars:
    """Draws the bars of the demo; where there is no terminal, one line when a step begins."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, label: str, total: int) -> Callable[[], None]:
        if self._progress.disable:
            click.echo(f"{label} ...", err=True)
        task = self._progress.add_task(label, total=total)
        return lambda: self._progress.advance(task)


def _print_answers(outcome: Outcome) -> None:
    part = outcome.language
    for cold, memory, restarted in zip(part.cold, part.memory, part.restarted, strict=True):
        click.echo(f"\n? {cold.question}")
        if cold.tokens == memory.tokens == restarted.tokens:
            click.echo(f"  {cold.text}")
            click.echo("  (the same without a cache, from memory and after a restart)")
        else:
            for how, answer in (
                ("without", cold), ("memory", memory), ("restart", restarted)
            ):  # fmt: skip
                click.echo(f"  {how}: {answer.text}")


def _print_rows(outcome: Outcome) -> None:
    click.echo()
    print_table(
        ("", "without", "with", "speed-up"),
        [
            (
                f"{row.what}\n  {row.note}",
                format_duration(row.without_s),
                format_duration(row.with_s),
                f"{row.speedup:.2f}x",
            )
            for row in outcome.rows()
        ],
        right=("without", "with", "speed-up"),
    )


def _tell_differences(outcome: Outcome) -> int:
    differences = outcome.differences()
    if not differences:
        click.echo("every answer and every prediction is identical with and without the cache")
        return 0
    for sentence in differences:
        click.echo(f"NOT IDENTICAL: {sentence}", err=True)
    return DIFFERENT
