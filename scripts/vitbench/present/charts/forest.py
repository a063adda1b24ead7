"""A forest plot: rows of ratios in groups, a name at the left of each, one axis with a heavy line at 1, numbers beside.

Where everything stands is settled here; marks, keys and words are the chart's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vitbench.present import style

BAND, NOISE = "#d6d6d6", "#6e6e6e"
COLUMN_GAP = 0.22  # inches
ABOVE_THE_AXES = 0.06
DEVICE_MARKERS = {"cpu": "o", "gpu": "s"}


@dataclass(frozen=True)
class Shape:
    """Inches of a plot, and points of the names in it."""

    plot: float = 3.7
    row: float = 0.44
    heading: float = 0.3
    above: float = 0.42
    below: float = 0.55
    names: float = 2.4
    """least width of the column of names"""
    inset: float = 0.04
    """from a row's top to its words"""
    size: float = style.BODY


@dataclass(frozen=True)
class Beside:
    """What stands beside the axis in a row: name and, smaller, what it is under; the lines of each column."""

    name: str
    under: str
    cells: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Forest:
    """A page with names and numbers, and axes in which y counts inches from their top."""

    page: style.Page
    axes: Axes
    shape: Shape
    left: float
    """of the axes, inches from the page's left edge"""
    top: float
    """of the axes, inches from the page's top"""
    body: float
    """height of the axes, inches"""
    middles: list[float]
    """y of each row's middle, in the order of the rows"""

    def log2_scale(self, values: Iterable[float], least: tuple[int, int], label: str) -> None:
        """A log2 axis over the powers of two in `least`, or as far as the values go, with a heavy line at 1."""
        known = [value for value in values if math.isfinite(value) and value > 0]
        first = min([least[0], *(math.floor(math.log2(value)) for value in known)])
        last = max([least[1], *(math.ceil(math.log2(value)) for value in known)])
        powers = self._powers(first, last)
        self.axes.set_xscale("log", base=2)
        self.axes.set_xlim(2.0 ** (first - 0.12), 2.0 ** (last + 0.12))
        self.axes.set_xticks([2.0**power for power in powers], [f"{2.0**power:g}" for power in powers])
        self.axes.minorticks_off()
        self.line_at_one(label)

    def _powers(self, first: int, last: int) -> list[int]:
        """Powers of two from `first` to `last` whose labels fit side by side; 0 is always among them."""
        for step in range(1, last - first + 1):
            powers = [power for power in range(first, last + 1) if power % step == 0]
            widest = max(style.text_width(f"{2.0**power:g}", style.BODY) for power in powers)
            if widest + 0.1 <= self.shape.plot * step / (last - first + 0.24):
                break
        return powers

    def line_at_one(self, label: str) -> None:
        """The line at which both are equally fast, and what the axis shows."""
        self.axes.axvline(1, color=style.INK, linewidth=2.2, zorder=1)
        self.axes.set_xlabel(label, fontsize=style.SMALL, labelpad=4)

    def say_ends(self, left: str, right: str, colors: tuple[str, str], lift: float = 0.0) -> None:
        """Say above the axis who leads where; one under the other if they do not fit side by side."""
        words = (f"← {left}", f"{right} →")
        together = sum(style.text_width(text, style.SMALL, "bold") for text in words) + 0.3 <= self.shape.plot
        top = self.top - ABOVE_THE_AXES - lift
        how = {"size": style.SMALL, "weight": "bold", "va": "bottom"}
        self.page.text(self.left, top - (0 if together else style.SMALL * style.LINE), words[0], color=colors[0], **how)
        self.page.text(self.left + self.shape.plot, top, words[1], color=colors[1], ha="right", **how)

    def band(self, y: float, margin: float, floor: float) -> None:
        """Behind a row: the margin within which speeds are equivalent, and lines at what noise alone reaches."""
        half = self.shape.row / 2
        if math.isfinite(margin):
            edge = 1 + margin
            band = Rectangle((1 / edge, y - half), edge - 1 / edge, 2 * half, color=BAND, linewidth=0, zorder=0.5)
            self.axes.add_patch(band)
        if math.isfinite(floor):
            self.axes.vlines([1 / floor, floor], y - half, y + half, color=NOISE, linewidth=0.8, zorder=0.8)

    def say(self, y: float, words: str, most: int) -> None:
        """Words in a row instead of a mark, in so many lines at most."""
        lines = style.wrap(words, self.shape.plot - 0.3, style.SMALL, most=most)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        self.axes.text(
            0.04, y, "\n".join(lines), transform=self.axes.get_yaxis_transform(), va="center", fontsize=style.SMALL,
            bbox=box, zorder=4,
        )  # fmt: skip

    def legend(self, keys: Sequence[Artist], **how: Any) -> None:
        """Explain the marks, under the axis."""
        below = 1 - (self.page.top + self.shape.above + self.body + 0.5) / self.page.height
        self.page.figure.legend(
            handles=keys, loc="upper left", bbox_to_anchor=(self.left / self.page.width, below), frameon=False,
            fontsize=style.SMALL, borderaxespad=0, borderpad=0, labelspacing=0.35, **how,
        )  # fmt: skip


