"""Plots of replays: lines, and a heat map of reuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infercache.report.plots import INK, as_svg, require_matplotlib

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# M. Okabe, K. Ito: colours that stay apart for colour-blind readers, and on dark paper.
_COLOURS = ("#0b8a7b", "#d9822b", "#3f7fd1", "#c2559d", "#b5a02c", "#7a5fd0", "#cf4f3f", "#4a9c3c")
_STYLES = {
    "LRU": {"color": "#8d9499", "linestyle": "--", "linewidth": 1.8},
    "optimum": {"color": INK, "linestyle": ":", "linewidth": 1.8},
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot: LRU and the optimum have their own look."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def line_plot(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    logarithmic: bool = False,
    markers: bool = False,
    mark: float | None = None,
    lowest: float | None = None,
    width: float = 7.6,
) -> str:
    """Return lines over a common axis as SVG.

    Args:
        lines: What to draw; up to eight besides LRU and the optimum have a colour of their own.
        title: For readers of the page who cannot see it.
        x_label: Of the horizontal axis.
        y_label: Of the vertical axis.
        logarithmic: Whether the horizontal axis is.
        markers: Whether points are marked.
        mark: Where to draw a vertical line.
        lowest: Cut the vertical axis off below this.
        width: Of the figure, in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 3.6), layout="constrained")
    axes = figure.add_subplot()
    number = 0
    for line in lines:
        style: dict[str, Any] = {"linewidth": 1.6, "color": _COLOURS[number % len(_COLOURS)]}
        if line.name in _STYLES:
            style = dict(_STYLES[line.name])
        else:
            number += 1
        if markers:
            style |= {"marker": "o", "markersize": 4}
        axes.plot(line.x, line.y, label=line.name, **style)
    if mark is not None:
        axes.axvline(mark, color=INK, alpha=0.4, linewidth=1)
    if logarithmic:
        _scale(axes, [place for line in lines for place in line.x])
    if lowest is not None and axes.get_ylim()[0] < lowest:
        axes.set_ylim(bottom=lowest)
    _style(axes, x_label, y_label)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, labelcolor=INK,
        handlelength=1.6,
    )  # fmt: skip
    return as_svg(figure, title)


def _scale(axes: Any, places: Sequence[float]) -> None:
    """Make the horizontal axis logarithmic, with plain numbers: the places themselves if few."""
    axes.set_xscale("log")
    axes.minorticks_off()
    distinct = sorted(set(places))
    low, high = distinct[0], distinct[-1]
    steps = [step * 10.0**power for power in range(-6, 12) for step in (1, 2, 5)]
    ticks = distinct if len(distinct) <= 8 else [step for step in steps if low <= step <= high]
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])


def _style(axes: Any, x_label: str, y_label: str) -> None:
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.tick_params(which="both", colors=INK, length=0)
    axes.grid(color=INK, alpha=0.13, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def heat_map(counts: NDArray[np.int64], lengths: NDArray[np.int64], *, title: str) -> str:
    """Return how far apart reuses are over a trace, as SVG.

    Args:
        counts: A row for each power of two of distance, a column for each part of the trace.
        lengths: Accesses in each part; each column is shown as shares of it.
        title: For readers of the page who cannot see it.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    import numpy as np
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    colours = colormaps["viridis"].resampled(32)
    shares = counts / np.maximum(lengths, 1)
    shown = np.ma.masked_equal(100 * shares, 0)
    figure = Figure(figsize=(7.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    rows, columns = counts.shape
    mesh = axes.pcolormesh(
        np.linspace(0, 100, columns + 1), np.arange(rows + 1), shown, cmap=colours, linewidth=0
    )
    _style(axes, "part of the trace (%)", "distinct keys between two uses")
    axes.grid(visible=False)
    ticks = range(0, rows + 1, max(1, rows // 6))
    axes.set_yticks(list(ticks), [_power(tick) for tick in ticks])
    bar = figure.colorbar(mesh, ax=axes, shrink=0.9, aspect=18)
    # Else the bar would be a picture within the drawing.
    bar.solids.set_rasterized(False)
    bar.set_label("% of the accesses", color=INK)
    bar.ax.tick_params(colors=INK, length=0)
    bar.outline.set_visible(False)
    return as_svg(figure, title).replace("<svg ", '<svg shape-rendering="crispEdges" ', 1)


def _power(exponent: int) -> str:
    for size, unit in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")):
        if 1 << exponent >= size:
            return f"{(1 << exponent) // size}{unit}"
    return str(1 << exponent)
