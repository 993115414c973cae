"""Plots as SVG text that takes its colours for text and lines from the page around it."""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infercache.errors import MissingExtraError

# Drawn in this colour, then replaced: so the ink follows the page's light or dark theme.
INK = "#010203"
_CLASSES = {"#0a0b01": "series-1", "#0a0b02": "series-2", "#0a0b03": "series-3"}
_COLOURS = tuple(_CLASSES)


@dataclass(frozen=True, slots=True)
class Series:
    """One row of bars: a value for each group."""

    name: str
    values: Sequence[float]


def bar_plot(
    groups: Sequence[str], series: Sequence[Series], *, unit: str, title: str, width: float = 7.2
) -> str:
    """Return horizontal bars, grouped, each with its value written at its end.

    Args:
        groups: Labels of the groups, from the top.
        series: Up to three rows of bars, each with one value a group.
        unit: What the values are, for the axis: "seconds".
        title: For readers of the page who cannot see it.
        width: Of the figure, in inches: the narrower, the larger its text beside the page's.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    height = 0.9 + len(groups) * (0.24 * len(series) + 0.16)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    thickness = 0.8 / len(series)
    for number, row in enumerate(series):
        places = [
            index + (number - (len(series) - 1) / 2) * thickness for index in range(len(groups))
        ]
        bars = axes.barh(
            places,
            row.values,
            thickness * 0.88,
            color=_COLOURS[number if len(series) > 1 else 1],
            label=row.name,
        )
        axes.bar_label(bars, [_shown(value) for value in row.values], padding=4, color=INK)
    _style(axes, groups, series, unit)
    return as_svg(figure, title)


def require_matplotlib() -> None:
    """Raise MissingExtraError if matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("plots need an extra: pip install 'infercache[report]'")


def _style(axes: Any, groups: Sequence[str], series: Sequence[Series], unit: str) -> None:
    axes.set_xlim(right=1.18 * max(value for row in series for value in row.values))
    axes.set_yticks(range(len(groups)), groups)
    axes.invert_yaxis()
    axes.set_xlabel(unit, color=INK)
    axes.tick_params(colors=INK, length=0)
    axes.grid(axis="x", color=INK, alpha=0.15, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(series) > 1:
        axes.legend(
            loc="lower center",
            bbox_to_anchor=(0.45, 1.0),
            ncols=len(series),
            frameon=False,
            labelcolor=INK,
        )


def as_svg(figure: Any, title: str) -> str:
    """Return the figure as SVG that can stand inside a page, beside others."""
    import matplotlib as mpl

    text = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif"}
    with mpl.rc_context(settings):
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=no_metadata)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">', svg, count=1)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for colour, name in _CLASSES.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = svg.replace(INK, "currentColor").replace("xlink:href", "href")
    return svg.replace('">', f'" role="img" aria-label="{title}">', 1)


def _shown(seconds: float) -> str:
    if seconds >= 10:
        return f"{seconds:.0f}"
    return f"{seconds:.3g}"
