"""`infercache replay`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infercache.cli.output import print_table, progress

if TYPE_CHECKING:
    from infercache.simulate.contest import Cell, Contest
    from infercache.simulate.trace import Trace

_FILE = click.Path(path_type=Path, dir_okay=False)


def _show_formats(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if not asked:
        return
    from infercache.simulate.readers.registry import known_formats

    for name, promise in known_formats().items():
        click.echo(f"{name:14} {promise}")
    ctx.exit()


@click.command("replay")
@click.argument(
    "traces", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option(
    "--policy", "policies", default="s3fifo,wtinylfu,arc", show_default=True,
    help="Names, separated by commas; LRU and the optimum are always there.",
)  # fmt: skip
@click.option(
    "--capacity", "capacities", default="1%,5%,10%,25%", show_default=True,
    help="Shares of the distinct keys, or numbers of entries; with --bytes such as 512MB.",
)  # fmt: skip
@click.option("--prefix-rule", is_flag=True, help="A block hits only if all before it do.")
@click.option("--bytes", "in_bytes", is_flag=True, help="Bound bytes, with the trace's sizes.")
@click.option("--format", "format_name", help="The traces' format, instead of telling it.")
@click.option(
    "--formats", is_flag=True, is_eager=True, expose_value=False, callback=_show_formats,
    help="Show the known formats, and leave.",
)  # fmt: skip
@click.option("--columns", help='What the columns of a CSV are: "time,key,size,cost", - skips one.')
@click.option("--csv", "csv_path", type=_FILE, help="Write all figures here.")
@click.option("--json", "json_path", type=_FILE, help="Write all figures here.")
@click.option("--html", "html_path", type=_FILE, help="Write a page with plots here.")
def command(
    traces: tuple[Path, ...],
    policies: str,
    capacities: str,
    prefix_rule: bool,
    in_bytes: bool,
    format_name: str | None,
    columns: str | None,
    csv_path: Path | None,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Replay traces of accesses through the policies that the cache ships.

    Shows the miss ratio of each policy between that of LRU and that of the optimum (Belady's,
    which knows the future), and the gap closed: (LRU - policy) / (LRU - optimum). Formats are
    told by content: libCacheSim's oracleGeneral and CSV, ARC, LIRS, cache2k, AdaptSize, vscsi,
    Twitter, Mooncake, Qwen-Bailian, plain text and Parquet, packed or not.

    \b
    Examples:
      infercache replay trace.csv
      infercache replay *.jsonl.zst --policy arc,s3fifo --capacity 1%,10% --prefix-rule
      infercache replay trace.bin --bytes --capacity 64MB,1GB --html replay.html
    """
    from infercache.simulate.contest import known_policy
    from infercache.simulate.readers import read_trace

    names = [known_policy(name) for name in _words(policies, "--policy")]
    wanted = _words(capacities, "--capacity")
    contests, read = [], []
    with progress() as bars:
        for path in traces:
            task = bars.add_task(f"{path.name}: reading", total=None)
            trace = read_trace(path, format_name, columns)
            contest = _compete(bars, task, trace, names, wanted, prefix_rule, in_bytes)
            contests.append(contest)
            read.append(trace)
    for trace, contest in zip(read, contests, strict=True):
        _print(trace, contest, prefix_rule, in_bytes)
    if len(contests) > 1:
        _print_means(contests)
    rows = [_row(contest, cell) for contest in contests for cell in contest.cells]
    if csv_path is not None:
        _write_csv(rows, csv_path)
    if json_path is not None:
        json_path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if html_path is not None:
        _write_page(read, contests, html_path, prefix_rule, in_bytes)


def _words(text: str, option: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise click.BadParameter("nothing is named", param_hint=option)
    return words


def _compete(
    bars: Any,
    task: Any,
    trace: Trace,
    names: Sequence[str],
    wanted: Sequence[str],
    prefix_rule: bool,
    in_bytes: bool,
) -> Contest:
    from infercache.simulate.capacities import parse_capacity
    from infercache.simulate.contest import BASE, OPTIMUM, compete

    footprint = trace.footprint_bytes() if in_bytes else trace.distinct()
    sizes = [parse_capacity(text, footprint or 1, in_bytes=in_bytes) for text in wanted]
    total = len({BASE, OPTIMUM, *names}) * len(sizes)
    bars.update(task, description=trace.name, total=total)
    return compete(
        trace, names, sizes, prefix_rule=prefix_rule, in_bytes=in_bytes,
        done=lambda: bars.advance(task),
    )  # fmt: skip


def _print(trace: Trace, contest: Contest, prefix_rule: bool, in_bytes: bool) -> None:
    what = f"{trace.name} ({trace.format}): {len(trace):,} accesses, {trace.distinct():,} keys"
    if prefix_rule:
        what += ", hits counted by the prefix rule"
    click.echo(f"\n{what}")
    sizes = contest.capacities()
    headings = ["policy"]
    for size in sizes:
        headings += [f"{size.label}", "gap closed"]
    shown = [_cells(contest, policy, in_bytes) for policy in contest.policies()]
    print_table(headings, shown, right=headings[1:])
    if in_bytes:
        click.echo("miss ratio of accesses / of bytes; the optimum with sizes is a heuristic")


def _cells(contest: Contest, policy: str, in_bytes: bool) -> list[str]:
    row = [policy]
    for size in contest.capacities():
        cell = contest.cell(policy, size)
        gap = contest.gap_closed(cell)
        shown = f"{cell.miss_ratio:.4f}"
        row.append(f"{shown} / {cell.byte_miss_ratio:.4f}" if in_bytes else shown)
        row.append("" if gap is None else f"{gap:+.2f}")
    return row


def _print_means(contests: Sequence[Contest]) -> None:
    click.echo(f"\nmean gap closed over {len(contests)} traces and all capacities")
    policies = list(dict.fromkeys(name for one in contests for name in one.policies()))
    rows = []
    for policy in policies:
        gaps = [
            gap
            for contest in contests
            for cell in contest.cells
            if cell.policy == policy and (gap := contest.gap_closed(cell)) is not None
        ]
        if gaps:
            rows.append((policy, f"{sum(gaps) / len(gaps):+.3f}", f"{min(gaps):+.3f}"))
    print_table(("policy", "mean", "worst"), rows, right=("mean", "worst"))


def _row(contest: Contest, cell: Cell) -> dict[str, Any]:
    return {
        "trace": cell.trace,
        "policy": cell.policy,
        "capacity": cell.capacity.amount,
        "share": cell.capacity.share,
        "accesses": cell.accesses,
        "hits": cell.hits,
        "miss_ratio": cell.miss_ratio,
        "byte_miss_ratio": cell.byte_miss_ratio,
        "saved_s": cell.saved_s,
        "gap_closed": contest.gap_closed(cell),
        "seconds": cell.seconds,
    }


def _write_csv(rows: Iterable[dict[str, Any]], path: Path) -> None:
    listed = list(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(listed[0]))
        writer.writeheader()
        writer.writerows(listed)


def _write_page(
    traces: Sequence[Trace],
    contests: Sequence[Contest],
    path: Path,
    prefix_rule: bool,
    in_bytes: bool,
) -> None:
    from infercache.report.traces_page import write_replay_page
    from infercache.simulate.reuse_map import reuse_map

    maps = [reuse_map(trace) for trace in traces]
    write_replay_page(contests, maps, path, prefix_rule=prefix_rule, in_bytes=in_bytes)
    click.echo(f"\npage with plots: {path}")
