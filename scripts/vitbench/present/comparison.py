"""Two sets of records in words: the line that says what changed, the page, and the tables across machines."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas

from vitbench.analysis.machines import Campaign
from vitbench.analysis.sets import APPEARED, CANARY, CELL, CONTROLS, VANISHED, VERDICTS
from vitbench.cells import SIZES, role_of
from vitbench.present.labels import brackets, number, number_of, percentage
from vitbench.present.markdown import grid, wrapped
from vitbench.verdicts import FASTER, PARITY_FAILED, SLOWER

GROUPS = {"full": "Full runs, each at its best batch size", "sample": "Sweep, at the same batch size"}
GROUPS |= {SIZES: "Other sizes of the data set, each at its best batch size"}
OF_THE_MACHINE = "The same work in both sets"
# Verdicts of which the rows are named in the lines that a run ends with.
TOLD = (SLOWER, FASTER, PARITY_FAILED, VANISHED, APPEARED)

HOW_TO_READ = (
    "A ratio is that of wall times, baseline / candidate, over the same images: above 1 the candidate is faster. The "
    "two sets were measured at different times, so no block of one belongs to a block of the other: the ratio is the "
    "exponential of the difference of the mean log seconds of a repeat, the interval is Welch's t at 95%. `faster` and "
    "`slower` need an interval that excludes 1, a ratio beyond the margin, and p < 0.05 after Holm over all cells; "
    "`equivalent` needs a 90% interval within the margin (not corrected for their number: each errs in at most 5%)."
)
WRONG_IF = (
    "What would make it wrong: whatever differs between the two days and not within one. No interval holds it, since "
    "each set saw one day. Two things watch for it. The canary is work that no version of a framework changes; where "
    "it came out faster or slower, no claim stands, and a shift of it within the margin still is a part of every "
    "ratio. And where all cells moved alike, suspect the machine. The surest check is the baseline measured again, "
    "compared with itself. The number of repeats is taken for fixed: who adds blocks after a comparison and compares "
    "again has looked twice."
)


def counts(table: pandas.DataFrame) -> dict[str, int]:
    """Verdict → number of cells, of those verdicts that there are, in their order."""
    cells = table[table.kind == CELL]
    return {verdict: int((cells.verdict == verdict).sum()) for verdict in VERDICTS if (cells.verdict == verdict).any()}


def answer(table: pandas.DataFrame, context: dict[str, Any]) -> str:
    """One sentence: how many cells of the candidate came out how, against the baseline."""
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts(table).items())
    sides = f"{context['candidate']['name']} against {context['baseline']['name']}"
    label = " on other hardware" if context["other_machine"] else ""
    return f"{sides}{label}: of {(table.kind == CELL).sum()} cells {said or 'none'}."


def lines(table: pandas.DataFrame, context: dict[str, Any]) -> list[str]:
    """What a comparison ends with: the answer, the doubts, and each cell that changed, the largest change first."""
    cells = table[(table.kind == CELL) & table.verdict.isin(TOLD)]
    size = cells.speedup.map(lambda ratio: abs(math.log(ratio)) if ratio > 0 else math.inf)
    told = [
        f"{row.verdict}: {row.candidate or row.baseline} on {row.dataset}" + _ratio_words(row)
        for row in cells.assign(size=size).sort_values("size", ascending=False, kind="stable").itertuples()
    ]
    return [answer(table, context), *context["doubts"], *told]


def _ratio_words(row: Any) -> str:
    if not math.isfinite(row.speedup):
        return f" ({row.reason})" if row.reason else ""
    return f", {number(row.speedup)} times as fast{brackets(row.low, row.high)}"


def judged(table: pandas.DataFrame, fail_on: Iterable[str]) -> list[str]:
    """A line a verdict of `fail_on` that some cell has."""
    found = counts(table)
    return [f"{found[verdict]} cells {verdict}" for verdict in dict.fromkeys(fail_on) if verdict in found]


def page(table: pandas.DataFrame, context: dict[str, Any]) -> str:
    """The comparison as a page of Markdown, beside the chart `compare.svg`."""
    parts = ["# What changed", "", f"**{answer(table, context)}**", ""]
    parts += [f"- {doubt}" for doubt in context["doubts"]] + [""] * bool(context["doubts"])
    parts += ["![ratio of each cell with its interval](compare.svg)", "", "## The two sets", "", *_sets(context), ""]
    if context["notes"]:
        parts += ["What differs besides:", "", *(f"- {note}" for note in context["notes"]), ""]
    cells = table[table.kind == CELL]
    for role, title in GROUPS.items():
        rows = cells[cells.dataset.map(role_of) == role]
        if len(rows):
            parts += [f"## {title}", "", *_cells(rows), ""]
    same = table[table.kind.isin([CANARY, CONTROLS])]
    if len(same):
        parts += [f"## {OF_THE_MACHINE}", "", *_same(same), ""]
    tests = int(cells.p_holm.notna().sum())
    parts += ["## How to read it", "", HOW_TO_READ, "", f"Corrected together: {tests} cells. {_smallest(cells)}", ""]
    parts += [WRONG_IF, ""]
    return wrapped("\n".join(parts))


def _smallest(cells: pandas.DataFrame) -> str:
    known = cells.smallest_detectable.dropna()
    note = "Smallest change: what a cell that alone has changed would need to be called so in 80% of cases, after Holm."
    if known.empty:
        return note
    return f"{note} Here that is {percentage(known.min() - 1)} to {percentage(known.max() - 1)}."


def _sets(context: dict[str, Any]) -> list[str]:
    wanted = {"name": "set", "machine": "machine", "protocol": "protocol", "model": "model", "datasets": "data sets",
              "first": "first repeat", "last": "last repeat", "records": "records", "vitbench": "vitbench",
              "checked": "record checker"}  # fmt: skip
    sides = (context["baseline"], context["candidate"])
    return grid(
        ["", "baseline", "candidate"],
        [[title, *(str(side.get(key) or "–") for side in sides)] for key, title in wanted.items()],
    )


def _cells(rows: pandas.DataFrame) -> list[str]:
    headings = ["cell", "verdict", "ratio [95%]", "repeats", "images/s", "p (Holm)", "smallest change", "A/A noise",
                "labels equal", "remark"]  # fmt: skip
    return grid(headings, [_cell(row) for row in rows.itertuples()])


def _cell(row: Any) -> list[str]:
    name = row.candidate or row.baseline
    if row.candidate and row.baseline and row.candidate != row.baseline:
        name = f"{row.candidate} (baseline {row.baseline.rpartition('/')[2]})"
    if role_of(row.dataset) == SIZES:
        name += f" on {row.dataset}"
    return [
        name,
        row.verdict,
        _interval(row),
        _repeats(row),
        f"{number(row.baseline_throughput)} → {number(row.candidate_throughput)}",
        _chance(row.p_holm),
        percentage(row.smallest_detectable - 1),
        percentage(row.floor - 1),
        percentage(row.agreement),
        row.reason,
    ]


def _chance(p: float) -> str:
    if not math.isfinite(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _same(rows: pandas.DataFrame) -> list[str]:
    headings = ["what", "verdict", "ratio [95%]", "repeats or blocks", "remark"]
    told = [[_what(row), row.verdict, _interval(row), _repeats(row), row.reason] for row in rows.itertuples()]
    return grid(headings, told)


def _what(row: Any) -> str:
    return row.baseline if row.kind == CANARY else f"A/A: {row.baseline}"


def _interval(row: Any) -> str:
    return f"{row.speedup:.3f}{brackets(row.low, row.high, '{:.3f}'.format)}" if math.isfinite(row.speedup) else "–"


def _repeats(row: Any) -> str:
    return f"{number_of(row.baseline_repeats)} / {number_of(row.candidate_repeats)}"


def machines_page(table: pandas.DataFrame, alone: list[Campaign]) -> str:
    """Campaigns of several machines side by side: a table for each model, data set and protocol that some share."""
    parts = ["# Across machines", "", "Full runs, images/s (median [range] of the repeats), and in how many times the "
             "campaign's own baseline was outrun there, with its verdict. There is no verdict from machine to machine: "
             "hardware, hypervisor and system differ all at once.", ""]  # fmt: skip
    for (model, protocol, images), rows in table.groupby(["model", "protocol", "images"], sort=False):
        parts += [f"## {model}, {images:.0f} images, protocol {protocol:.0f}", "", *_side_by_side(rows), ""]
    if table.empty:
        parts += ["No two campaigns share model, data set and protocol.", ""]
    if alone:
        parts += ["Beside no other:", ""]
        parts += [f"- {one.name}: {one.grid['machine']}, {', '.join(map(str, one.shared))}" for one in alone]
    return wrapped("\n".join(parts).rstrip() + "\n")


def _side_by_side(rows: pandas.DataFrame) -> list[str]:
    sources = rows.source.drop_duplicates()
    machines = dict(zip(rows.source, rows.machine, strict=True))
    lines = []
    for (framework, variant, device, workers), cells in rows.groupby(
        ["framework", "variant", "device", "workers"], sort=False
    ):
        by_source = {row.source: row for row in cells.itertuples()}
        name = f"{framework}/{variant}, {device}" + (f", {workers:.0f} workers" if workers > 1 else "")
        lines.append([name, *(_on_machine(by_source.get(source)) for source in sources)])
    return grid(["variant", *(f"{machines[one]} ({one.rpartition('/')[2]})" for one in sources)], lines)


def _on_machine(row: Any) -> str:
    if row is None:
        return "–"
    rate = f"{number(row.throughput)}{brackets(row.throughput_low, row.throughput_high, number)}"
    if not math.isfinite(row.speedup):
        return rate
    return f"{rate}; {number(row.speedup)} times ({row.verdict})"
