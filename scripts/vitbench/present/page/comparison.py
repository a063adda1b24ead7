"""Who is faster: speedups, the projection onto as many images as the reader has, break-even, the published series."""

from __future__ import annotations

import math

import pandas as pd

from vitbench.analysis.fairness import rank
from vitbench.analysis.pairs import BEST_GROUP, CONTROL_GROUP, PRIMARY
from vitbench.analysis.speedup import what_is_missing
from vitbench.cells import Cell, device_in
from vitbench.frameworks import FRAMEWORKS
from vitbench.present import style
from vitbench.present.answer import noise_line
from vitbench.present.labels import (
    brackets,
    hardware_of,
    number,
    number_of,
    percentage,
    stated_size,
    terms_of,
    variant_of,
)
from vitbench.present.page import axes
from vitbench.present.page.parts import (
    GREY,
    INK,
    Dot,
    Grid,
    Key,
    Notes,
    Section,
    Span,
    Strip,
    StripRow,
    Stroke,
    grid,
    of_numbers,
    of_words,
)
from vitbench.series.published import ONE_RUN
from vitbench.verdicts import DIFFERENT, EQUIVALENT, INCONCLUSIVE, JUDGED, TOO_FEW, UNDECIDED

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
    if TOO_FEW in verdicts:
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
    """The comparisons that answer the question: the full runs on one device, those on equal terms first.

    Of published numbers they are all of the first group.
    """
    if speedup.empty or not (speedup["family"] == PRIMARY).any():
        return speedup if speedup.empty else speedup[speedup["comparison"] == speedup["comparison"].iloc[0]]
    devices = [speedup[side].map(device_in) for side in ("baseline", "candidate")]
    full = speedup[(speedup["comparison"] == BEST_GROUP) & (devices[0] == devices[1])]
    return full.sort_values("fairness", key=lambda labels: pd.Series(rank(labels), labels.index), kind="stable")


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
        names = {variant_of(Cell.parse(name)) for name in table[side]}
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
    written = "–" if not known else number(ratio) + brackets(low, high)
    words = verdict or "not measured"
    if verdict == EQUIVALENT and math.isfinite(record["margin"]):
        words += f" within {record['margin']:.0%}"
    reason = record["reason"]
    tip = f"{variant_of(candidate)} against {variant_of(baseline)}: {written}, {words}"
    same = hardware_of(baseline) == hardware_of(candidate)
    elsewhere = "" if same else f", {hardware_of(candidate)}"
    # Rows of one label may be of several data sets; a group that is no label names its own.
    elsewhere += f", on {record['dataset']}" if record["fairness"] and record["dataset"] != "full" else ""
    return StripRow(
        name=f"{variant_of(candidate)}, {stated_size(candidate, verdict)}{elsewhere}",
        under=f"vs {variant_of(baseline)}, {stated_size(baseline, verdict)}, {hardware_of(baseline)}",
        group=record["fairness"] or record["comparison"] or words,
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
    decided = verdict in DIFFERENT
    shade = color if decided else GREY
    dot = Dot(axis.at(ratio), shade, tip, GLYPHS.get(device, "up"), hollow=verdict == INCONCLUSIVE)
    return {"dots": (dot,), "spans": (Span(axis.at(low), axis.at(high), shade, tip),) if ranged else ()}


def _keys(table: pd.DataFrame) -> tuple[Key, ...]:
    verdicts, keys = set(table["verdict"]), []
    if verdicts & set(DIFFERENT):
        keys.append(Key("dot", INK, "speedup and 95% interval, in the colour of the side that leads"))
    if EQUIVALENT in verdicts:
        keys.append(Key("dot", GREY, "equivalent"))
    if INCONCLUSIVE in verdicts:
        keys.append(Key("dot", GREY, "inconclusive", hollow=True))
    if TOO_FEW in verdicts:
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
    told = speedup[speedup["speedup"].notna() & (speedup["comparison"] != CONTROL_GROUP)]
    undecided = told[told["verdict"].isin(UNDECIDED)]
    lacking = told[told["blocks_needed"].notna()].sort_values("blocks_needed")
    count = f"Not decided: {len(undecided)} of {len(told)} comparisons"
    if len(lacking):
        # Blocks are added until the primary ones are decided.
        primary = lacking[lacking["family"] == PRIMARY]
        row = (lacking if primary.empty else primary).iloc[-1]
        growth = row["growth"]
        missing = what_is_missing(row["margin"], row["blocks_needed"], row["hours_needed"], bool(growth))
        whose = "for the primary ones, " if len(primary) else ""
        lines.append(f"{count}; {whose}{missing}{f' ({growth})' if growth and len(primary) else ''}.")
    elif len(undecided):
        lines.append(f"{count}.")
    parts = [strip(speedup, "Every comparison: ratio of wall times, baseline / candidate")]
    parts += [Notes(tuple(filter(None, lines)))] if any(lines) else []
    parts.append(_numbers(speedup))
    return Section("speedup", "Speedup", tuple(parts), read=reading(speedup), wrong=MANY)


def _numbers(speedup: pd.DataFrame) -> Grid:
    ratios = {name: of_numbers(name, number) for name in ("speedup", "low", "high")}
    columns = {"terms": of_words("fairness"), "comparison": of_words("comparison"), "candidate": of_words("candidate")}
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
        groups=tuple(terms_of(row) for row in rows),
    )
