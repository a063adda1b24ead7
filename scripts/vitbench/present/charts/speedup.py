"""The speedup chart: one row a comparison, a ratio axis with a heavy line at 1, aligned numbers at the right."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import seaborn
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerLine2D
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from vitbench.analysis import fairness
from vitbench.analysis.pairs import AT_BEST, CONTROL_GROUP, EXPLORATORY, PRIMARY
from vitbench.analysis.speedup import what_is_missing
from vitbench.cells import Cell
from vitbench.frameworks import FRAMEWORKS, title
from vitbench.present import style
from vitbench.present.answer import noise_line
from vitbench.present.charts import forest
from vitbench.present.charts.forest import BAND, DEVICE_MARKERS, NOISE, Beside, Forest, Shape
from vitbench.present.labels import (
    brackets,
    cell_names,
    flag_notes,
    hardware_of,
    number,
    number_of,
    percentage,
    stated_size,
    variant_of,
    variants_apart,
)
from vitbench.series import published as series
from vitbench.series.published import ONE_RUN
from vitbench.verdicts import EQUIVALENT, INCONCLUSIVE, JUDGED, TOO_FEW

# Inches: above the axis and below it, beside the keys; of a group's heading; and from where on a plot is tall, so that
# its scale stands above it, too.
ABOVE, BELOW, HEADING = 0.5, 0.5, 0.28
TALL, SCALE_ABOVE = 6.0, 0.2
A_KEY, KEYS_END = 0.19, 0.08
HEADINGS = (("ratio", "[low, high]"), ("n",), ("images/s", "of both"), ("labels", "equal"))


class Sides(NamedTuple):
    """Words and colours of the two ends of the axis: left, where the baseline leads, and right."""

    left: str
    right: str
    left_color: str
    right_color: str


@dataclass
class Row:
    """One comparison, ready to be drawn."""

    name: str
    against: str
    marker: str
    verdict: str
    speedup: float
    low: float
    high: float
    margin: float  # share within which speeds are equivalent; NaN where there is no such thing
    floor: float  # ratio that noise alone stays within, by the A/A controls; NaN where there are none
    words: str  # what stands in the plot where there is no mark
    cells: tuple[tuple[str, ...], ...]  # right margin: the lines of each column


def draw(speedup: pd.DataFrame, summary: pd.DataFrame, context: dict, published: pd.DataFrame | None = None) -> Figure:
    """Draw the table `speedup` (and rows of the same form from published figures, verdict "one run").

    `summary` gives precision, settings and flags of the cells; `context` is `results/provenance/context.json`.
    """
    table = pd.concat([speedup, published], ignore_index=True) if published is not None else speedup
    groups = _groups(table, summary)
    sides = _sides(table[table["comparison"] != CONTROL_GROUP])
    with style.theme():
        return _draw(groups, sides, _caption(table, summary, context), context, _nothing(summary))


def beside_published(speedup: pd.DataFrame, summary: pd.DataFrame, context: dict, published: str = "") -> Figure:
    """Draw the table `speedup` and, if `published` names the runs of the series, what the article says of the same."""
    return draw(speedup, summary, context, of_the_article(Path(published).parent, speedup) if published else None)


def of_the_article(folder: Path, ours: pd.DataFrame) -> pd.DataFrame:
    """Ratios of the core part of the series for what we compared on the full set, too: same variants and devices."""
    read = series.read(folder)
    empty = dict.fromkeys(("low", "high", "agreement", "floor"), float)
    theirs = series.speedups(read.runs, read.about).astype(empty)
    core = theirs[theirs.comparison.str.startswith(f"part {read.about['core']} ")]
    compared = set(_pairs(ours[ours.dataset == "full"]))
    found = core[[pair in compared for pair in _pairs(core)]]
    # Their cells may bear the names of ours: what the summary says of ours is not to be said of them.
    return found.assign(dataset="published", comparison="the article, " + found.comparison)


def _pairs(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """(data set, baseline, candidate) without batch sizes."""
    sides = ([cell.rpartition("/")[0] for cell in table[side]] for side in ("baseline", "candidate"))
    return list(zip(table.dataset, *sides, strict=True))


def _groups(table: pd.DataFrame, summary: pd.DataFrame) -> list[tuple[str, list[Row]]]:
    """Rows by data set, fairness label and family; groups and rows on equal hardware come first.

    Labels come in the order of `fairness.LABELS`, else the table's order holds. The A/A control comes last: it is about
    the measuring, not about the frameworks.
    """
    known = summary.assign(cell=cell_names(summary)).drop_duplicates(["cell", "dataset"]).set_index(["cell", "dataset"])
    groups: dict[str, list[tuple[bool, Row]]] = {}
    why = list(dict.fromkeys(table["comparison"]))
    places: dict[str, tuple[int, int, bool]] = {}
    for record in table.to_dict("records"):
        baseline, candidate = Cell.parse(record["baseline"]), Cell.parse(record["candidate"])
        # That each is at its best batch size goes without saying of a full run.
        what = record["comparison"].removeprefix(f"{AT_BEST}, ") if record["fairness"] else record["comparison"]
        label = ": ".join(filter(None, (record["fairness"], what))) or record["verdict"]
        if record["family"] in (PRIMARY, EXPLORATORY):
            label += f" ({record['family']})"
        (rank,) = fairness.rank([record["fairness"]])
        places[label] = (why.index(record["comparison"]), rank, record["family"] != PRIMARY)
        rows = groups.setdefault(label, [])
        rows.append((hardware_of(baseline) != hardware_of(candidate), _row(record, baseline, candidate, known)))
    ordered = sorted(
        groups.items(),
        key=lambda group: (
            group[0] == CONTROL_GROUP,
            all(unequal for unequal, _ in group[1]),
            places[group[0]],
        ),
    )
    return [(label, [row for _, row in sorted(rows, key=lambda pair: pair[0])]) for label, rows in ordered]


def _row(record: dict, baseline: Cell, candidate: Cell, known: pd.DataFrame) -> Row:
    def fact(name: str, column: str) -> str:
        place = (name, record["dataset"])
        return known.at[place, column] if place in known.index else ""

    verdict, value, low, high = (record[column] for column in ("verdict", "speedup", "low", "high"))
    names = (record["candidate"], record["baseline"])
    size = [stated_size(cell, verdict) for cell in (candidate, baseline)]
    hardware = [
        ", ".join(filter(None, (hardware_of(cell), fact(name, "precision"))))
        for cell, name in zip((candidate, baseline), names, strict=True)
    ]
    equal = hardware[0] == hardware[1]
    dagger = " †" if any(fact(name, "flags") for name in names) else ""
    measured = math.isfinite(value) and value > 0
    ratio = number(value) + brackets(low, high) + dagger
    return Row(
        name=f"{variant_of(candidate)}, {size[0]}" + ("" if equal else f", {hardware[0]}"),
        against=f"vs {variant_of(baseline)}, {size[1]}, {hardware[1]}",
        marker=DEVICE_MARKERS.get(candidate.device, "^"),
        verdict=verdict,
        speedup=value,
        low=low if math.isfinite(low) else value,
        high=high if math.isfinite(high) else value,
        margin=record["margin"],
        floor=record["floor"],
        words="" if measured else ": ".join(filter(None, (verdict or "not measured", record["reason"]))),
        cells=(
            (ratio if measured else "–", _verdict_words(verdict, record["margin"])),
            (number_of(record["blocks"]),),
            (number(record["candidate_throughput"]), number(record["baseline_throughput"])),
            (percentage(record["agreement"]),),
        ),
    )


def _verdict_words(verdict: str, margin: float) -> str:
    return f"equivalent within {margin:.0%}" if verdict == EQUIVALENT and math.isfinite(margin) else verdict or "–"


def _sides(table: pd.DataFrame) -> Sides:
    """Name the ends after the frameworks where they differ, otherwise after the variants or the roles."""
    baselines = [Cell.parse(name) for name in table["baseline"]]
    candidates = [Cell.parse(name) for name in table["candidate"]]
    ends = []
    frameworks = [{cell.framework for cell in cells} for cells in (baselines, candidates)]
    if len(frameworks[0]) == len(frameworks[1]) == 1 and frameworks[0] != frameworks[1]:
        (left,), (right,) = frameworks
        known = left in FRAMEWORKS and right in FRAMEWORKS
        colors = (FRAMEWORKS[left].color, FRAMEWORKS[right].color) if known else _default_colors()
        return Sides(f"{title(left)} faster", f"{title(right)} faster", *colors)
    for role, cells in (("baseline", baselines), ("candidate", candidates)):
        names = {variant_of(cell) for cell in cells}
        ends.append(f"{names.pop()} faster" if len(names) == 1 else f"{role} faster")
    if ends[0] == ends[1]:
        ends = ["baseline faster", "candidate faster"]
    return Sides(*ends, *_default_colors())


def _default_colors() -> tuple[str, str]:
    return style.BLUE, style.VERMILION


def _caption(table: pd.DataFrame, summary: pd.DataFrame, context: dict) -> list[str]:
    used = set(table["baseline"]) | set(table["candidate"])
    cells = summary[cell_names(summary).isin(used)] if len(summary) else summary
    named = zip(variants_apart(cells), cells["setting"], strict=True) if len(cells) else ()
    settings = {name: setting for name, setting in named if setting}
    if table.empty:
        return [style.origin(context)]
    if (table["verdict"] == ONE_RUN).all():
        stated = pd.concat([table["baseline_hardware"], table["candidate_hardware"]]).drop_duplicates()
        how = "Ratio of published wall times (baseline / candidate): one run a cell, hence no interval and no verdict;"
        how += " the labels of the two sides were not compared, nor did both always count the same number of images."
        return [how, f"Hardware as stated: {' · '.join(stated)}.", style.origin(context)]
    how = "Geometric mean over the blocks of the ratio of wall times (baseline / candidate) over the same images;"
    how += " n: blocks, each a fresh process a cell."
    if (table["verdict"] == TOO_FEW).any():
        how += " Thin bar: range of the block ratios; below 5 blocks there is no verdict, hence no dot."
    if table["verdict"].isin(JUDGED).any():
        how += " Dot and whisker: speedup and its 95% interval (t, paired by block), which allows for every look."
    if (table["verdict"] == ONE_RUN).any():
        how += " Hollow diamond: the article's ratio, one run on its own hardware; labels were not compared."
    how += " Labels equal: share of images with the same top label in both."
    return [
        how,
        _missing_note(table),
        _margin_note(table),
        *flag_notes(cells),
        " · ".join(f"{name}: {setting}" for name, setting in settings.items()),
        style.origin(context),
    ]


def _missing_note(table: pd.DataFrame) -> str:
    """What the comparisons that are not decided lack: the range over the rows of the declared ones, else of all."""
    lacking = table[table["blocks_needed"].notna() & (table["comparison"] != CONTROL_GROUP)]
    declared = lacking[lacking["family"] != EXPLORATORY]
    lacking = lacking if declared.empty else declared
    if lacking.empty:
        return ""
    row = lacking.sort_values("blocks_needed").iloc[-1]
    least, most = lacking["smallest_detectable"].min(), lacking["smallest_detectable"].max()
    kind = "primary" if len(declared) else "exploratory"
    words = f"Not decided: {len(lacking)} of the {kind} comparisons;"
    if math.isfinite(least):
        ratios = number(most) if number(least) == number(most) else f"{number(least)} to {number(most)}"
        words += f" these blocks would tell a ratio of {ratios} from 1;"
    growth = row["growth"]
    missing = what_is_missing(row["margin"], row["blocks_needed"], row["hours_needed"], bool(growth))
    # Blocks are added to the full runs until the first comparisons, which are the primary ones, are decided.
    return f"{words} {missing}{f' ({growth})' if growth and len(declared) else ''}."


def _margin_note(table: pd.DataFrame) -> str:
    """What the grey band and the thin lines are, and how the A/A controls came out."""
    margins = table["margin"].dropna().unique()
    if not len(margins):
        return ""
    note = f"Grey band: ±{margins[0]:.0%}; equivalent: the 90% interval lies within it, faster and slower: the 95%"
    note += " interval excludes 1, the ratio lies beyond the band, and p < 0.05 after Holm within the family."
    noise = noise_line(table)
    lines = " Thin lines: what noise alone reaches with the row's blocks." if table["floor"].notna().any() else ""
    return f"{note} {noise}{lines}" if noise else f"{note} There is no A/A control."


def _nothing(summary: pd.DataFrame) -> str:
    """What the chart says when there is no comparison."""
    failed = summary.loc[summary["status"] != "ok", "status"].value_counts()
    words = "No comparison could be made."
    if len(failed):
        counts = ", ".join(f"{number} {status}" for status, number in failed.items())
        words += f" Cells without a measurement: {failed.sum()} of {len(summary)} ({counts})."
    return words


def _draw(groups: list[tuple[str, list[Row]]], sides: Sides, caption: list[str], context: dict, nothing: str) -> Figure:
    rows = [row for _, members in groups for row in members]
    beside = [(label, [Beside(row.name, row.against, row.cells) for row in members]) for label, members in groups]
    keys, shape = _keys(rows), Shape(heading=HEADING, above=ABOVE)
    tall = forest.body_height(beside, shape) > TALL
    below = BELOW + A_KEY * len(keys) + (KEYS_END if keys else 0)
    shape = replace(shape, above=ABOVE + (SCALE_ABOVE if tall else 0), below=below)
    chart = forest.lay_out(beside, HEADINGS, shape, context["answer"], caption, nothing)
    if not rows:
        return chart.page.figure
    values = [value for row in rows for value in (row.speedup, row.low, row.high)]
    chart.log2_scale(values, (-1, 2), "speedup: ratio of wall times (log scale)")
    if tall:  # too far to carry the scale up from the bottom
        chart.axes.tick_params(axis="x", labeltop=True)
    chart.say_ends(sides.left, sides.right, (sides.left_color, sides.right_color), SCALE_ABOVE if tall else 0)
    _plot(chart, rows, sides)
    if keys:
        twice = {key: HandlerLine2D(numpoints=2) for key in keys if getattr(key, "get_marker", str)() == "|"}
        chart.legend(keys, handlelength=2.2, handler_map=twice)
    return chart.page.figure


def _color(row: Row, sides: Sides) -> str:
    """The leader's colour; grey where nothing is claimed of who leads, and for a range that holds 1."""
    if row.verdict in (EQUIVALENT, INCONCLUSIVE) or (row.low <= 1 <= row.high and row.verdict != ONE_RUN):
        return style.GREY
    return sides.right_color if row.speedup > 1 else sides.left_color


