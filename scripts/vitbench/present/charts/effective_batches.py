"""The chart of effective batches: for each batch size asked for, a histogram of the batches, observed or computed."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitbench.analysis.batches import counts
from vitbench.cells import VARIANT
from vitbench.present import style
from vitbench.present.labels import DEVICES, several, variant_name

PANEL, HEIGHT, GAP = 1.0, 0.62, 0.08  # inches
MOST_BARS = 4
MISSED = "#FBE3D6"


def draw(table: pd.DataFrame, context: dict) -> Figure:
    """Draw the table `effective_batches`: a row a variant on its hardware, a column a batch size, the full run last."""
    title = "Batches that the engines got, by the batch size that was asked for"
    sample, full = (table[table["dataset"] == role] for role in ("sample", "full"))
    sizes = sorted(sample["batch_size"].dropna().unique())
    rows = list(table.groupby(VARIANT, sort=False))
    with style.theme():
        if not rows:
            page = style.Page(8.0, 1.6, title, [style.origin(context)])
            axes = page.axes(style.MARGIN, page.top, 8.0 - 2 * style.MARGIN, 1.4)
            axes.set_xticks([])
            style.say(axes, "No repeat says which batches its engine got.")
            return page.figure
        words = [_words(key, cells) for key, cells in rows]
        left = max(style.text_width(line, style.BODY if not at else style.SMALL, "normal" if at else "bold")
                   for lines in words for at, line in enumerate(lines)) + 0.25  # fmt: skip
        columns = [*sizes, *(["full"] if len(full) else [])]
        edges = [style.MARGIN + left + at * (PANEL + GAP) + (GAP * 3 if column == "full" else 0)
                 for at, column in enumerate(columns)]  # fmt: skip
        heights = [max(HEIGHT + 0.3, 0.19 * len(lines) + 0.12) for lines in words]
        width = max(edges[-1] + PANEL + style.MARGIN, 7.0)
        page = style.Page(width, 0.55 + sum(heights), title, _caption(table, context))
        if sizes:
            page.text(edges[0], page.top, "sample, batch size asked for", size=style.SMALL, color=style.FAINT_INK)
        for edge, column in zip(edges, columns, strict=True):
            head = "full run" if column == "full" else f"{column:.0f}"
            page.text(edge + PANEL / 2, page.top + 0.2, head, weight="bold", ha="center")
        top = page.top + 0.55
        for (_, cells), lines, height in zip(rows, words, heights, strict=True):
            for at, line in enumerate(lines):
                page.text(style.MARGIN, top + at * 0.19, line, size=style.SMALL if at else style.BODY,
                          weight="normal" if at else "bold", color=style.FAINT_INK if at else style.INK)  # fmt: skip
            for row in cells.itertuples(index=False):
                if row.dataset == "full" or row.batch_size in sizes:
                    edge = edges[columns.index("full" if row.dataset == "full" else row.batch_size)]
                    axes = page.axes(edge, top, PANEL, HEIGHT)
                    _histogram(axes, row)
                    if row.dataset == "full":
                        axes.text(1, 1.02, f"for {row.batch_size:.0f}", transform=axes.transAxes, ha="right",
                                  va="bottom", fontsize=7.5, color=style.FAINT_INK)  # fmt: skip
            top += height
        return page.figure


def _words(key: tuple, cells: pd.DataFrame) -> list[str]:
    """Who, and how its partitions fill the slots: a line a data set, or several where the batch size changes that."""
    framework, variant, device, workers = key
    cluster = f", {workers:.0f} workers" if workers != 1 else ""
    lines = [f"{variant_name(framework, variant)}, {DEVICES.get(device, device)}{cluster}"]
    kinds = cells[["dataset", "images", "partitions", "slots", "waves", "wave_factor", "partition_rows"]]
    if known := ", ".join(dict.fromkeys(cells["batches"][cells["batches"] != ""])):
        lines.append(f"batches {known}")
    for row in kinds.drop_duplicates().head(4).itertuples(index=False):
        lines.append(f"{row.dataset}: {row.images:.0f} images")
        if math.isfinite(row.partitions):
            rows = counts(row.partition_rows)
            of = f" of {_span(rows)} rows" if rows else ""
            lines[-1] += f", {several(row.partitions, 'partition')}{of}, {several(row.slots, 'slot')}"
            lines[-1] += f", {several(row.waves, 'wave')}, factor {row.wave_factor:.2f}"
    return lines


def _span(rows: dict[int, int]) -> str:
    return str(min(rows)) if len(rows) == 1 else f"{min(rows)} to {max(rows)}"


def _histogram(axes: Axes, row) -> None:
    """Bars for how many batches of each size; over a bar its number, under it the size; tinted where not reached."""
    got = counts(row.effective_batch_sizes)
    axes.set_yticks([])
    axes.grid(False)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    if row.reached == "false":
        axes.set_facecolor(MISSED)
    if not got:
        axes.set_xticks([])
        axes.text(0.5, 0.5, "not known", transform=axes.transAxes, ha="center", va="center", fontsize=style.SMALL,
                  color=style.FAINT_INK)  # fmt: skip
        return
    bars = _bars(got)
    middle, half = (len(bars) - 1) / 2, max(len(bars), 3) / 2 + 0.1
    axes.set_xlim(middle - half, middle + half)
    axes.set_ylim(0, max(number for _, number in bars) * 1.6)
    color = style.VERMILION if row.reached == "false" else style.BLUE
    axes.bar(range(len(bars)), [number for _, number in bars], width=0.6, color=color, zorder=2)
    for at, (_, number) in enumerate(bars):
        axes.text(at, number, f"{number}", ha="center", va="bottom", fontsize=7.5)
    axes.set_xticks(range(len(bars)), [size for size, _ in bars], fontsize=7.5)
    axes.tick_params(axis="x", pad=1, length=0)


def _bars(got: dict[int, int]) -> list[tuple[str, int]]:
    """(size or span of sizes, number of batches), at most MOST_BARS of them."""
    groups = [list(map(int, part)) for part in np.array_split(list(got), min(len(got), MOST_BARS))]
    return [(_span({size: 1 for size in group}).replace(" to ", "–"), sum(got[size] for size in group))
            for group in groups]  # fmt: skip


def _caption(table: pd.DataFrame, context: dict) -> list[str]:
    missed = table[table["reached"] == "false"]
    how = (
        "Each panel: how many batches (number over the bar) of which size (under it) one warm pass of a repeat had; in"
        f" {(table['alike'] == table['repeats']).sum()} of {len(table)} cells all repeats had the same. Observed:"
        " counted where the model is called. Computed: from the rows of the partitions, since Spark NLP batches inside"
        " a partition and does not tell what its engine gets."
        " A slot works on one partition at a time; factor: partitions / slots, divided by the waves that this takes:"
        " 1 means that no slot waits idle in the last wave."
    )
    note = ""
    if len(missed):
        note = (
            f"Tinted: no batch had the size that was asked for ({several(len(missed), 'cell')}):"
            f" {'; '.join(dict.fromkeys(missed['reason']))}. Such cells are repeats of a smaller batch size."
        )
    return [how, note, style.origin(context)]
