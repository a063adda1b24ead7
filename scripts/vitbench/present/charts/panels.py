"""The panel that several charts share: a quantity against the batch size, one line a variant, failures in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.path import Path

from vitbench.analysis.summary import usable
from vitbench.flags import NOT_REACHED, bears
from vitbench.present import style
from vitbench.present.labels import DEVICES, daggered, size_list, variant_name

HEIGHT, STRIP_ROW, LEFT, PLOT = 3.5, 0.24, 0.75, 5.6
LEGEND = 0.55  # inches from the plot's edge to the legend's words: room for the mark
BELOW, TURNED = 0.55, 0.2  # room for tick labels and axis label, and what turned labels take more
HEAD = 0.28
MOST_SHIFT = 0.6  # of the distance between two batch sizes, for the points of one of them


class Quantity(NamedTuple):
    """What is on the y axis: a column of summary with its range, and the column of the runs table."""

    column: str
    low: str
    high: str
    single: str
    label: str


class Panel(NamedTuple):
    """One device's part of a chart, with the room it needs (inches). A key is (framework, variant, workers)."""

    device: str
    summary: pd.DataFrame
    runs: pd.DataFrame
    legend: list[tuple[tuple[str, str, float], str]]  # key, words
    failures: list[tuple[tuple[str, str, float], list[tuple[str, list[float]]], str]]  # key, (status, sizes), words
    right: float
    height: float
    sizes: list[int]
    turned: bool


def prepare(summary: pd.DataFrame, runs: pd.DataFrame, words: dict, width: float = PLOT) -> list[Panel]:
    """Split the rows of one data set by device, for plots `width` inches wide.

    `words` maps (framework, variant, device, workers) to what the legend says under the variant's name.
    """
    panels = []
    sizes = sorted(summary["batch_size"].dropna().astype(int).unique().tolist())
    several = summary["workers"].nunique() > 1
    for device, rows in summary.groupby("device", sort=False):
        legend, failures = [], []
        for (framework, variant, workers), cells in rows.groupby(["framework", "variant", "workers"], sort=False):
            name = variant_name(framework, variant) + (f", {workers:.0f} workers" if several else "")
            key = (framework, variant, workers)
            failed = cells[cells["status"] != "ok"]
            if len(failed) < len(cells):
                more = words.get((framework, variant, device, workers), "")
                legend.append((key, f"{name}\n{more}" if more else name))
            kinds = [(status, list(group["batch_size"])) for status, group in failed.groupby("status", sort=False)]
            if kinds:
                told = "; ".join(f"{status} at {size_list(map(int, at), sizes)}" for status, at in kinds)
                failures.append((key, kinds, f"{name}: {told}"))
        lines = [line for _, text in legend for line in text.split("\n")] + [text for _, _, text in failures]
        right = max([1.2] + [style.text_width(line, style.SMALL) for line in lines]) + LEGEND
        legend_height = sum(0.14 + style.SMALL * style.LINE * (1 + text.count("\n")) for _, text in legend) + 1.4
        height = max(HEIGHT, legend_height)
        part = runs[(runs["device"] == device) & (runs["status"] == "ok")]
        panels.append(Panel(device, rows, part, legend, failures, right, height, sizes, _crowded(sizes, width)))
    return panels


def room(panel: Panel) -> float:
    """Height in inches of a panel with its strip of failures, tick labels and axis label."""
    return HEAD + panel.height + STRIP_ROW * len(panel.failures) + BELOW + (TURNED if panel.turned else 0)


def by_batch_size(
    page: style.Page, top: float, panel: Panel, quantity: Quantity, marks: dict, *,
    best: dict | None = None, title: str = "", width: float = PLOT,
) -> Axes:  # fmt: skip
    """Draw `panel` at `top` inches: line and points of the medians, range bars, single repeats, failures below zero.

    `best` maps (framework, variant, workers) to the batch size that gets a ring; `width` is the plot's, in inches.
    """
    left = style.MARGIN + LEFT
    axes = page.axes(left, top + HEAD, width, panel.height)
    inch = _span(panel.sizes) / width  # of the x axis, in powers of two
    keys = [key for key, _ in panel.legend] + [key for key, _, _ in panel.failures]
    shift, beside = _shifts(keys, panel.sizes, inch)
    page.text(left, top, title or DEVICES.get(panel.device, panel.device), weight="bold")

    measured = panel.summary[panel.summary["status"] == "ok"]
    for key, _ in panel.legend:
        _line(axes, _of(measured, key), _of(panel.runs, key), quantity, marks[key[:2]], shift[key], beside,
              (best or {}).get(key))  # fmt: skip
    axes.set(xlabel="", ylabel=quantity.label)
    highest = measured[quantity.high].max()
    axes.set_ylim(0, highest * 1.12 if highest > 0 else 1)
    bottom = axes
    if panel.failures:
        bottom = page.axes(left, top + HEAD + panel.height, width, STRIP_ROW * len(panel.failures))
        _strip(page, bottom, panel, shift, marks, left + width, top + HEAD + panel.height)
    for part in {axes, bottom}:
        _scale(part, panel, inch, labelled=part is bottom)
    if not panel.legend:
        style.say(axes, "No cell was measured here; what happened stands below.")
    _legend(axes, panel, marks, width, ring=bool(best))
    return axes