def _plot(chart: Forest, rows: list[Row], sides: Sides) -> None:
    axes = chart.axes
    dots: list[tuple[float, float, str, str]] = []
    for row, y in zip(rows, chart.middles, strict=True):
        chart.band(y, row.margin, row.floor)
        if row.words:
            chart.say(y, row.words, most=2)
            continue
        color = _color(row, sides)
        if row.verdict == ONE_RUN:
            axes.plot(row.speedup, y, marker="D", markersize=8, markerfacecolor="white", markeredgecolor=color,
                      markeredgewidth=1.8, linestyle="none", zorder=4)  # fmt: skip
        elif row.verdict in JUDGED:
            axes.plot([row.low, row.high], [y, y], color=color, linewidth=2.6, marker="|", markersize=11,
                      markeredgewidth=2.6, zorder=3)  # fmt: skip
            if row.verdict == INCONCLUSIVE:
                axes.plot(row.speedup, y, marker=row.marker, markersize=7.5, markerfacecolor="white",
                          markeredgecolor=color, markeredgewidth=1.6, linestyle="none", zorder=4)  # fmt: skip
            else:
                dots.append((row.speedup, y, color, row.marker))
        else:
            # The end strokes keep a range visible whose ends are (nearly) the same.
            axes.plot([row.low, row.high], [y, y], color=color, linewidth=1.4, marker="|", markersize=9,
                      markeredgewidth=1.4, zorder=3)  # fmt: skip
    if dots:
        frame = pd.DataFrame(dots, columns=["speedup", "y", "color", "marker"])
        for (color, marker), group in frame.groupby(["color", "marker"]):
            seaborn.scatterplot(group, x="speedup", y="y", color=color, marker=marker, s=58, ax=axes, zorder=4,
                                legend=False)  # fmt: skip
        axes.set(ylabel="", xlabel="speedup: ratio of wall times (log scale)")