def body_height(groups: Sequence[tuple[str, Sequence[Any]]], shape: Shape) -> float:
    """Inches that the rows of all groups take, with the groups' headings."""
    return sum(shape.heading + shape.row * len(members) for _, members in groups) or 1.0


def lay_out(
    groups: Sequence[tuple[str, Sequence[Beside]]],
    headings: Sequence[tuple[str, ...]],
    shape: Shape,
    title: str,
    caption: Sequence[str],
    nothing: str,
) -> Forest:
    """Write the names and numbers of each group's rows, around axes that hold no mark yet.

    Args:
        headings: of the columns at the right, the lines of each.
        nothing: what stands in the axes if there is no row.
    """
    rows = [row for _, members in groups for row in members]
    names = [(row.name, shape.size, "normal") for row in rows] + [(row.under, style.SMALL, "normal") for row in rows]
    names += [(name, style.BODY, "bold") for name, _ in groups]
    columns = [
        max([style.text_width(line, style.SMALL, "bold") for line in heading]
            + [style.text_width(line, style.SMALL) for row in rows for line in row.cells[place]])
        for place, heading in enumerate(headings)
    ]  # fmt: skip
    body = body_height(groups, shape)
    left = style.MARGIN + max([shape.names, *(style.text_width(*name) for name in names)]) + COLUMN_GAP
    width = left + shape.plot + sum(columns) + COLUMN_GAP * len(columns) + style.MARGIN
    page = style.Page(width, shape.above + body + shape.below, title, caption)
    top = page.top + shape.above
    axes = page.axes(left, top, shape.plot, body)
    axes.set_ylim(body, 0)  # y in inches from the top of the axes, so that rows and what is beside them stay aligned
    axes.set_yticks([])
    middles: list[float] = []
    forest = Forest(page, axes, shape, left, top, body, middles)
    if not rows:
        axes.set_xticks([])
        style.say(axes, nothing)
        return forest
    edges = [left + shape.plot + COLUMN_GAP * (place + 1) + sum(columns[: place + 1]) for place in range(len(columns))]
    for edge, heading in zip(edges, headings, strict=True):
        for place, line in enumerate(reversed(heading)):
            y = top - ABOVE_THE_AXES - place * style.SMALL * style.LINE
            page.text(edge, y, line, size=style.SMALL, weight="bold", ha="right", va="bottom")
    y = 0.0
    for name, members in groups:
        page.text(style.MARGIN, top + y + 0.06, name, weight="bold")
        axes.axhline(y, color="#b0b0b0", linewidth=0.8)
        y += shape.heading
        for row in members:
            _write(page, row, edges, shape, top + y + shape.inset)
            middles.append(y + shape.row / 2)
            y += shape.row
    return forest


def _write(page: style.Page, row: Beside, edges: Sequence[float], shape: Shape, top: float) -> None:
    """The name and the columns of a row, from `top` inches below the page's top on."""
    tops, inks = (top, top + style.BODY * style.LINE), (style.INK, style.FAINT_INK)
    page.text(style.MARGIN, tops[0], row.name, size=shape.size)
    page.text(style.MARGIN, tops[1], row.under, size=style.SMALL, color=style.FAINT_INK)
    for edge, lines in zip(edges, row.cells, strict=True):
        for line_top, line, ink in zip(tops, lines, inks, strict=False):
            page.text(edge, line_top, line, size=style.SMALL, ha="right", color=ink)