def _of(table: pd.DataFrame, key: tuple[str, str, float]) -> pd.DataFrame:
    framework, variant, workers = key
    return table[(table["framework"] == framework) & (table["variant"] == variant) & (table["workers"] == workers)]


def _line(
    axes: Axes, cells: pd.DataFrame, single: pd.DataFrame, quantity: Quantity, mark: style.Mark, shift: float,
    beside: float, ringed: float | None,
) -> None:  # fmt: skip
    """One variant: medians, ranges, repeats, the ring at its best batch size, daggers at what is flagged."""
    cells = cells.sort_values("batch_size")
    claimed = cells[cells["repeats"] > 0]  # the others show their repeats, and no mark
    x, middle = claimed["batch_size"] * shift, claimed[quantity.column]
    line = pd.DataFrame({"x": x, "y": middle})
    seaborn.lineplot(line, x="x", y="y", color=mark.color, linestyle=(0, mark.dashes) if mark.dashes else "-",
                     linewidth=1.6, errorbar=None, legend=False, ax=axes, zorder=2)  # fmt: skip
    axes.vlines(x, claimed[quantity.low], claimed[quantity.high], color=mark.color, linewidth=1.8, zorder=3)
    missed = bears(claimed, NOT_REACHED)
    seaborn.scatterplot(line[~missed], x="x", y="y", color=mark.color, marker=mark.marker, s=62, legend=False, ax=axes,
                        zorder=5)  # fmt: skip
    style.hollow(axes, x[missed], middle[missed], mark, 62)
    counted = usable(single)
    dots = pd.DataFrame({"x": single["batch_size"] * shift * beside, "y": single[quantity.single]})
    seaborn.scatterplot(dots[counted], x="x", y="y", color=mark.color, marker="o", s=13, alpha=0.75, linewidth=0,
                        legend=False, ax=axes, zorder=4)  # fmt: skip
    style.hollow(axes, dots["x"][~counted], dots["y"][~counted], mark._replace(marker="o"), 20)
    at = claimed["batch_size"] == ringed
    axes.scatter(x[at], middle[at], s=250, facecolor="none", edgecolor=style.INK, linewidth=1.5, zorder=6)
    flagged = cells["flags"].map(daggered)
    axes.plot(cells["batch_size"][flagged] * shift, cells.loc[flagged, quantity.high], marker=_dagger(lift=0.3),
              markersize=28, color=style.INK, markeredgewidth=0, linestyle="none", zorder=7)  # fmt: skip


def _gap(sizes: list[int]) -> float:
    """Smallest distance between neighbouring batch sizes, in powers of two."""
    return float(np.diff(np.log2(sizes)).min()) if len(sizes) > 1 else 1.0


def _pad(sizes: list[int]) -> float:
    """Free room left and right of the batch sizes, in powers of two."""
    return max(0.08 * float(np.log2(sizes[-1] / sizes[0])), 0.5)


def _span(sizes: list[int]) -> float:
    """Length of the x axis, in powers of two."""
    return float(np.log2(sizes[-1] / sizes[0])) + 2 * _pad(sizes)


def _crowded(sizes: list[int], width: float) -> bool:
    """Whether the batch sizes do not fit side by side under a plot `width` inches wide."""
    return _gap(sizes) * width / _span(sizes) < max(style.text_width(str(size), style.BODY) for size in sizes) + 0.06


def _shifts(keys: list, sizes: list[int], inch: float) -> tuple[dict, float]:
    """Factors by which each variant's points stand beside the batch size, and single repeats beside their bar.

    Bars and marks must not hide each other, and the points of one batch size must not reach the next one's.
    """
    keys = list(dict.fromkeys(keys))
    step = min(0.24, MOST_SHIFT * _gap(sizes) / inch / max(len(keys), 2))
    places = {key: 2.0 ** (inch * step * (place - (len(keys) - 1) / 2)) for place, key in enumerate(keys)}
    return places, 2.0 ** (inch * min(max(0.5 * step, 0.055), 0.11))


