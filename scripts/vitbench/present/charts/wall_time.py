"""The wall-time chart: seconds of the full run at each variant's best batch size, and of the sample by batch size."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import seaborn
from matplotlib.figure import Figure

from vitbench.analysis.summary import usable
from vitbench.present import style
from vitbench.present.charts import panels
from vitbench.present.labels import (
    DEVICES,
    aside_note,
    brackets,
    count,
    failure_notes,
    flag_notes,
    hardware_of,
    number,
    size_words,
    variant_of,
)

SECONDS = panels.Quantity("median", "low", "high", "wall_seconds", "wall time, seconds")
ROW, BELOW, HEAD = 0.42, 0.62, 0.3
MARGIN_HEADERS = ("median [range], s", "cold, s")
TITLE = "Wall time: the full run at each variant's best batch size, the sample by batch size"


def draw(summary: pd.DataFrame, runs: pd.DataFrame, context: dict) -> Figure:
    """Draw both data sets: the upper panel is `full`, the panels under it (one a device) are `sample`."""
    full, sample = (summary[summary["dataset"] == role] for role in ("full", "sample"))
    marks = style.marks_of(context, zip(summary["framework"], summary["variant"], strict=True))
    names = [_name(row) for row in full.itertuples(index=False)]
    numbers = [_numbers(row) for row in full.itertuples(index=False)]
    left = max([panels.LEFT] + [style.text_width(name, style.SMALL) + 0.15 for name in names])
    columns = [
        max(
            [style.text_width(header, style.SMALL, "bold")]
            + [style.text_width(row[at], style.SMALL) for row in numbers]
        )
        for at, header in enumerate(MARGIN_HEADERS)
    ]
    plot = left - panels.LEFT + panels.PLOT  # the lower panels reach under the names of the upper one
    with style.theme():
        parts = panels.prepare(sample, runs[runs["dataset"] == "sample"], {}, plot) if len(sample) else []
        right = max([sum(columns) + 0.45, *(part.right for part in parts)])
        full_height = max(ROW * len(full), 0.9)
        body = HEAD + full_height + BELOW + (sum(0.1 + panels.room(part) for part in parts) or 0.9)
        width = style.MARGIN * 2 + left + panels.PLOT + right
        page = style.Page(width, body, TITLE, _caption(summary, runs, context))
        _full(page, left, full_height, full, names, numbers, columns, runs[runs["dataset"] == "full"], marks, context)
        top = page.top + HEAD + full_height + BELOW + 0.1
        for part in parts:
            where = style.dataset_title(context, "sample")
            title = f"Sample by batch size: {where}, {DEVICES.get(part.device, part.device)}"
            panels.by_batch_size(page, top, part, SECONDS, marks, title=title, width=plot)
            top += panels.room(part) + 0.1
        if not parts:
            axes = page.axes(style.MARGIN + left, top, panels.PLOT, 0.7)
            axes.set_xticks([])
            style.say(axes, "There is no measurement of the batch sweep.")
        return page.figure


def _name(row) -> str:
    return f"{variant_of(row)}, {hardware_of(row)}, {size_words(row.batch_size)}"


def _numbers(row) -> tuple[str, str]:
    if row.status != "ok":
        return "–", "–"
    dagger = " †" if row.flags else ""
    if not row.repeats:
        return f"all set aside{dagger}", "–"
    return f"{number(row.median)}{brackets(row.low, row.high, number)}{dagger}", number(row.cold_median)


def _full(page, left, height, full, names, numbers, columns, runs, marks, context) -> None:
    """The upper panel: one row a variant, dot and range of the warm wall time, the cold pass hollow, numbers beside."""
    plot_left, top = style.MARGIN + left, page.top + HEAD
    page.text(style.MARGIN, page.top, f"Full run: {style.dataset_title(context, 'full')}", weight="bold")
    axes = page.axes(plot_left, top, panels.PLOT, height)
    axes.set_ylim(max(len(full), 1), 0)
    axes.set_yticks([])
    measured = full[full["status"] == "ok"]
    if measured.empty:
        axes.set_xticks([])
        reason = "no cell of the full run was measured" if len(full) else "the full run has not been measured"
        style.say(axes, f"No wall time: {reason}.")
        return
    axes.set_xlim(0, max(measured["high"].max(), measured["cold_median"].max(skipna=True) or 0, 0) * 1.06)
    axes.set_xlabel("wall time, seconds (from zero)")
    axes.grid(False, axis="y")
    edges = [plot_left + panels.PLOT + 0.2 + columns[0], plot_left + panels.PLOT + 0.45 + sum(columns)]
    for edge, header in zip(edges, MARGIN_HEADERS, strict=True):
        page.text(edge, top - 0.06, header, size=style.SMALL, weight="bold", ha="right", va="bottom")
    for place, row in enumerate(full.itertuples(index=False)):
        y, mark = place + 0.5, marks[row.framework, row.variant]
        row_y = top + height * y / len(full)
        page.text(plot_left - 0.1, row_y, names[place], size=style.SMALL, ha="right", va="center")
        for edge, text in zip(edges, numbers[place], strict=True):
            page.text(edge, row_y, text, size=style.SMALL, ha="right", va="center")
        axes.axhline(y, color="#e4e4e4", linewidth=0.8, zorder=0)
        if row.status != "ok":
            axes.text(0.02, y, f"× {row.status}", transform=axes.get_yaxis_transform(), va="center", color=mark.color,
                      fontsize=style.SMALL, weight="bold")  # fmt: skip
            continue
        single = runs[
            (runs["framework"] == row.framework) & (runs["variant"] == row.variant) & (runs["device"] == row.device)
            & (runs["workers"] == row.workers) & (runs["batch_size"] == row.batch_size) & (runs["status"] == "ok")
        ]  # fmt: skip
        dots = pd.DataFrame({"x": single["wall_seconds"], "y": y + 0.24})
        counted = usable(single)
        seaborn.scatterplot(dots[counted], x="x", y="y", color=mark.color, s=13, alpha=0.75, linewidth=0, ax=axes,
                            legend=False)  # fmt: skip
        style.hollow(axes, dots["x"][~counted], dots["y"][~counted], mark._replace(marker="o"), 20)
        if not row.repeats:
            continue
        axes.plot([row.low, row.high], [y, y], color=mark.color, linewidth=2, marker="|", markersize=11,
                  markeredgewidth=2, zorder=3)  # fmt: skip
        one = pd.DataFrame({"x": [row.median], "y": [y]})
        seaborn.scatterplot(one, x="x", y="y", color=mark.color, marker=mark.marker, s=62, ax=axes, legend=False,
                            zorder=5)  # fmt: skip
        if math.isfinite(row.cold_median):
            style.hollow(axes, [row.cold_median], [y], mark, 60)
    axes.set(xlabel="wall time, seconds (from zero)", ylabel="")


def _caption(summary: pd.DataFrame, runs: pd.DataFrame, context: dict) -> list[str]:
    measured = summary[summary["status"] == "ok"]
    how = (
        "Wall time: from paths known, model loaded and session up to every image labelled in the driver. Mark: median"
        f" of n = {count(measured['repeats'].replace(0, np.nan))} repeats (timed passes, fresh processes); bar: range"
        " of the repeats; small dots: single repeats; hollow mark, above: median of the cold pass (the first)."
    )
    notes = [aside_note(measured), *failure_notes(runs), *flag_notes(measured, hollow=True)]
    return [how if len(measured) else "", *notes, style.origin(context)]
