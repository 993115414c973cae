"""The pages of `infercache replay` and `infercache advise`, each as one HTML file."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from infercache.errors import MissingExtraError
from infercache.report.traces_plots import Line, heat_map, line_plot
from infercache.units import format_duration, format_size

# Where the gap itself is tiny, a policy can be many gaps below LRU.
_WORST_SHOWN = -1.0
_SHOWN = {"lru": "LRU", "belady": "optimum"}


def write_replay_page(
    contests: Sequence[Any],
    maps: Sequence[Any],
    path: Path,
    *,
    prefix_rule: bool = False,
    in_bytes: bool = False,
) -> None:
    """Write what policies did on some traces.

    Args:
        contests: An `infercache.simulate.contest.Contest` a trace.
        maps: An `infercache.simulate.reuse_map.ReuseMap` a trace.
        path: Where to.
        prefix_rule: Whether hits were counted by the prefix rule.
        in_bytes: Whether capacities are bytes.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
        OSError: the file cannot be written.
    """
    parts = [
        {
            "contest": contest,
            "curve": _curve(contest),
            "gaps": _gaps(contest),
            "timeline": _timeline(contest),
            "heat": _heat(contest.trace, reuse),
        }
        for contest, reuse in zip(contests, maps, strict=True)
    ]
    _write("traces_replay.html", path, parts=parts, prefix_rule=prefix_rule, in_bytes=in_bytes)


def write_advice_page(advice: Any, reuse: Any, path: Path) -> None:
    """Write what a trace tells about the cache that it needs.

    Args:
        advice: An `infercache.simulate.advice.Advice`.
        reuse: An `infercache.simulate.reuse_map.ReuseMap`.
        path: Where to.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
        OSError: the file cannot be written.
    """
    shares = [100 * point.share for point in advice.points]
    curve = line_plot(
        [
            Line("LRU", shares, [point.miss_ratio for point in advice.points]),
            Line("Che's model", shares, [point.che for point in advice.points]),
        ],
        title=f"Miss ratio of {advice.trace} by size",
        x_label="size (% of the footprint)",
        y_label="miss ratio",
        logarithmic=True,
        mark=100 * advice.recommended.share,
    )
    gain = line_plot(
        [Line("gain", shares[:-1], [point.gain for point in advice.points[:-1]])],
        title=f"What more room brings to {advice.trace}",
        x_label="size (% of the footprint)",
        y_label="points of hits for 1 % more",
        logarithmic=True,
        mark=100 * advice.recommended.share,
    )
    heat = _heat(advice.trace, reuse)
    _write("traces_advice.html", path, advice=advice, curve=curve, gain=gain, heat=heat)


def _curve(contest: Any) -> str:
    return line_plot(
        [
            Line(
                _SHOWN.get(policy, policy),
                [100 * size.share for size in contest.capacities()],
                [contest.cell(policy, size).miss_ratio for size in contest.capacities()],
            )
            for policy in contest.policies()
        ],
        title=f"Miss ratio of {contest.trace} by size",
        x_label="size (% of the footprint)",
        y_label="miss ratio",
        logarithmic=True,
        markers=True,
    )


def _gaps(contest: Any) -> str:
    lines = []
    for policy in contest.policies():
        if policy in _SHOWN:
            continue
        found = [
            (100 * size.share, gap)
            for size in contest.capacities()
            if (gap := contest.gap_closed(contest.cell(policy, size))) is not None
        ]
        if found:
            lines.append(Line(policy, *zip(*found, strict=True)))
    if not lines:
        return ""
    return line_plot(
        lines,
        title=f"Gap closed on {contest.trace}",
        x_label="size (% of the footprint)",
        y_label="gap closed",
        logarithmic=True,
        markers=True,
        lowest=_WORST_SHOWN,
    )


def _timeline(contest: Any) -> str:
    size = contest.capacities()[len(contest.capacities()) // 2]
    lines = []
    for policy in contest.policies():
        values = contest.cell(policy, size).timeline
        places = [100 * (number + 0.5) / len(values) for number in range(len(values))]
        lines.append(Line(_SHOWN.get(policy, policy), places, values))
    return line_plot(
        lines,
        title=f"Miss ratio of {contest.trace} over time at {size.label}",
        x_label=f"part of the trace (%), at a size of {size.label}",
        y_label="miss ratio",
    )


def _heat(name: str, reuse: Any) -> str:
    if not reuse.counts.any():
        return ""
    return heat_map(reuse.counts, reuse.lengths, title=f"Reuse distances of {name} over time")


def _write(template: str, path: Path, **values: Any) -> None:
    if importlib.util.find_spec("jinja2") is None:
        raise MissingExtraError("reports need an extra: pip install 'infercache[report]'")
    import jinja2

    folder = resources.files("infercache.report")
    surroundings = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    surroundings.filters["duration"] = format_duration
    surroundings.filters["size"] = format_size
    style = (folder / "traces.css").read_text(encoding="utf-8")
    source = (folder / template).read_text(encoding="utf-8")
    page = surroundings.from_string(source).render(style=style, **values)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
