"""Who is faster: speedups, the projection onto as many images as the reader has, break-even, the published series."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vitbench.analysis.break_even import Line as Cost
from vitbench.analysis.break_even import full_cells, line, measured_images
from vitbench.analysis.pairs import CONTROL_GROUP, PRIMARY
from vitbench.analysis.speedup import what_is_missing
from vitbench.analysis.statistics import JUDGED
from vitbench.frameworks import FRAMEWORKS
from vitbench.present import projection, style
from vitbench.present.answer import noise_line
from vitbench.present.labels import Cell, number, number_of, percentage
from vitbench.present.page import axes
from vitbench.present.page.parts import (
    GREY,
    INK,
    Dot,
    Entry,
    Grid,
    Key,
    Line,
    Look,
    Notes,
    Plot,
    Section,
    Span,
    Strip,
    StripRow,
    Stroke,
    grid,
    of_numbers,
    of_words,
)
from vitbench.series.replication import NOT_MEASURED, VERDICTS

ONE_RUN = "one run"
MOST_IMAGES = 1e9  # beyond this no break-even is of use
GLYPHS = {"cpu": "dot", "gpu": "square"}
COLUMNS = ("ratio [low, high]", "n", "verdict", "images/s of both", "labels equal")

WRONG = (
    "Two sides that do not label the same images alike (Parity), something else on the machine (How quiet the machine"
    " was), a process that was not warm when it was timed (Warm-up). An A/A control that is not equivalent to itself"
    " shows a difference that no framework made."
)
MANY = (
    "The same as of the chart above; and of many comparisons some look decided by chance. Verdicts are corrected for"
    " that within each family, a glance at the chart is not."
)
WRONG_OF_ONE_RUN = (
    "One run has no interval: how far another one would lie from it is not known, and the labels of the two sides were"
    " not compared."
)


def reading(table: pd.DataFrame) -> str:
    """How to read the chart of these comparisons: what is in it."""
    verdicts = set(table["verdict"])
    words = [
        "Right of the heavy line at 1 the candidate is faster, left of it the baseline; the axis doubles from tick"
        " to tick."
    ]
    if verdicts & set(JUDGED):
        words.append(
            "A dot with a whisker is the speedup with its 95% interval: coloured where one side is faster, grey"
            " where both are equivalent, hollow where these blocks do not decide. Round: CPU; square: GPU."
        )
    if "too few repeats" in verdicts:
        words.append("A bar without a dot is the range of the blocks: there are fewer than five, hence no verdict.")
    if ONE_RUN in verdicts:
        words.append("A hollow diamond is a published ratio: one run a side.")
    if table["margin"].notna().any():
        words.append("Grey band: the margin within which speeds count as equivalent.")
    if table["floor"].notna().any():
        words.append("Thin lines: what noise alone reaches, by the A/A controls.")
    return " ".join(words)


def doubting(table: pd.DataFrame) -> str:
    """What would make the chart of these comparisons wrong."""
    return WRONG_OF_ONE_RUN if (table["verdict"] == ONE_RUN).all() else WRONG


def shown_first(speedup: pd.DataFrame) -> pd.DataFrame:
    """The comparisons that answer the question: the primary ones, of published numbers all of the first group."""
    primary = speedup[speedup["family"] == PRIMARY]
    if len(primary) or speedup.empty:
        return primary
    return speedup[speedup["comparison"] == speedup["comparison"].iloc[0]]


def strip(table: pd.DataFrame, caption: str) -> Strip:
    """The chart of speedups of these rows (of the table `speedup`, or published ones of its form)."""
    values = table[["speedup", "low", "high", "floor"]].to_numpy(dtype=float).ravel()
    axis = axes.doubling(values)
    margins = table["margin"].dropna()
    band = (axis.at(1 / (1 + margins.iloc[0])), axis.at(1 + margins.iloc[0])) if len(margins) else None
    rows = tuple(_row(record, axis) for record in table.to_dict("records"))
    return Strip(
        caption=caption,
        axis=axis,
        label="times as fast (log scale)",
        head="candidate, against the baseline",
        columns=COLUMNS,
        rows=rows,
        band=band,
        heavy=axis.at(1),
        ends=_ends(table),
        key=_keys(table),
    )


def _ends(table: pd.DataFrame) -> tuple[str, str]:
    ends = []
    for side in ("baseline", "candidate"):
        names = {Cell.parse(name).name for name in table[side]}
        ends.append(f"{names.pop() if len(names) == 1 else side} faster")
    return ("baseline faster", "candidate faster") if ends[0] == ends[1] else (ends[0], ends[1])


def _color(baseline: Cell, candidate: Cell, ratio: float) -> str:
    """The colour of the side that leads: its framework's, of two variants of one blue and vermilion."""
    if baseline.framework != candidate.framework and {baseline.framework, candidate.framework} <= FRAMEWORKS.keys():
        return FRAMEWORKS[(candidate if ratio > 1 else baseline).framework].color
    return style.VERMILION if ratio > 1 else style.BLUE


