"""The page of a search: what was tried, what won, and what was left of it on fresh repeats."""

from __future__ import annotations

from typing import Any

import pandas

from vitbench.analysis.pairs import CONTROLS
from vitbench.present.labels import hardware_of, interval, name_of, number, number_of, percentage, several
from vitbench.present.markdown import grid, wrapped

HOW_TO_READ = (
    "A trial is one repeat on the sample, in a process of its own. Each framework had as many, drawn at random from its"
    " settings and batch sizes (the baseline was tried at all of its own, too); the usable trial with the highest"
    " throughput won. The best of many looks too good: what counts is the comparison below, of fresh repeats on the"
    " full data set, in blocks with the baseline. Winners are set against each other only where each has a ratio to the"
    " baseline there: who gave other labels has none."
)
# Why a trial of the baseline that was made for its batch size alone cannot win.
NOT_DRAWN = "another batch size of the baseline, not drawn"


def page(trials: pandas.DataFrame, speedup: pandas.DataFrame, pairs: pandas.DataFrame, context: dict[str, Any]) -> str:
    """The page as Markdown.

    Args:
        trials: that table.
        speedup: of the confirmation.
        pairs: winners against each other: baseline, candidate, ratio, low, high, verdict, blocks.
    """
    parts = ["# What the search found", "", f"{context['machine_text']}; {several(len(trials), 'trial')}.", ""]
    parts += ["## Trials", "", *_trials(trials), "", "## Confirmed on fresh repeats", ""]
    full = speedup[(speedup.dataset == "full") & (speedup.family != CONTROLS)]
    parts += [*_confirmed(full), "", "## The winners against each other, after as many trials each", ""]
    parts += [*_pairs(pairs), ""]
    parts += ["## How to read it", "", HOW_TO_READ, ""]
    return wrapped("\n".join(parts))


def _trials(trials: pandas.DataFrame) -> list[str]:
    ordered = trials.sort_values("throughput", ascending=False, kind="stable")
    rows = [
        [row.framework, name_of(row), hardware_of(row), number(row.throughput), percentage(row.agreement),
         "yes" if row.usable and row.competing else "no", row.reason or ("" if row.competing else NOT_DRAWN)]
        for row in ordered.itertuples()
    ]  # fmt: skip
    return grid(["framework", "setting", "device", "images/s", "labels as the baseline's", "may win", "why not"], rows)


def _confirmed(full: pandas.DataFrame) -> list[str]:
    rows = [
        [row.candidate, row.baseline, interval(row.speedup, row.low, row.high, row.blocks), row.verdict,
         number_of(row.blocks), row.fairness, percentage(row.agreement), row.reason or ""]
        for row in full.itertuples()
    ]  # fmt: skip
    heads = ["winner", "baseline", "times as fast", "verdict", "blocks", "terms", "labels as the baseline's", "reason"]
    return grid(heads, rows) if rows else ["Nothing won over the baseline."]


def _pairs(pairs: pandas.DataFrame) -> list[str]:
    rows = [
        [
            row.candidate,
            row.baseline,
            interval(row.ratio, row.low, row.high, row.blocks),
            row.verdict,
            number_of(row.blocks),
        ]
        for row in pairs.itertuples()
    ]
    heads = ["winner", "against", "times as fast", "verdict", "blocks"]
    return grid(heads, rows) if rows else ["No two winners have a ratio to the baseline that can be set side by side."]
