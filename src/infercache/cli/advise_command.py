"""`infercache advise`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infercache.cli.output import print_table, progress
from infercache.errors import SettingError
from infercache.units import format_duration, format_size, parse_size

if TYPE_CHECKING:
    from infercache.simulate.advice import Advice, Prices
    from infercache.simulate.tier_sizes import TierPrice
    from infercache.simulate.trace import Trace

_FILE = click.Path(path_type=Path, dir_okay=False)
_SHOWN = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@click.command("advise")
@click.argument(
    "path", metavar="TRACE", type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option(
    "--policy", "policies", help="Names to choose from, separated by commas; all if not given."
)
@click.option("--prefix-rule", is_flag=True, help="A block hits only if all before it do.")
@click.option("--bytes", "in_bytes", is_flag=True, help="Size in bytes, with the trace's sizes.")
@click.option("--byte-cost", type=float, help="Price of holding 1 GB (10^9 bytes) for an hour.")
@click.option("--miss-cost", type=float, help="Price of a miss, in the same currency.")
@click.option(
    "--tier", "tiers", multiple=True, metavar="NAME=GB_HOUR,HIT",
    help="Prices of a tier and of a hit in it; several are sized together, fastest first.",
)  # fmt: skip
@click.option("--entry-size", help="Size of an entry where the trace has none, such as 2MB.")
@click.option("--rate", type=float, help="Accesses in a second, where the trace has no times.")
@click.option("--format", "format_name", help="The trace's format, instead of telling it.")
@click.option("--columns", help='What the columns of a CSV are: "time,key,size,cost", - skips one.')
@click.option("--json", "json_path", type=_FILE, help="Write all figures here.")
@click.option("--html", "html_path", type=_FILE, help="Write a page with plots here.")
def command(
    path: Path,
    policies: str | None,
    prefix_rule: bool,
    in_bytes: bool,
    byte_cost: float | None,
    miss_cost: float | None,
    tiers: tuple[str, ...],
    entry_size: str | None,
    rate: float | None,
    format_name: str | None,
    columns: str | None,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Say how large a cache should be, with which policy, and what cannot be predicted.

    Shows the working set, the miss ratio of LRU at each size next to an analytic model of it,
    what more room would bring, and how the policies do at the size that is recommended. With
    --byte-cost and --miss-cost that is the size that saves most; without them it is the size
    beyond which the curve flattens.

    \b
    Examples:
      infercache advise trace.csv
      infercache advise trace.csv --bytes --byte-cost 0.004 --miss-cost 0.00002
      infercache advise blocks.jsonl.zst --prefix-rule --html advice.html
    """
    from infercache.policies.registry import POLICIES
    from infercache.simulate.advice import advise
    from infercache.simulate.contest import known_policy
    from infercache.simulate.readers import read_trace

    prices = _prices(byte_cost, miss_cost, entry_size, rate, tiers)
    wanted = [name.strip() for name in (policies or "").split(",") if name.strip()]
    names = [known_policy(name) for name in wanted] or POLICIES.names()
    with progress() as bars:
        task = bars.add_task(f"{path.name}: reading", total=None)
        trace = read_trace(path, format_name, columns)
        bars.update(task, description=trace.name, total=2 + len(names))
        advice = advise(
            trace, in_bytes=in_bytes, prefix_rule=prefix_rule, prices=prices, policies=names,
            done=lambda: bars.advance(task),
        )  # fmt: skip
    _print(trace, advice)
    if json_path is not None:
        json_path.write_text(json.dumps(advice.as_dict(), indent=1) + "\n", encoding="utf-8")
    if html_path is not None:
        from infercache.report.traces_page import write_advice_page
        from infercache.simulate.reuse_map import reuse_map

        write_advice_page(advice, reuse_map(trace), html_path)
        click.echo(f"\npage with plots: {html_path}")


def _prices(
    byte_cost: float | None,
    miss_cost: float | None,
    entry_size: str | None,
    rate: float | None,
    tiers: Sequence[str],
) -> Prices | None:
    from infercache.simulate.advice import Prices

    priced = tuple(map(_tier, tiers))
    if byte_cost is None and priced:
        byte_cost = priced[0].gigabyte_hour
    if byte_cost is None and miss_cost is None:
        return None
    if byte_cost is None or miss_cost is None:
        raise SettingError("--byte-cost and --miss-cost weigh each other: give both")
    for option, value in (("--byte-cost", byte_cost), ("--miss-cost", miss_cost), ("--rate", rate)):
        if value is not None and not 0 < value < float("inf"):
            raise SettingError(f"{option} {value}: expected a number above 0")
    entry_bytes = None if entry_size is None else parse_size(entry_size, "--entry-size")
    return Prices(byte_cost, miss_cost, entry_bytes, rate, priced)