def _row(record: dict, axis: axes.Axis) -> StripRow:
    baseline, candidate = Cell.parse(record["baseline"]), Cell.parse(record["candidate"])
    ratio, low, high, verdict = (record[column] for column in ("speedup", "low", "high", "verdict"))
    known = math.isfinite(ratio) and ratio > 0
    ranged = math.isfinite(low) and math.isfinite(high)
    written = "–" if not known else number(ratio) + (f" [{number(low)}, {number(high)}]" if ranged else "")
    words = verdict or "not measured"
    if verdict == "equivalent" and math.isfinite(record["margin"]):
        words += f" within {record['margin']:.0%}"
    reason = record["reason"]
    tip = f"{candidate.name} against {baseline.name}: {written}, {words}"
    same = baseline.hardware == candidate.hardware
    return StripRow(
        name=f"{candidate.name}, {_size(candidate, verdict)}" + ("" if same else f", {candidate.hardware}"),
        under=f"vs {baseline.name}, {_size(baseline, verdict)}, {baseline.hardware}",
        group=record["comparison"] or words,
        words="" if known else ": ".join(filter(None, (words, reason))),
        cells=(
            written,
            number_of(record["blocks"]),
            words,
            f"{number(record['candidate_throughput'])} / {number(record['baseline_throughput'])}",
            percentage(record["agreement"]),
        ),
        strokes=_noise(record["floor"], axis) if known else (),
        **(
            _marks(verdict, ratio, (low, high), ranged, _color(baseline, candidate, ratio), candidate.device, axis, tip)
            if known
            else {}
        ),
    )


def _size(cell: Cell, verdict: str) -> str:
    return cell.size if cell.batch_size or verdict != ONE_RUN else "batch size not stated"


def _noise(floor: float, axis: axes.Axis) -> tuple[Stroke, ...]:
    if not math.isfinite(floor):
        return ()
    words = f"noise alone stays within {1 / floor:.2f} to {floor:.2f}"
    return Stroke(axis.at(1 / floor), "noise", words), Stroke(axis.at(floor), "noise", words)


def _marks(verdict, ratio, ends, ranged, color, device, axis, tip) -> dict:
    """The marks of a ratio: none in the middle where there are too few repeats for one."""
    low, high = ends
    if verdict == ONE_RUN:
        return {"dots": (Dot(axis.at(ratio), color, tip, "diamond", hollow=True),)}
    if verdict not in JUDGED:
        around = ranged and low <= 1 <= high
        return (
            {"spans": (Span(axis.at(low), axis.at(high), GREY if around else color, tip, thin=True),)} if ranged else {}
        )
    decided = verdict in ("faster", "slower")
    shade = color if decided else GREY
    dot = Dot(axis.at(ratio), shade, tip, GLYPHS.get(device, "up"), hollow=verdict == "inconclusive")
    return {"dots": (dot,), "spans": (Span(axis.at(low), axis.at(high), shade, tip),) if ranged else ()}


def _keys(table: pd.DataFrame) -> tuple[Key, ...]:
    verdicts, keys = set(table["verdict"]), []
    if verdicts & {"faster", "slower"}:
        keys.append(Key("dot", INK, "speedup and 95% interval, in the colour of the side that leads"))
    if "equivalent" in verdicts:
        keys.append(Key("dot", GREY, "equivalent"))
    if "inconclusive" in verdicts:
        keys.append(Key("dot", GREY, "inconclusive", hollow=True))
    if "too few repeats" in verdicts:
        keys.append(Key("span", INK, "range of the blocks, no verdict"))
    if ONE_RUN in verdicts:
        keys.append(Key("diamond", INK, "published, one run", hollow=True))
    if table["margin"].notna().any():
        keys.append(Key("band", GREY, "within the margin"))
    if table["floor"].notna().any():
        keys.append(Key("noise", GREY, "what noise alone reaches"))
    return tuple(keys)


