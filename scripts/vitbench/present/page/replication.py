"""The published comparisons beside our own."""

from __future__ import annotations

import math
from collections import Counter

import pandas as pd

from vitbench.present import style
from vitbench.present.labels import brackets, number, number_of
from vitbench.present.page import axes
from vitbench.present.page.parts import (
    Dot,
    Entry,
    Key,
    Section,
    Span,
    Strip,
    StripRow,
    grid,
    of_numbers,
    of_words,
)
from vitbench.series.replication import NOT_MEASURED, VERDICTS
from vitbench.verdicts import JUDGED


def replication(table: pd.DataFrame) -> Section | None:
    """Our ratios beside the published ones, and what was not measured here."""
    if table.empty:
        return None
    counts = Counter(table["verdict"])
    found = f"{len(table)} published comparisons: " + ", ".join(
        f"{one}: {counts[one]}" for one in VERDICTS if counts[one]
    )
    measured = table[table["ours"].notna()]
    parts = []
    if len(measured):
        values = measured[["ours", "ours_low", "ours_high", "published", "published_low", "published_high"]]
        axis = axes.doubling(values.to_numpy(dtype=float).ravel())
        parts.append(
            Strip(
                caption="Our ratio and theirs, each of one side's own hardware",
                axis=axis,
                label="times as fast (log scale)",
                head="comparison",
                columns=("ours", "published", "verdict"),
                rows=tuple(_beside(row, axis) for row in measured.itertuples(index=False)),
                heavy=axis.at(1),
                key=(Key("dot", style.OURS, "ours"), Key("diamond", style.THEIRS, "published", hollow=True)),
            )
        )
    columns = {
        "kind": of_words("kind"),
        "part": of_words("part"),
        "candidate": of_words("candidate"),
        "baseline": of_words("baseline"),
        "data set": of_words("dataset"),
        "published": of_numbers("published", number),
        "ours": of_numbers("ours", number),
        "verdict": (False, lambda row: Entry(row.verdict, warns=row.verdict == "disagrees")),
        "why": of_words("reason"),
        "to measure it": of_words("to_run"),
    }
    parts.append(
        grid(
            "Every published comparison beside our records",
            table.itertuples(index=False),
            columns,
            folded="Every published comparison, and what it would take to measure it",
        )
    )
    return Section(
        "replication",
        "Beside the published numbers",
        tuple(parts),
        found=f"{found}.",
        read="Each ratio is of two of our cells or of two of their runs; none has a time of each. Dot and whisker: ours"
        " (below five blocks a bar, the range). Hollow diamond and thin whisker: the published ratio, with the noise of"
        " single runs. A comparison agrees where both say that the same side is faster; sizes may differ, for the"
        " hardware does.",
        wrong=f'"{NOT_MEASURED}" says nothing for or against the article. Their labels were never compared, and their'
        " noise is estimated from accidental repeats.",
    )


def _beside(row, axis: axes.Axis) -> StripRow:
    candidate, baseline = row.our_candidate or row.candidate, row.our_baseline or row.baseline
    theirs = f"published: {number(row.published)}{brackets(row.published_low, row.published_high)}"
    ours = f"ours: {number(row.ours)}{brackets(row.ours_low, row.ours_high)}, n = {number_of(row.blocks)}"
    decided = row.our_verdict in JUDGED
    return StripRow(
        name=candidate,
        under=f"vs {baseline} · part {row.part}, {row.environment}, {row.dataset}",
        group=row.kind,
        spans=tuple(
            Span(axis.at(low), axis.at(high), color, tip, thin=thin)
            for low, high, color, tip, thin in (
                (row.published_low, row.published_high, style.THEIRS, theirs, True),
                (row.ours_low, row.ours_high, style.OURS, ours, not decided),
            )
            if math.isfinite(low) and math.isfinite(high)
        ),
        dots=(Dot(axis.at(row.published), style.THEIRS, theirs, "diamond", hollow=True),)
        + ((Dot(axis.at(row.ours), style.OURS, ours),) if decided else ()),
        cells=(ours.removeprefix("ours: "), theirs.removeprefix("published: "), row.verdict),
    )
