"""The break-even chart: total time against the number of images, and where what starts later has caught up."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from vitbench.analysis.break_even import REACH, Line, full_cells, line, measured_images
from vitbench.cells import Cell
from vitbench.present import style
from vitbench.present.labels import by_hardware, count, name_of, number, number_of

PLOT, HEIGHT, LEFT = 6.2, 3.9, 0.75  # inches
HEAD, BELOW, ROW = 0.28, 0.62, 0.2
SPACING = 0.8  # of the legend, in heights of a letter
MOST_IMAGES = 1e9  # beyond this no number of images is of use
MOST_PAIRS = 15  # of more of them those with the baseline are shown
HEADERS = ("break-even, images", "range of the blocks", "n", "verdict")


def draw(runs: pd.DataFrame, table: pd.DataFrame, context: dict) -> Figure:
    """Draw the lines of the cells of the full set (from `runs`) and the meetings in the table `break_even`."""
    cells = full_cells(runs)
    title = f"Total time by number of images, start included: from {style.dataset_title(context, 'full')}"
    with style.theme():
        if not cells:
            page = style.Page(8.0, 1.6, title, [style.origin(context)])
            axes = page.axes(style.MARGIN, page.top, 8.0 - 2 * style.MARGIN, 1.4)
            axes.set_xticks([])
            style.say(axes, "There is no usable repeat of the full run: no total time.")
            return page.figure
        marks = style.marks_of(context, zip(runs["framework"], runs["variant"], strict=True))
        parts = by_hardware(cells)
        pairs = {hardware: _shown(table, part, context["baseline"]) for hardware, part in parts.items()}
        left_out = {hardware: len(_of(table, part)) - len(pairs[hardware]) for hardware, part in parts.items()}
        rows = {hardware: _rows(pairs[hardware], left_out[hardware]) for hardware in parts}
        names = max([2.6, *(style.text_width(text, style.SMALL) for each in rows.values() for text, _ in each)]) + 0.1
        numbers = [numbers for each in rows.values() for _, numbers in each]
        columns = [
            max(
                [style.text_width(header, style.SMALL, "bold")]
                + [style.text_width(row[at], style.SMALL) for row in numbers]
            )
            for at, header in enumerate(HEADERS)
        ]
        keys = {hardware: _keys(part, marks, _any_crossing(pairs[hardware])) for hardware, part in parts.items()}
        heights = {hardware: max(HEIGHT, _height(each)) for hardware, each in keys.items()}
        key_width = max(style.text_width(text, style.SMALL) for each in keys.values() for key in each
                        for text in key.get_label().split("\n")) + 0.6  # fmt: skip
        width = 2 * style.MARGIN + max(LEFT + PLOT + key_width, names + sum(columns) + 0.25 * len(columns))
        room = {
            hardware: HEAD + heights[hardware] + BELOW + ROW * (len(rows[hardware]) + 1) + 0.15 for hardware in parts
        }
        page = style.Page(width, sum(room.values()), title, _caption(cells, table, context))
        top = page.top
        for hardware, part in parts.items():
            page.text(style.MARGIN + LEFT, top, hardware, weight="bold")
            axes = page.axes(style.MARGIN + LEFT, top + HEAD, PLOT, heights[hardware])
            _panel(axes, part, pairs[hardware], marks)
            axes.legend(
                handles=keys[hardware], loc="upper left", bbox_to_anchor=(1 + 0.1 / PLOT, 1), frameon=False,
                fontsize=style.SMALL, borderaxespad=0, borderpad=0, labelspacing=SPACING, handlelength=2.4,
            )  # fmt: skip
            _write_rows(page, top + HEAD + heights[hardware] + BELOW, rows[hardware], names, columns)
            top += room[hardware]
        return page.figure


def _of(table: pd.DataFrame, part: dict) -> pd.DataFrame:
    """The pairs of the cells of one panel, the soonest meeting first, those that never meet last."""
    return table[table["early"].isin(part)].sort_values("break_even", kind="stable", na_position="last")


def _shown(table: pd.DataFrame, part: dict, baseline: str) -> pd.DataFrame:
    """The pairs of one panel that the chart shows: all, or, where they are many, those with the baseline variant."""
    pairs = _of(table, part)
    if len(pairs) <= MOST_PAIRS:
        return pairs
    of_baseline = pairs[["early", "late"]].map(lambda name: name.startswith(f"{baseline}/")).any(axis=1)
    return pairs[of_baseline] if of_baseline.any() else pairs.head(MOST_PAIRS)


def _rows(pairs: pd.DataFrame, left_out: int) -> list[tuple[str, tuple[str, ...]]]:
    """Words and aligned numbers of each pair, and how many more there are."""
    rows = []
    for row in pairs.itertuples(index=False):
        late, early = Cell.parse(row.late), Cell.parse(row.early)
        pair = f"{name_of(late)}, after {name_of(early)}"
        meets = math.isfinite(row.break_even)
        found = _images(row.break_even) if meets else "never" if row.verdict == "never" else "–"
        found += " (extrapolated)" if row.extrapolated else ""
        spread = "–"
        if math.isfinite(row.low) and row.blocks > 1:
            spread = f"{_images(row.low)} to {_images(row.high) if math.isfinite(row.high) else 'never'}"
        reason = row.reason.partition("extrapolated")[0].rstrip("; ")  # that stands beside the number
        words = row.verdict + (f": {reason}" if reason else "")
        rows.append((pair, (found, spread, number_of(row.blocks), style.wrap(words, 4.2, style.SMALL, most=1)[0])))
    if left_out:
        rows.append((f"{left_out} more pairs: the table break_even", ("", "", "", "")))
    return rows or [("There is no pair of cells on this hardware.", ("", "", "", ""))]


def _images(value: float) -> str:
    """A number of images to two digits: more would not be true."""
    if value < 1:
        return "1"
    digits = max(0, math.floor(math.log10(value)) - 1)
    return f"{round(value / 10**digits) * 10**digits:,.0f}"


def _any_crossing(pairs: pd.DataFrame) -> bool:
    return bool(pairs["break_even"].notna().any())


def _height(keys: list[Line2D]) -> float:
    """Inches that a legend of these keys takes."""
    lines = sum(1 + key.get_label().count("\n") for key in keys)
    return style.SMALL * style.LINE * (lines + SPACING * len(keys))


def _panel(axes: Axes, part: dict[str, pd.DataFrame], pairs: pd.DataFrame, marks: dict) -> None:
    lines = {name: line(repeats) for name, repeats in part.items()}
    measured = max(map(measured_images, part.values()))
    meetings = pairs[(pairs["break_even"] > 1) & (pairs["break_even"] < MOST_IMAGES)]
    last = float(max([20 * measured, *(3 * meetings["break_even"])]))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(1, last)
    for name, repeats in part.items():
        cell = Cell.parse(name)
        mark = marks[cell.framework, cell.variant]
        few, most = float(repeats["images"].min()), REACH * measured_images(repeats)
        for low, high, dashed in ((1.0, few, True), (few, min(most, last), False), (most, last, True)):
            if low < high:
                at = np.geomspace(low, high, 120)
                axes.plot(at, [lines[name].seconds(images) for images in at], color=mark.color, zorder=2,
                          linewidth=1.2 if dashed else 2.0, linestyle=(0, (3, 2)) if dashed else "-")  # fmt: skip
        points = [point for row in repeats.itertuples(index=False) for point in _measured(row)]
        axes.scatter(*zip(*points, strict=True), s=20, marker=mark.marker, facecolor="white", edgecolor=mark.color,
                     linewidth=1.0, zorder=3)  # fmt: skip
    for row in meetings.itertuples(index=False):
        y = lines[row.early].seconds(row.break_even)
        axes.scatter(row.break_even, y, s=130, facecolor="none", edgecolor=style.INK, linewidth=1.5, zorder=6)
        ends = [max(row.low, 1), min(row.high, last)] if math.isfinite(row.high) else [max(row.low, 1), last]
        if math.isfinite(row.low):
            axes.plot(ends, [y, y], color=style.INK, linewidth=1.0, zorder=5)
    axes.set_xlabel("images (log scale)")
    axes.set_ylabel("start to last label, seconds (log scale)")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(which="both", length=0)


def _measured(row) -> list[tuple[float, float]]:
    """(images, seconds) after each pass of one repeat, start and load included; short passes are no part of a job."""
    passes = [float(seconds) for seconds in row.pass_seconds.split(";") if seconds]
    begin = row.start_seconds + row.load_seconds
    return [((place + 1) * row.images, begin + sum(passes[: place + 1])) for place in range(len(passes))]


def _keys(part: dict[str, pd.DataFrame], marks: dict, crossing: bool) -> list[Line2D]:
    keys = []
    for name, repeats in part.items():
        cell, found = Cell.parse(name), line(repeats)
        mark = marks[cell.framework, cell.variant]
        words = f"{name_of(cell)}\n{number(found.fixed)} s + {_milliseconds(found)} ms an image"
        keys.append(Line2D([], [], color=mark.color, linewidth=2.0, marker=mark.marker, markersize=5.5,
                           markerfacecolor="white", label=words))  # fmt: skip
    keys.append(Line2D([], [], color=style.INK, linewidth=1.2, linestyle=(0, (3, 2)), label="extrapolated"))
    if crossing:
        keys.append(Line2D([], [], color=style.INK, marker="o", markersize=11, markerfacecolor="none",
                           markeredgewidth=1.5, linewidth=1.0, label="break-even, range of the blocks"))  # fmt: skip
    return keys


def _milliseconds(found: Line) -> str:
    return number(found.each * 1000)


def _write_rows(page: style.Page, top: float, rows: list, names: float, columns: list[float]) -> None:
    """The pairs under the plot, numbers aligned; the last column, words, from its left edge."""
    edges = [style.MARGIN + names + sum(columns[: at + 1]) + 0.25 * (at + 1) for at in range(len(columns))]
    for at, header in enumerate(HEADERS):
        words = at == len(HEADERS) - 1
        page.text(edges[at] - (columns[at] if words else 0), top, header, size=style.SMALL, weight="bold",
                  ha="left" if words else "right")  # fmt: skip
        for place, (_, numbers) in enumerate(rows):
            page.text(edges[at] - (columns[at] if words else 0), top + ROW * (place + 1), numbers[at], size=style.SMALL,
                      ha="left" if words else "right")  # fmt: skip
    page.text(style.MARGIN, top, "starts later, after what starts sooner", size=style.SMALL, weight="bold")
    for place, (name, _) in enumerate(rows):
        page.text(style.MARGIN, top + ROW * (place + 1), name, size=style.SMALL)


def _caption(cells: dict[str, pd.DataFrame], table: pd.DataFrame, context: dict) -> list[str]:
    repeats = pd.Series([len(group) for group in cells.values()], dtype=float)
    measured = max(map(measured_images, cells.values()))
    how = (
        "Line: start + load + what the cold pass takes longer than a warm one + images × warm seconds an image, medians"
        f" of n = {count(repeats)} repeats. Points: start, load and the passes so far (no short ones) of each repeat."
        f" Solid: from one data set to {REACH} times the images that a process classified, at most {measured}; dashed:"
        " extrapolated, and no more certain than so few images are. Every pass has the same images."
    )
    more = (
        "Ring: both have taken the same time; bar: range of that number over the blocks, each block's own start, load"
        " and passes. Verdict: that of the ratio of seconds an image, by the rule of all comparisons (95% interval, the"
        ' margin, Holm among these pairs); "uncertain": equivalent or inconclusive. Below 5 blocks there is none.'
    )
    return [how, more if len(table) else "", style.origin(context)]