def every(speedup: pd.DataFrame) -> Section | None:
    """All comparisons, by group, with what the undecided ones lack and how the A/A controls came out."""
    if speedup.empty:
        return None
    lines = [noise_line(speedup)] if "family" in speedup else []
    lacking = speedup[speedup["blocks_needed"].notna() & (speedup["comparison"] != CONTROL_GROUP)]
    lacking = lacking.sort_values("blocks_needed")
    if len(lacking):
        row = lacking.iloc[-1]
        lines.append(
            f"Not decided: {len(lacking)} of {len(speedup)} comparisons;"
            f" {what_is_missing(row['margin'], row['blocks_needed'], row['hours_needed'])} (make settle)."
        )
    parts = [strip(speedup, "Every comparison: ratio of wall times, baseline / candidate")]
    parts += [Notes(tuple(filter(None, lines)))] if any(lines) else []
    parts.append(_numbers(speedup))
    return Section("speedup", "Speedup", tuple(parts), read=reading(speedup), wrong=MANY)


def _numbers(speedup: pd.DataFrame) -> Grid:
    ratios = {name: of_numbers(name, number) for name in ("speedup", "low", "high")}
    columns = {"comparison": of_words("comparison"), "candidate": of_words("candidate")}
    columns |= {"baseline": of_words("baseline")} | ratios | {"verdict": of_words("verdict")}
    columns |= {
        "p (Holm)": of_numbers("p_holm", lambda value: f"{value:.4f}" if math.isfinite(value) else "–"),
        "detectable ratio": of_numbers("smallest_detectable", number),
        "blocks needed": of_numbers("blocks_needed", number_of),
        "reason": of_words("reason"),
    }
    rows = list(speedup.itertuples(index=False))
    return grid(
        "Every comparison in numbers",
        rows,
        columns,
        folded="The comparisons in numbers",
        groups=tuple(row.comparison for row in rows),
    )


@dataclass(frozen=True)
class Arm:
    """What a cell of the full set would take for more images: `fixed` seconds to start, `each` seconds an image."""

    name: str
    throughput: float
    fixed: float
    each: float
    measured: int

    def seconds(self, images: float) -> float:
        """On one machine."""
        return Cost(self.fixed, self.each).seconds(images)

    def machines(self, images: float, hours: float) -> int | None:
        """The fewest machines, each of which starts once, that are done in time; None where starting takes longer."""
        return projection.machines(images, self.fixed, self.each, hours)


def arms(runs: pd.DataFrame) -> list[Arm]:
    """An arm for each cell of the full set that may carry a claim, the fastest first."""
    found = []
    for name, repeats in full_cells(runs).items():
        cell, cost = Cell.parse(name), line(repeats)
        words = f"{cell.name}, {cell.hardware}, {cell.size}"
        found.append(Arm(words, 1 / cost.each, cost.fixed, cost.each, measured_images(repeats)))
    return sorted(found, key=lambda arm: arm.each)


def break_even(runs: pd.DataFrame, table: pd.DataFrame, looks: dict[tuple[str, str], Look]) -> Section | None:
    """From how many images on what starts later is ahead."""
    cells = full_cells(runs)
    if not cells or table.empty:
        return None
    parts = [
        plot
        for device in dict.fromkeys(Cell.parse(name).hardware for name in cells)
        if (plot := _totals(device, cells, table, looks))
    ]
    pairs = {
        "starts later": of_words("late"),
        "starts sooner": of_words("early"),
        "break-even, images": (True, lambda row: Entry(_images(row.break_even), row.break_even)),
        "range of the blocks": (False, lambda row: Entry(f"{_images(row.low)} to {_images(row.high)}")),
        "n": of_numbers("blocks", number_of),
        "verdict": of_words("verdict"),
        "remark": of_words("reason"),
    }
    ordered = table.sort_values("break_even", kind="stable", na_position="last")
    parts.append(
        grid("From how many images on what starts later has caught up", ordered.itertuples(index=False), pairs)
    )
    return Section(
        "break-even",
        "Break-even",
        tuple(parts),
        read="Each line is the total time of a fresh process for so many images: start, load, what the cold pass takes"
        " longer, and warm seconds an image. A ring is where what starts later has caught up. Dashed: beyond what was"
        " measured. Both axes are logarithmic.",
        wrong="Beyond what a process classified here, a line assumes that speed stays the same: a hot processor, a full"
        " disk or a slow network would bend it. Where the verdict is uncertain, so is the ring.",
    )


