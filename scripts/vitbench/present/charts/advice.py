"""The advice chart: for each aim the best of what was measured and who comes next, over the baseline."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from vitbench.analysis.advice import BASELINE, MEMORY
from vitbench.cells import LEAST_BLOCKS, Cell
from vitbench.present import style
from vitbench.present.charts import ladder
from vitbench.present.labels import interval, name_of, number, number_of, part_of_machine, percentage, variant_of
from vitbench.verdicts import CLAIMS

HEADINGS = ("ratio [95%]", "RAM at most, MB", "images/s", "labels as the baseline's", "chosen from")


def draw(advice: pd.DataFrame, context: dict) -> Figure:
    """Draw the table `advice`."""
    found = advice[advice["candidate"] != ""]
    marks = style.marks_of(context, zip(found["framework"], found["variant"], strict=True))
    groups = [
        (f"{row.objective}, {part_of_machine(row)}", [_rung(row, marks[row.framework, row.variant])])
        for row in found.itertuples(index=False)
    ]
    return ladder.draw(
        groups,
        HEADINGS,
        "times as fast, or as little memory, as the baseline (log scale)",
        f"What to run on this machine: {style.dataset_title(context, 'full')}",
        _caption(found, context),
        joined=False,
        nothing="Nothing was measured on the full data set that advice could rest on.",
    )


def _rung(row, mark: style.Mark) -> ladder.Rung:
    of_memory = ("memory_ratio", "memory_low", "memory_high", "memory_blocks")
    names = of_memory if row.objective == MEMORY else ("speedup", "low", "high", "blocks")
    ratio, low, high, blocks = (getattr(row, name) for name in names)
    # Memory is told apart by its own interval; the verdict is that on time.
    decided = low > 1 or high < 1 if row.objective == MEMORY else row.verdict in CLAIMS
    hollow = blocks < LEAST_BLOCKS or not decided
    if row.verdict == BASELINE:
        ratio, low, high, hollow = 1.0, math.nan, math.nan, False
    second = f"next: {variant_of(Cell.parse(row.runner_up))}" if row.runner_up else "nothing else may serve"
    return ladder.Rung(
        name=name_of(row),
        under=f"{row.precision or 'precision?'}; {second}",
        ratio=ratio,
        low=low,
        high=high,
        mark=mark,
        hollow=hollow,
        cells=(interval(ratio, low, high, blocks), number_of(row.peak_memory_mb), number(row.throughput),
               percentage(row.agreement), number_of(row.candidates)),
    )  # fmt: skip


def _caption(found: pd.DataFrame, context: dict) -> list[str]:
    how = (
        "Each row is the best of the variants whose labels passed the gate (their number is in the last column), over"
        " the baseline; for least memory the ratio is that of upper bounds of RAM: the sum of all processes' high-water"
        " marks, in which pages that they share count once a process (not of a GPU). Whiskers: 95% interval (t, paired"
        " by block). Hollow: the row's own ratio is not told from 1, or has a range of fewer than 5 blocks in place of"
        " an interval. The best was chosen by these very repeats, so its ratio is a little too good."
    )
    baselines = list(dict.fromkeys(found["baseline"]))
    return [how, f"Baseline: {', '.join(baselines)}." if baselines else "", style.origin(context)]
