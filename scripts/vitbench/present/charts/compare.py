"""What changed between two sets of records: a row a cell, a ratio axis with a heavy line at 1, numbers beside."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vitbench.analysis.sets import CANARY, CELL, CONTROLS
from vitbench.cells import SIZES, device_in, role_of
from vitbench.present import style
from vitbench.present.charts import forest
from vitbench.present.charts.forest import DEVICE_MARKERS, NOISE, Beside, Forest, Shape
from vitbench.present.comparison import GROUPS, OF_THE_MACHINE
from vitbench.present.labels import brackets, number, number_of, percentage
from vitbench.verdicts import DIFFERENT, INCONCLUSIVE, JUDGED, TOO_FEW

# A line a row: of many cells there are many.
SHAPE = Shape(plot=4.4, row=0.26, above=0.5, names=2.0, inset=0.065, size=style.SMALL)
A_KEY = 0.19  # inches
HEADINGS = (("ratio [95%]",), ("n",), ("smallest change",), ("verdict",))
TICKS = (0.1, 0.25, 0.5, 0.67, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 4, 10)


def draw(compare: pd.DataFrame, context: dict) -> Figure:
    """Draw the table `compare`; `context` is `results/compare/provenance/context.json`."""
    cells = compare[compare.kind == CELL]
    groups = [(title, cells[cells.dataset.map(role_of) == role]) for role, title in GROUPS.items()]
    groups.append((OF_THE_MACHINE, compare[compare.kind.isin([CANARY, CONTROLS])]))
    groups = [(title, rows) for title, rows in groups if len(rows)]
    with style.theme():
        return _draw(groups, compare, context)


def _name(row: pd.Series) -> str:
    if row.kind == CANARY:
        return row.baseline
    name = row.candidate or row.baseline
    if role_of(row.dataset) == SIZES:
        name += f" on {row.dataset}"
    if row.kind == CONTROLS:
        return f"A/A {row.reason.partition(';')[0]}: {row.baseline}"
    changed = row.candidate and row.baseline and row.candidate != row.baseline
    return f"{name} (was {row.baseline.rpartition('/')[2]})" if changed else name


def _cells(row: pd.Series) -> tuple[tuple[str, ...], ...]:
    ratio = number(row.speedup) + brackets(row.low, row.high) if math.isfinite(row.speedup) else "–"
    both = f"{number_of(row.baseline_repeats)} / {number_of(row.candidate_repeats)}"
    return (ratio,), (both,), (percentage(row.smallest_detectable - 1),), (row.verdict,)


def _draw(groups: list[tuple[str, pd.DataFrame]], table: pd.DataFrame, context: dict) -> Figure:
    rows = [row for _, members in groups for _, row in members.iterrows()]
    beside = [
        (title, [Beside(_name(row), "", _cells(row)) for _, row in members.iterrows()]) for title, members in groups
    ]
    keys = _keys(rows)
    shape = replace(SHAPE, below=SHAPE.below + A_KEY * len(keys))
    chart = forest.lay_out(
        beside, HEADINGS, shape, context["answer"], _caption(table, context), "Neither set has a cell."
    )
    if rows:
        _scale(chart, rows)
        chart.say_ends("candidate slower", "candidate faster", (style.VERMILION, style.BLUE))
        for row, y in zip(rows, chart.middles, strict=True):
            _plot(chart, row, y)
        chart.legend(keys)
    return chart.page.figure


def _scale(chart: Forest, rows: list[pd.Series]) -> None:
    """A log axis, alike to both sides of 1, as far as the data go."""
    axes = chart.axes
    values = [value for row in rows for value in (row.speedup, row.low, row.high) if value > 0 and math.isfinite(value)]
    reach = max([math.log(1.3)] + [abs(math.log(value)) for value in values]) * 1.06
    axes.set_xscale("log")
    axes.set_xlim(math.exp(-reach), math.exp(reach))
    shown: list[float] = [1.0]
    for tick in sorted(TICKS, key=lambda one: abs(math.log(one)) if one != 1 else -1):
        room = min(abs(math.log(tick / one)) for one in shown) * SHAPE.plot / (2 * reach)
        if abs(math.log(tick)) <= reach and room >= style.text_width("0.95", style.BODY) + 0.08:
            shown.append(tick)
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axes.minorticks_off()
    chart.line_at_one("ratio of wall times, baseline / candidate (log scale)")


def _color(row: pd.Series) -> str:
    if row.verdict not in DIFFERENT:
        return style.GREY
    return style.BLUE if row.speedup > 1 else style.VERMILION


def _marker(row: pd.Series) -> str:
    return "D" if row.kind != CELL else DEVICE_MARKERS.get(device_in(row.baseline or row.candidate), "^")


def _plot(chart: Forest, row: pd.Series, y: float) -> None:
    axes = chart.axes
    chart.band(y, row.margin, row.floor)
    if not math.isfinite(row.speedup):
        chart.say(y, ": ".join(filter(None, (row.verdict, row.reason))), most=1)
        return
    color, judged = _color(row), row.verdict in JUDGED
    axes.plot([row.low, row.high], [y, y], color=color, linewidth=2.4 if judged else 1.2, marker="|", markersize=8,
              markeredgewidth=2.0 if judged else 1.2, zorder=3)  # fmt: skip
    if judged:
        face = "white" if row.verdict == INCONCLUSIVE else color
        axes.plot(row.speedup, y, marker=_marker(row), markersize=6.5, markerfacecolor=face, markeredgecolor=color,
                  markeredgewidth=1.5, linestyle="none", zorder=4)  # fmt: skip


def _keys(rows: list[pd.Series]) -> list[Line2D]:
    """Explain the marks that the chart has, and no others."""
    drawn = [row for row in rows if math.isfinite(row.speedup)]
    keys = []
    for marker, words in (("o", "CPU"), ("s", "GPU"), ("D", "the same work in both, or a cell against itself")):
        if any(_marker(row) == marker and row.verdict in JUDGED for row in drawn):
            keys.append(Line2D([], [], color=style.INK, marker=marker, linewidth=2.4, markersize=6.5,
                               label=f"{words}: ratio, 95% interval"))  # fmt: skip
    if any(row.verdict == INCONCLUSIVE for row in drawn):
        keys.append(Line2D([], [], color=style.GREY, marker="o", linestyle="none", markerfacecolor="white",
                           markeredgewidth=1.5, markersize=6.5, label="hollow: inconclusive"))  # fmt: skip
    if any(row.verdict == TOO_FEW for row in drawn):
        keys.append(Line2D([], [], color=style.GREY, marker="|", linewidth=1.2, markersize=8, markeredgewidth=1.2,
                           label="least and greatest ratio, no verdict"))  # fmt: skip
    if any(math.isfinite(row.floor) for row in drawn):
        keys.append(Line2D([], [], color=NOISE, marker="|", linestyle="none", markersize=9, markeredgewidth=0.8,
                           label="what the noise of the A/A controls alone reaches"))  # fmt: skip
    return keys


def _caption(table: pd.DataFrame, context: dict) -> list[str]:
    how = "Ratio of the geometric means of the seconds of a repeat; interval: Welch's t, unpaired, since the sets were"
    how += f" measured at different times. Holm over {table[table.kind == CELL].p_holm.notna().sum()} cells."
    margins = table.margin.dropna()
    if len(margins):
        how += f" Grey band: ±{margins.iloc[0]:.0%}; equivalent: the 90% interval lies within it. n: repeats of both."
    sides = [
        f"{role}: {side['name']}, {side['machine']}, {side['first'][:10]}, {side['records']} records"
        for role, side in (("Baseline", context["baseline"]), ("candidate", context["candidate"]))
    ]
    about = f"model {context['baseline']['model']}; protocol {context['baseline']['protocol']}"
    wrong = "What differs between the two days and not within one is in no interval: see the canary."
    return [how, *context["doubts"], wrong, "; ".join([*sides, about]) + "."]