def _tier(text: str) -> TierPrice:
    from infercache.simulate.tier_sizes import TierPrice

    name, _, prices = text.partition("=")
    words = prices.split(",")
    try:
        found = TierPrice(name, float(words[0]), float(words[1]))
    except (ValueError, IndexError):
        raise SettingError(
            f"--tier {text!r}: write NAME=GB_HOUR,HIT, such as memory=0.004,0.0000001"
        ) from None
    if not (name and len(words) == 2 and found.gigabyte_hour >= 0 and found.hit >= 0):
        raise SettingError(f"--tier {text!r}: expected a name and two prices of 0 or more")
    return found


def _print(trace: Trace, advice: Advice) -> None:
    click.echo(
        f"\n{trace.name} ({trace.format}): {advice.accesses:,} accesses, "
        f"footprint {advice.size(advice.footprint)}"
    )
    for sentence in advice.predictability.sentences():
        click.echo(f"- {sentence}")
    _print_windows(advice)
    _print_curve(advice)
    best = advice.recommended
    click.echo(
        f"\nrecommended: {advice.size(best.capacity)} ({best.share:.1%} of the footprint): "
        f"{advice.reason}"
    )
    if best.net is not None:
        click.echo(f"saves {best.net:,.4g} an hour after the memory is paid")
    if advice.tiers:
        _print_tiers(advice)
    _print_policies(advice)


def _print_windows(advice: Advice) -> None:
    rows = [
        (
            f"{window.accesses:,}",
            "" if window.seconds is None else format_duration(window.seconds),
            f"{window.mean_keys:,.0f}",
            f"{window.most_keys:,}",
            "" if window.mean_bytes is None else format_size(window.mean_bytes),
        )
        for window in advice.windows
    ]
    click.echo("\nworking set")
    headings = ("accesses", "time", "keys on average", "at most", "bytes on average")
    print_table(headings, rows, right=headings)


def _print_curve(advice: Advice) -> None:
    chosen = {
        min(advice.points, key=lambda point: abs(point.share - share)) for share in _SHOWN
    } | {advice.recommended}
    unit, name = (1e6, "per MB") if advice.in_bytes else (1e3, "per 1,000")
    portion = 100 * unit / advice.footprint
    rows = [
        (
            advice.size(point.capacity),
            f"{point.share:.1%}",
            f"{point.miss_ratio:.4f}",
            f"{point.che:.4f}",
            f"{point.gain:.2f}",
            f"{point.gain * portion:.4g}",
            "" if point.net is None else f"{point.net:,.4g}",
        )
        for point in sorted(chosen, key=lambda point: point.capacity)
    ]
    click.echo("\nLRU by size (gain: points of hits for a further 1 % of the footprint)")
    headings = ("size", "share", "miss ratio", "Che", "gain", name, "net an hour")
    print_table(headings, rows, right=headings)
    click.echo(
        f"Che's approximation (independent draws) is off by {advice.che_error:.3f} on average"
    )


def _print_tiers(advice: Advice) -> None:
    rows = [
        (
            tier.name,
            advice.size(tier.capacity),
            f"{tier.hits:.1%}",
            f"{tier.net:,.4g}",
            f"{tier.next_gigabyte:,.4g}",
        )
        for tier in advice.tiers
    ]
    click.echo("\ntiers together, where what leaves one goes on to the next")
    headings = ("tier", "size", "hits", "net an hour", "next GB would save")
    print_table(headings, rows, right=headings[1:])


def _print_policies(advice: Advice) -> None:
    on = "all keys" if advice.rate >= 1 else f"a sample of {advice.rate:.1%} of the keys"
    click.echo(f"\npolicies at that size, on {on}; optimum {advice.optimum:.4f}")
    lru = next(one.miss_ratio for one in advice.policies if one.policy == "lru")
    gap = lru - advice.optimum
    rows = [
        (
            one.policy,
            f"{one.miss_ratio:.4f}",
            f"{(lru - one.miss_ratio) / gap:+.2f}" if gap > 0 else "",
        )
        for one in advice.policies
    ]
    print_table(("policy", "miss ratio", "gap closed"), rows, right=("miss ratio", "gap closed"))