def _dagger(lift: float = -0.35) -> Path:
    """A dagger as a mark, `lift` of its size above the point: a text would have to dodge other texts."""
    outline = [(-1, 0), (1, 0), (1, 18), (4, 18), (4, 21), (1, 21), (1, 27), (-1, 27), (-1, 21), (-4, 21), (-4, 18),
               (-1, 18), (-1, 0)]  # fmt: skip
    return Path([(x / 40, y / 40 + lift) for x, y in outline])


def _scale(axes: Axes, panel: Panel, inch: float, labelled: bool) -> None:
    sizes, pad = panel.sizes, 2.0 ** _pad(panel.sizes)
    axes.set_xscale("log", base=2)
    axes.set_xlim(sizes[0] / pad, sizes[-1] * pad)
    axes.minorticks_off()
    axes.set_xticks(sizes, [str(size) for size in sizes] if labelled else [""] * len(sizes))
    if not labelled:
        return
    axes.set_xlabel("batch size (log scale)")
    if panel.turned:
        axes.tick_params(axis="x", labelrotation=90)
        _thin(axes, sizes, style.BODY * style.LINE * inch)


def _thin(axes: Axes, sizes: list[int], apart: float) -> None:
    """Leave out labels that would touch the one before; every batch size keeps its tick."""
    kept = [sizes[0]]
    for size in sizes[1:]:
        if np.log2(size / kept[-1]) >= apart:
            kept.append(size)
    axes.set_xticks(sizes, [str(size) if size in kept else "" for size in sizes])


def _strip(page, axes: Axes, panel: Panel, shift: dict, marks: dict, right: float, top: float) -> None:
    """Under the zero line, one row a variant with failures: a cross at each batch size that gave none, words beside."""
    axes.set_ylim(len(panel.failures), 0)
    axes.set_yticks([])
    axes.set_facecolor("#f0f0f0")
    for place, (key, kinds, words) in enumerate(panel.failures):
        color = marks[key[:2]].color
        for status, at in kinds:
            marker = "_" if status == "skipped" else "x"
            axes.scatter(np.array(at) * shift[key], [place + 0.5] * len(at), marker=marker, s=42, color=color,
                         linewidth=2, zorder=3)  # fmt: skip
        y = top + (place + 0.5) * STRIP_ROW
        symbol = "–" if all(status == "skipped" for status, _ in kinds) else "×"
        page.text(right + LEGEND / 2, y, symbol, size=style.BODY, weight="bold", color=color, va="center", ha="center")
        page.text(right + LEGEND, y, words, size=style.SMALL, va="center")


def _legend(axes: Axes, panel: Panel, marks: dict, width: float, ring: bool) -> None:
    handles = []
    for key, words in panel.legend:
        mark = marks[key[:2]]
        handles.append(Line2D([], [], color=mark.color, marker=mark.marker, markersize=7.5, linewidth=1.6, label=words,
                              linestyle=(0, mark.dashes) if mark.dashes else "-"))  # fmt: skip
    if not handles:
        return
    if ring:
        handles.append(Line2D([], [], color=style.INK, marker="o", markersize=14, markeredgewidth=1.5, linestyle="none",
                              markerfacecolor="none", label="best batch size"))  # fmt: skip
    if (panel.runs["repeat"].notna() & ~usable(panel.runs)).any():
        handles.append(Line2D([], [], color=style.INK, marker="o", markersize=4.5, markerfacecolor="white",
                              linestyle="none", label="repeat set aside"))  # fmt: skip
    if bears(panel.summary, NOT_REACHED).any():
        handles.append(Line2D([], [], color=style.INK, marker="s", markersize=7.5, markerfacecolor="white",
                              linestyle="none", label=NOT_REACHED))  # fmt: skip
    if panel.summary["flags"].map(daggered).any():
        handles.append(Line2D([], [], color=style.INK, marker=_dagger(), markersize=10, markeredgewidth=0,
                              linestyle="none", label="flagged, see below"))  # fmt: skip
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1 + 0.1 / width, 1), frameon=False, fontsize=style.SMALL,
        borderaxespad=0, borderpad=0, labelspacing=0.8, handlelength=(LEGEND - 0.2) * 72 / style.SMALL,
        handletextpad=0.1 * 72 / style.SMALL,
    )  # fmt: skip
