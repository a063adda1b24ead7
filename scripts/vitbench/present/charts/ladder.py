"""Rows of ratios under each other on one axis, with a heavy line at 1 and numbers beside: steps, and advice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitbench.present import style

PLOT, ROW, HEADER, COLUMN_GAP = 3.7, 0.44, 0.3, 0.22
ABOVE, BELOW = 0.42, 0.55


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
    with style.theme():
        left = max([2.4, *(style.text_width(rung.name, style.BODY) for rung in rungs)])
        left = max([left, *(style.text_width(rung.under, style.SMALL) for rung in rungs)])
        left = max([left, *(style.text_width(name, style.BODY, "bold") for name, _ in groups)])
        widths = [
            max([style.text_width(heading, style.SMALL, "bold"),
                 *(style.text_width(rung.cells[at], style.SMALL) for rung in rungs)])
            for at, heading in enumerate(headings)
        ]  # fmt: skip
        body = sum(HEADER + ROW * len(members) for _, members in groups) or 1.0
        begin = style.MARGIN + left + COLUMN_GAP
        width = begin + PLOT + sum(widths) + COLUMN_GAP * len(widths) + style.MARGIN
        page = style.Page(width, ABOVE + body + BELOW, title, caption)
        axes = page.axes(begin, page.top + ABOVE, PLOT, body)
        axes.set_ylim(body, 0)  # y in inches from the top of the axes, so that rows and margins stay aligned
        axes.set_yticks([])
        if not rungs:
            axes.set_xticks([])
            style.say(axes, nothing)
            return page.figure
        _scale(axes, rungs, label)
        edges = [begin + PLOT + sum(widths[: at + 1]) + COLUMN_GAP * (at + 1) for at in range(len(widths))]
        for edge, heading in zip(edges, headings, strict=True):
            page.text(edge, page.top + ABOVE - 0.06, heading, size=style.SMALL, weight="bold", ha="right", va="bottom")
        y = 0.0
        for name, members in groups:
            page.text(style.MARGIN, page.top + ABOVE + y + 0.06, name, weight="bold")
            axes.axhline(y, color="#b0b0b0", linewidth=0.8)
            y += HEADER
            if joined:
                middles = [y + ROW * (at + 0.5) for at in range(len(members))]
                axes.plot([rung.ratio for rung in members], middles, color=style.GREY, linewidth=1.0, zorder=2)
            for rung in members:
                top = page.top + ABOVE + y + 0.04
                page.text(style.MARGIN, top, rung.name)
                page.text(style.MARGIN, top + style.BODY * style.LINE, rung.under, size=style.SMALL,
                          color=style.FAINT_INK)  # fmt: skip
                for edge, text in zip(edges, rung.cells, strict=True):
                    page.text(edge, top, text, size=style.SMALL, ha="right")
                _plot(axes, rung, y + ROW / 2)
                y += ROW
        return page.figure


def _scale(axes: Axes, rungs: Sequence[Rung], label: str) -> None:
    """A log2 axis over 0.5 … 2, or as far as the data go."""
    values = [value for rung in rungs for value in (rung.ratio, rung.low, rung.high) if value > 0]
    first = min([-1, *(math.floor(math.log2(value)) for value in values)])
    last = max([1, *(math.ceil(math.log2(value)) for value in values)])
    step = math.ceil((last - first) / 7)
    powers = [power for power in range(first, last + 1) if power % step == 0]
    axes.set_xscale("log", base=2)
    axes.set_xlim(2.0 ** (first - 0.12), 2.0 ** (last + 0.12))
    axes.set_xticks([2.0**power for power in powers], [f"{2.0**power:g}" for power in powers])
    axes.minorticks_off()
    axes.axvline(1, color=style.INK, linewidth=2.2, zorder=1)
    axes.set_xlabel(label, fontsize=style.SMALL, labelpad=4)


def _plot(axes: Axes, rung: Rung, y: float) -> None:
    color = rung.mark.color
    if math.isfinite(rung.low) and math.isfinite(rung.high):
        axes.plot([rung.low, rung.high], [y, y], color=color, linewidth=2.2, marker="|", markersize=10,
                  markeredgewidth=2.2, zorder=3)  # fmt: skip
    if math.isfinite(rung.ratio):
        axes.plot(rung.ratio, y, marker=rung.mark.marker, markersize=7.5, color=color, linestyle="none",
                  markerfacecolor="white" if rung.hollow else color, markeredgewidth=1.6, zorder=4)  # fmt: skip
