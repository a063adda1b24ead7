"""The step chart: from each framework's setting of the article to its fastest variant, by the steps measured."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from vitbench.cells import LEAST_BLOCKS
from vitbench.frameworks import title
from vitbench.present import style
from vitbench.present.charts import ladder
from vitbench.present.labels import hardware_of, interval, name_of, number, percentage
from vitbench.verdicts import CLAIMS

HEADINGS = ("this step [95%]", "in all", "images/s", "labels as the baseline's")


def draw(steps: pd.DataFrame, context: dict) -> Figure:
    """Draw the table `steps`."""
    marks = style.marks_of(context, zip(steps["framework"], steps["variant"], strict=True))
    groups = [
        (f"{title(framework)}, {hardware_of(way.iloc[0])}", [_rung(row, marks) for row in way.itertuples(index=False)])
        for (framework, _, _), way in steps.groupby(["framework", "device", "workers"], sort=False)
    ]
    return ladder.draw(
        groups,
        HEADINGS,
        "times as fast as the first step (log scale)",
        "From the article's setting to the fastest, as few changes a step as were measured:"
        f" {style.dataset_title(context, 'full')}",
        _caption(steps, context),
        joined=True,
        nothing="No variant of the full run can be compared with the baseline.",
    )


def _rung(row, marks: dict[tuple[str, str], style.Mark]) -> ladder.Rung:
    return ladder.Rung(
        name=name_of(row),
        under=row.changed or f"where it begins ({row.precision or 'precision?'})",
        ratio=row.total,
        low=row.total_low,
        high=row.total_high,
        mark=marks[row.framework, row.variant],
        # A step that its blocks do not decide, or whose whiskers are a range; the first is no step.
        hollow=row.step > 0 and (row.verdict not in CLAIMS or row.total_blocks < LEAST_BLOCKS),
        cells=(interval(row.speedup, row.low, row.high, row.blocks), number(row.total), number(row.throughput),
               percentage(row.agreement)),
    )  # fmt: skip


def _caption(steps: pd.DataFrame, context: dict) -> list[str]:
    how = (
        "A framework that the article did not run begins at its first variant in the configuration. Geometric means"
        " over the blocks of ratios of wall times over the same images, with 95% intervals (t, paired by"
        " block; a range below 5 blocks). Each step leads to a variant that was measured; the words under a name are"
        " what changed. Hollow: the step's own ratio is not decided, or its whiskers are a range of fewer than 5"
        " blocks. Many steps are looked at, and the fastest was chosen by these repeats: no verdict is corrected for"
        " that."
    )
    still = steps.groupby(["framework", "device", "workers"])["step"].max() == 0
    alone = [f"{title(framework)} ({device.upper()})" for framework, device, _ in still[still].index]
    note = f"No measured variant is faster than where it begins: {', '.join(alone)}." if alone else ""
    return [how, note, style.origin(context)]
