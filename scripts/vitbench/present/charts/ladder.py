"""Rows of ratios under each other on one axis, with a heavy line at 1 and numbers beside: steps, and advice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from vitbench.present import style
from vitbench.present.charts import forest
from vitbench.present.charts.forest import Beside, Forest, Shape


@dataclass(frozen=True)
class Rung:
    """One row: a ratio with the ends of its interval (NaN where there are none)."""

    name: str
    under: str
    ratio: float
    low: float
    high: float
    mark: style.Mark
    hollow: bool
    cells: tuple[str, ...]
    """what stands beside it, one text a heading"""


def draw(
    groups: Sequence[tuple[str, Sequence[Rung]]],
    headings: Sequence[str],
    label: str,
    title: str,
    caption: Sequence[str],
    joined: bool,
    nothing: str,
) -> Figure:
    """Draw the rows of each group.

    Args:
        headings: of the columns at the right.
        label: of the axis.
        joined: whether the marks of a group are steps of one way.
        nothing: what stands there if there is no row.
    """
    rungs = [rung for _, members in groups for rung in members]
    beside = [
        (name, [Beside(one.name, one.under, tuple((cell,) for cell in one.cells)) for one in members])
        for name, members in groups
    ]
    with style.theme():
        chart = forest.lay_out(beside, [(one,) for one in headings], Shape(), title, caption, nothing)
        if rungs:
            chart.log2_scale([value for one in rungs for value in (one.ratio, one.low, one.high)], (-1, 1), label)
            middles = iter(chart.middles)
            for _, members in groups:
                ys = [next(middles) for _ in members]
                if joined:
                    ratios = [one.ratio for one in members]
                    chart.axes.plot(ratios, ys, color=style.GREY, linewidth=1.0, zorder=2)
                for one, y in zip(members, ys, strict=True):
                    _plot(chart, one, y)
        return chart.page.figure


def _plot(chart: Forest, rung: Rung, y: float) -> None:
    color = rung.mark.color
    if math.isfinite(rung.low) and math.isfinite(rung.high):
        chart.axes.plot([rung.low, rung.high], [y, y], color=color, linewidth=2.2, marker="|", markersize=10,
                        markeredgewidth=2.2, zorder=3)  # fmt: skip
    if math.isfinite(rung.ratio):
        chart.axes.plot(rung.ratio, y, marker=rung.mark.marker, markersize=7.5, color=color, linestyle="none",
                        markerfacecolor="white" if rung.hollow else color, markeredgewidth=1.6, zorder=4)  # fmt: skip
