"""What changed between two sets of records: a row a cell, a ratio axis with a heavy line at 1, numbers beside."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from vitbench.analysis.sets import CANARY, CELL, CONTROLS
from vitbench.analysis.statistics import JUDGED
from vitbench.cells import SIZES, role_of
from vitbench.present import style
from vitbench.present.comparison import GROUPS, OF_THE_MACHINE
from vitbench.present.labels import number_of, percentage

PLOT, ROW, HEADER, COLUMN_GAP = 4.4, 0.26, 0.3, 0.22
BAND, NOISE = "#d6d6d6", "#6e6e6e"
HEADINGS = ("ratio [95%]", "n", "smallest change", "verdict")
MARKERS = {"cpu": "o", "gpu": "s"}
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


def _cells(row: pd.Series) -> tuple[str, ...]:
    ratio = f"{row.speedup:.2f} [{row.low:.2f}, {row.high:.2f}]" if math.isfinite(row.speedup) else "–"
    both = f"{number_of(row.baseline_repeats)} / {number_of(row.candidate_repeats)}"
    return ratio, both, percentage(row.smallest_detectable - 1), row.verdict


def _draw(groups: list[tuple[str, pd.DataFrame]], table: pd.DataFrame, context: dict) -> Figure:
    rows = [row for _, members in groups for _, row in members.iterrows()]
    names, cells = [_name(row) for row in rows], [_cells(row) for row in rows]
    left = max([2.0] + [style.text_width(name, style.SMALL) for name in names])
    left = max([left] + [style.text_width(title, style.BODY, "bold") for title, _ in groups])
    widths = [
        max(
            [style.text_width(heading, style.SMALL, "bold")] + [style.text_width(one[at], style.SMALL) for one in cells]
        )
        for at, heading in enumerate(HEADINGS)
    ]
    body = sum(HEADER + ROW * len(members) for _, members in groups) or 1.0
    top, keys = 0.5, _keys(rows)
    bottom = 0.55 + 0.19 * len(keys)
    plot_left = style.MARGIN + left + COLUMN_GAP
    width = plot_left + PLOT + sum(widths) + COLUMN_GAP * len(widths) + style.MARGIN
    page = style.Page(width, top + body + bottom, context["answer"], _caption(table, context))
    axes = page.axes(plot_left, page.top + top, PLOT, body)
    axes.set_ylim(body, 0)  # y in inches from the top of the axes, so that rows and margins stay aligned
    axes.set_yticks([])
    if not rows:
        axes.set_xticks([])
        style.say(axes, "Neither set has a cell.")
        return page.figure
    _scale(axes, rows)
    for words, x, how in (("← candidate slower", 0, "left"), ("candidate faster →", PLOT, "right")):
        color = style.VERMILION if how == "left" else style.BLUE
        page.text(plot_left + x, page.top + top - 0.06, words, size=style.SMALL, weight="bold", color=color, ha=how,
                  va="bottom")  # fmt: skip
    edges, edge = [], plot_left + PLOT
    for heading, column in zip(HEADINGS, widths, strict=True):
        edge += COLUMN_GAP + column
        edges.append(edge)
        page.text(edge, page.top + top - 0.06, heading, size=style.SMALL, weight="bold", ha="right", va="bottom")
    y, place = 0.0, 0
    for title, members in groups:
        page.text(style.MARGIN, page.top + top + y + 0.08, title, weight="bold")
        axes.axhline(y, color="#b0b0b0", linewidth=0.8)
        y += HEADER
        for _ in range(len(members)):
            line = page.top + top + y + ROW / 2
            page.text(style.MARGIN, line, names[place], size=style.SMALL, va="center")
            for edge, words in zip(edges, cells[place], strict=True):
                page.text(edge, line, words, size=style.SMALL, ha="right", va="center")
            _plot(axes, rows[place], y + ROW / 2)
            y, place = y + ROW, place + 1
    page.figure.legend(
        handles=keys, loc="upper left", frameon=False, fontsize=style.SMALL, borderaxespad=0, borderpad=0,
        bbox_to_anchor=(plot_left / page.width, 1 - (page.top + top + body + 0.55) / page.height), labelspacing=0.35,
    )  # fmt: skip
    return page.figure


def _scale(axes: Axes, rows: list[pd.Series]) -> None:
    """A log axis, alike to both sides of 1, as far as the data go."""
    values = [value for row in rows for value in (row.speedup, row.low, row.high) if value > 0 and math.isfinite(value)]
    reach = max([math.log(1.3)] + [abs(math.log(value)) for value in values]) * 1.06
    axes.set_xscale("log")
    axes.set_xlim(math.exp(-reach), math.exp(reach))
    shown: list[float] = [1.0]
    for tick in sorted(TICKS, key=lambda one: abs(math.log(one)) if one != 1 else -1):
        room = min(abs(math.log(tick / one)) for one in shown) * PLOT / (2 * reach)
        if abs(math.log(tick)) <= reach and room >= style.text_width("0.95", style.BODY) + 0.08:
            shown.append(tick)
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axes.minorticks_off()
    axes.axvline(1, color=style.INK, linewidth=2.0, zorder=1)
    axes.set_xlabel("ratio of wall times, baseline / candidate (log scale)", fontsize=style.SMALL, labelpad=4)


def _color(row: pd.Series) -> str:
    if row.verdict not in ("faster", "slower"):
        return style.GREY
    return style.BLUE if row.speedup > 1 else style.VERMILION


def _marker(row: pd.Series) -> str:
    device = row.baseline.split("/")[2:3] or row.candidate.split("/")[2:3]
    return "D" if row.kind != CELL else MARKERS.get("".join(device), "^")


def _plot(axes: Axes, row: pd.Series, y: float) -> None:
    if math.isfinite(row.margin):
        edge = 1 + row.margin
        axes.add_patch(Rectangle((1 / edge, y - ROW / 2), edge - 1 / edge, ROW, color=BAND, linewidth=0, zorder=0.5))
    if math.isfinite(row.floor):
        axes.vlines([1 / row.floor, row.floor], y - ROW / 2, y + ROW / 2, color=NOISE, linewidth=0.8, zorder=0.8)
    if not math.isfinite(row.speedup):
        words = ": ".join(filter(None, (row.verdict, row.reason)))
        text = style.wrap(words, PLOT - 0.3, style.SMALL, most=1)[0]
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.text(0.03, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=style.SMALL, bbox=box,
                  zorder=4)  # fmt: skip
        return
    color, judged = _color(row), row.verdict in JUDGED
    axes.plot([row.low, row.high], [y, y], color=color, linewidth=2.4 if judged else 1.2, marker="|", markersize=8,
              markeredgewidth=2.0 if judged else 1.2, zorder=3)  # fmt: skip
    if judged:
        face = "white" if row.verdict == "inconclusive" else color
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
    if any(row.verdict == "inconclusive" for row in drawn):
        keys.append(Line2D([], [], color=style.GREY, marker="o", linestyle="none", markerfacecolor="white",
                           markeredgewidth=1.5, markersize=6.5, label="hollow: inconclusive"))  # fmt: skip
    if any(row.verdict == "too few repeats" for row in drawn):
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