def _images(value: float) -> str:
    """A number of images to two digits: more would not be true."""
    if not math.isfinite(value):
        return "–"
    if value < 1:
        return "1"
    digits = max(0, math.floor(math.log10(value)) - 1)
    return f"{round(value / 10**digits) * 10**digits:,.0f}"


def _totals(hardware: str, cells: dict, table: pd.DataFrame, looks: dict) -> Plot | None:
    part = {name: repeats for name, repeats in cells.items() if Cell.parse(name).hardware == hardware}
    meetings = table[table["early"].isin(part) & (table["break_even"] > 1) & (table["break_even"] < MOST_IMAGES)]
    measured = {name: measured_images(repeats) for name, repeats in part.items()}
    last = max([20.0 * max(measured.values()), *(3 * meetings["break_even"])])
    costs = {name: line(repeats) for name, repeats in part.items()}
    x = axes.decades([1.0, last])
    y = axes.decades([cost.seconds(images) for cost in costs.values() for images in (1, last)])
    lines = []
    for name, cost in costs.items():
        cell = Cell.parse(name)
        look = looks[cell.framework, cell.variant]
        words = f"{cell.name}, {cell.size}: {number(cost.fixed)} s + {number(cost.each * 1000)} ms an image"
        for first, end, dashed in ((1.0, measured[name], False), (measured[name], last, True)):
            at = np.geomspace(first, max(end, first), 24)
            points = tuple(Dot(x.at(images), look.color, words, y=y.down(cost.seconds(images))) for images in at)
            lines.append(Line(words, look.color, points, glyph="", dashed=dashed, listed=not dashed))
    rings = tuple(
        Dot(
            x.at(row.break_even),
            INK,
            f"{row.late} has caught up with {row.early} at {_images(row.break_even)} images",
            y=y.down(costs[row.early].seconds(row.break_even)),
        )
        for row in meetings.itertuples(index=False)
    )
    return Plot(
        title=hardware,
        x=x,
        y=y,
        x_label="images (log scale)",
        y_label="seconds (log scale)",
        lines=tuple(lines),
        rings=rings,
        height=300,
        alt=f"Total time by number of images on the {hardware}, {len(costs)} lines, {len(rings)} meetings; the numbers"
        " are in the table below",
    )


def replication(table: pd.DataFrame) -> Section | None:
    """Our ratios beside the published ones, and what was not measured here."""
    if table.empty:
        return None
    counts = Counter(table["verdict"])
    found = f"{len(table)} published comparisons: " + ", ".join(
        f"{counts[one]} {one}" for one in VERDICTS if counts[one]
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
                key=(Key("dot", style.VERMILION, "ours"), Key("diamond", style.BLUE, "published", hollow=True)),
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
    theirs = f"published: {number(row.published)} [{number(row.published_low)}, {number(row.published_high)}]"
    ours = f"ours: {number(row.ours)} [{number(row.ours_low)}, {number(row.ours_high)}], n = {number_of(row.blocks)}"
    decided = row.our_verdict in JUDGED
    return StripRow(
        name=candidate,
        under=f"vs {baseline} · part {row.part}, {row.environment}, {row.dataset}",
        group=row.kind,
        spans=tuple(
            Span(axis.at(low), axis.at(high), color, tip, thin=thin)
            for low, high, color, tip, thin in (
                (row.published_low, row.published_high, style.BLUE, theirs, True),
                (row.ours_low, row.ours_high, style.VERMILION, ours, not decided),
            )
            if math.isfinite(low) and math.isfinite(high)
        ),
        dots=(Dot(axis.at(row.published), style.BLUE, theirs, "diamond", hollow=True),)
        + ((Dot(axis.at(row.ours), style.VERMILION, ours),) if decided else ()),
        cells=(ours.removeprefix("ours: "), theirs.removeprefix("published: "), row.verdict),
    )