def _keys(rows: list[Row]) -> list[Line2D]:
    """Explain the marks that the chart has, and no others."""
    drawn = [row for row in rows if not row.words]
    keys = []
    for device, words in (("cpu", "CPU"), ("gpu", "GPU")):
        if any(row.verdict in JUDGED and row.marker == DEVICE_MARKERS[device] for row in drawn):
            keys.append(Line2D([], [], color=style.INK, marker=DEVICE_MARKERS[device], linewidth=2.6, markersize=8,
                               label=f"{words}: speedup, 95% interval"))  # fmt: skip
    if any(row.verdict not in (*JUDGED, ONE_RUN) for row in drawn):
        keys.append(Line2D([], [], color=style.INK, marker="|", linewidth=1.4, markersize=9, markeredgewidth=1.4,
                           label="range of the block ratios, no verdict"))  # fmt: skip
    if any(row.verdict == ONE_RUN for row in drawn):
        keys.append(Line2D([], [], color=style.INK, marker="D", linestyle="none", markersize=8, markerfacecolor="white",
                           markeredgewidth=1.8, label="published, one run"))  # fmt: skip
    for verdict, face in ((EQUIVALENT, style.GREY), (INCONCLUSIVE, "white")):
        if any(row.verdict == verdict for row in drawn):
            keys.append(Line2D([], [], color=style.GREY, marker="o", linewidth=2.6, markersize=7.5,
                               markerfacecolor=face, markeredgewidth=1.6, label=verdict))  # fmt: skip
    if any(row.verdict == TOO_FEW and row.low <= 1 <= row.high for row in drawn):
        keys.append(Line2D([], [], color=style.GREY, linewidth=1.4, marker="|", markersize=9, markeredgewidth=1.4,
                           label="grey: the range holds 1"))  # fmt: skip
    if any(math.isfinite(row.margin) for row in rows):
        keys.append(Patch(color=BAND, label="within the margin"))
    if any(math.isfinite(row.floor) for row in rows):
        keys.append(Line2D([], [], color=NOISE, linewidth=0.8, label="what noise alone reaches (A/A controls, 95%)"))
    return keys
