"""How much of the gap between LRU and the optimum does each policy close?

Every public trace at 1, 5, 10 and 25 % of its distinct keys, unit sizes, next to the best of the
33 policies of libcachesim on that very cell (its `baselines.csv` is measured, not run here), and
the trace of prefix blocks once more by the prefix rule. More traces of any known format can be
given as arguments.

    python benchmarks/policies.py [--ours NAME] [--json FILE] [TRACE ...]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from infercache.policies.registry import POLICIES
from infercache.simulate.capacities import parse_capacity
from infercache.simulate.contest import BASE, OPTIMUM, Cell, Contest, compete
from infercache.simulate.readers import read_trace
from infercache.simulate.trace import Trace

FOLDER = Path(os.environ.get("INFERCACHE_TRACES", Path(__file__).parents[2] / "shared" / "traces"))
SHARES = ("1%", "5%", "10%", "25%")
PREFERRED = ("auto", "learned", "s3fifo")
TARGET, WORST, MICROSECONDS = 0.45, -0.02, 5.0
STRICT = " (prefix rule)"


@dataclass
class Row:
    """One cell: a trace at one size.

    Attributes:
        trace: Its name.
        share: The size.
        capacity: In entries.
        lru: Miss ratio of LRU.
        peer: Miss ratio of the best of libcachesim's policies; None where it was not measured.
        peer_policy: Which one that is, with hindsight.
        policies: Miss ratio of each of our policies.
        optimum: Miss ratio of Belady's optimum.
        gaps: Gap closed by each of our policies, and by the peer as "peer".
        microseconds: What one access takes with each of our policies.
        saved_s: Seconds of computation that each saves, where the trace has costs.
    """

    trace: str
    share: str
    capacity: int
    lru: float
    peer: float | None
    peer_policy: str
    policies: dict[str, float]
    optimum: float
    gaps: dict[str, float]
    microseconds: dict[str, float]
    saved_s: dict[str, float]


def read_baselines() -> dict[tuple[str, int], tuple[float, str]]:
    """Return, for each trace and capacity, the best policy of libcachesim but the optimum."""
    best: dict[tuple[str, int], tuple[float, str]] = {}
    path = FOLDER / "baselines.csv"
    if not path.exists():
        return best
    with path.open() as lines:
        for row in csv.DictReader(lines):
            if row["policy"].startswith("Belady"):
                continue
            cell = row["trace"], int(row["capacity"])
            found = float(row["miss_ratio"]), row["policy"]
            best[cell] = min(best.get(cell, (2.0, "")), found)
    return best


def rows_of(
    trace: Trace,
    policies: Sequence[str],
    baselines: dict[tuple[str, int], tuple[float, str]],
    *,
    prefix_rule: bool = False,
) -> Iterable[Row]:
    """Measure one trace, one replay at a time, so that times are fair."""
    sizes = [parse_capacity(share, trace.distinct()) for share in SHARES]
    contest = compete(trace, policies, sizes, prefix_rule=prefix_rule, workers=1)
    for size in sizes:
        cells = {name: contest.cell(name, size) for name in contest.policies()}
        peer = None if prefix_rule else baselines.get((trace.name, size.amount))
        gaps = _gaps(contest, cells)
        lru, optimum = cells[BASE].miss_ratio, cells[OPTIMUM].miss_ratio
        if peer is not None and lru > optimum:
            gaps["peer"] = (lru - peer[0]) / (lru - optimum)
        ours = {name: cell for name, cell in cells.items() if name != OPTIMUM}
        yield Row(
            trace.name + (STRICT if prefix_rule else ""), size.label, size.amount, lru,
            peer[0] if peer else None, peer[1] if peer else "",
            {name: cell.miss_ratio for name, cell in ours.items()}, optimum, gaps,
            {name: 1e6 * cell.seconds / cell.accesses for name, cell in ours.items()},
            {name: cell.saved_s for name, cell in ours.items()},
        )  # fmt: skip


def _gaps(contest: Contest, cells: dict[str, Cell]) -> dict[str, float]:
    found = {name: contest.gap_closed(cell) for name, cell in cells.items() if name != OPTIMUM}
    return {name: gap for name, gap in found.items() if gap is not None}


def measure(paths: Sequence[Path], policies: Sequence[str]) -> list[Row]:
    """Measure all traces; those of prefix blocks by the prefix rule too."""
    baselines = read_baselines()
    rows: list[Row] = []
    for path in paths:
        trace = read_trace(path)
        rows += rows_of(trace, policies, baselines)
        if trace.requests is not None:
            rows += rows_of(trace, policies, baselines, prefix_rule=True)
        print(f"{trace.name}: {len(trace):,} accesses, {trace.distinct():,} keys", flush=True)
    return rows


def summarise(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return for each policy mean and worst gap closed over all cells, and its time."""
    gaps: dict[str, list[float]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, gap in row.gaps.items():
            gaps[name].append(gap)
        for name, microseconds in row.microseconds.items():
            times[name].append(microseconds)
    return {
        name: {
            "cells": len(values),
            "mean": statistics.fmean(values),
            "worst": min(values),
            "below_lru": sum(gap < 0 for gap in values) / len(values),
            "microseconds_mean": statistics.fmean(times[name]) if times[name] else float("nan"),
            "microseconds_worst": max(times[name], default=float("nan")),
        }
        for name, values in gaps.items()
    }


def show(rows: Sequence[Row], ours: str) -> None:
    """Print one line a cell."""
    print(
        f"\n{'trace':36} {'size':>4}  {'LRU':>6}  {'best of libcachesim':>22}  "
        f"{ours:>8}  {'optimum':>7}  {'gap closed':>10}"
    )
    for row in rows:
        peer = "" if row.peer is None else f"{row.peer:.4f} {row.peer_policy}"
        gap = f"{row.gaps[ours]:+.3f}" if ours in row.gaps else ""
        print(
            f"{row.trace:36} {row.share:>4}  {row.lru:6.4f}  {peer:>22}  "
            f"{row.policies[ours]:8.4f}  {row.optimum:7.4f}  {gap:>10}"
        )


def show_summary(plain: dict[str, dict[str, float]], title: str) -> None:
    """Print one line a policy, the best first."""
    print(f"\n{title}")
    print(f"{'policy':22} {'mean':>7} {'worst':>8} {'below LRU':>9} {'us/access':>9}")
    for name, found in sorted(plain.items(), key=lambda item: -item[1]["mean"]):
        shown = "best of libcachesim" if name == "peer" else name
        time = "" if name == "peer" else f"{found['microseconds_mean']:.3f}"
        print(
            f"{shown:22} {found['mean']:+7.3f} {found['worst']:+8.3f} "
            f"{found['below_lru']:9.0%} {time:>9}"
        )


def judge(summary: dict[str, float]) -> list[str]:
    """Return one sentence a target: reached or not."""
    checks = (
        ("mean gap closed", summary["mean"], TARGET, summary["mean"] >= TARGET),
        ("worst cell", summary["worst"], WORST, summary["worst"] >= WORST),
        ("us an access", summary["microseconds_worst"], MICROSECONDS,
         summary["microseconds_worst"] <= MICROSECONDS),
    )  # fmt: skip
    return [
        f"{what}: {value:+.3f}, target {target:+.2f}: {'reached' if reached else 'NOT reached'}"
        for what, value, target, reached in checks
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("traces", nargs="*", type=Path, help="more traces, of any known format")
    known = [name for name in PREFERRED if name in POLICIES]
    parser.add_argument("--ours", choices=POLICIES.names(), default=known[0])
    parser.add_argument("--policy", default=",".join(POLICIES.names()), help="names to measure")
    parser.add_argument("--json", type=Path, default=Path("results/policies.json"))
    given = parser.parse_args()
    packed = (".zst", ".xz", ".gz")
    paths = [path for path in sorted(FOLDER.glob("*")) if path.suffix in packed]
    if not paths:
        print(f"no traces in {FOLDER}: set INFERCACHE_TRACES to a folder with the public traces")
    if not paths + given.traces:
        raise SystemExit(1)
    rows = measure([*paths, *given.traces], [*given.policy.split(","), given.ours])
    show(rows, given.ours)
    plain = summarise([row for row in rows if not row.trace.endswith(STRICT)])
    strict = summarise([row for row in rows if row.trace.endswith(STRICT)])
    show_summary(plain, "gap closed, plain")
    if strict:
        show_summary(strict, "gap closed, prefix rule")
    verdict = judge(plain[given.ours])
    print(f"\n{given.ours}: " + "; ".join(verdict))
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(
        json.dumps(
            {
                "name": "policies", **machine, "ours": given.ours, "targets": verdict,
                "summary": plain, "summary_prefix_rule": strict,
                "results": [asdict(row) for row in rows],
            },
            indent=1,
        )
        + "\n"
    )  # fmt: skip


if __name__ == "__main__":
    main()
