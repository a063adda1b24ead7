"""The sweep chart: throughput against batch size on the sample, one line a variant, a panel a device."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vitbench.present import style
from vitbench.present.charts import panels
from vitbench.present.labels import aside_note, count, failure_notes, flag_notes, number

THROUGHPUT = panels.Quantity("throughput", "throughput_low", "throughput_high", "throughput", "throughput, images/s")


def draw(summary: pd.DataFrame, runs: pd.DataFrame, best: pd.DataFrame, context: dict) -> Figure:
    """Draw the rows of the data set `sample`; `best` is the table `best_batch_size`."""
    sample, repeats = summary[summary["dataset"] == "sample"], runs[runs["dataset"] == "sample"]
    marks = style.marks_of(context, zip(summary["framework"], summary["variant"], strict=True))
    title = f"Throughput by batch size: {style.dataset_title(context, 'sample')}"
    chosen = {
        (row.framework, row.variant, row.device, row.workers): row.kept if pd.notna(row.kept) else row.batch_size
        for row in best.itertuples(index=False)
    }
    with style.theme():
        if sample.empty:
            page = style.Page(8.0, 1.6, title, [style.origin(context)])
            axes = page.axes(style.MARGIN, page.top, 8.0 - 2 * style.MARGIN, 1.4)
            axes.set_xticks([])
            style.say(axes, "There is no measurement of the batch sweep.")
            return page.figure
        parts = panels.prepare(sample, repeats, _words(sample, chosen))
        right = max(part.right for part in parts)
        width = style.MARGIN * 2 + panels.LEFT + panels.PLOT + right
        page = style.Page(width, sum(map(panels.room, parts)), title, _caption(sample, repeats, context))
        top = page.top
        for part in parts:
            ringed = {(f, v, w): size for (f, v, device, w), size in chosen.items() if device == part.device}
            panels.by_batch_size(page, top, part, THROUGHPUT, marks, best=ringed)
            top += panels.room(part)
        return page.figure


def _words(sample: pd.DataFrame, chosen: dict) -> dict:
    """What the legend says under a variant's name: its best batch size and the throughput there."""
    words = {}
    for row in sample[sample["status"] == "ok"].itertuples(index=False):
        key = (row.framework, row.variant, row.device, row.workers)
        if chosen.get(key) == row.batch_size:
            words[key] = f"best at {row.batch_size:.0f}: {number(row.throughput)} images/s"
    return words


def _caption(sample: pd.DataFrame, runs: pd.DataFrame, context: dict) -> list[str]:
    measured = sample[sample["status"] == "ok"]
    how = (
        f"Mark: median of n = {count(measured['repeats'].replace(0, np.nan))} repeats (fresh processes, timed passes);"
        " bar: range of the repeats; small dots: single repeats. Points of one batch size stand side by side."
        " Ring: best batch size, the one that the full run uses."
    )
    notes = [aside_note(measured), *failure_notes(runs), *flag_notes(measured, hollow=True)]
    return [how if len(measured) else "", *notes, style.origin(context)]
