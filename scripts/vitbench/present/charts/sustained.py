"""The chart of long repeats: rate, memory, garbage collection and temperature, minute by minute."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from vitbench.analysis.sustained import LEAST_SECONDS, OF_REPEAT, SPAN, WARMING, trends
from vitbench.present import style
from vitbench.present.labels import DEVICES, number, variant_name, variant_of

WIDTH, HEIGHT, GAP, LEFT = 6.2, 1.5, 0.3, 0.85  # inches
# Canaries that lie no further apart (share) are of a machine that was as fast.
ALIKE = 0.03
# Column of the table → the axis it is drawn on.
PANELS = {
    "throughput": "images/s",
    "memory_mb": "memory, MB",
    "collecting_share": "share of time\ncollecting garbage",
    "celsius": "hottest sensor, °C",
}


def draw(table: pd.DataFrame, context: dict) -> Figure:
    """Draw the table `sustained`: one panel a quantity that is known, one line a repeat."""
    title = "Ten minutes and more at one go: does it keep its speed?"
    with style.theme():
        if table.empty:
            page = style.Page(8.0, 1.6, title, [style.origin(context)])
            axes = page.axes(style.MARGIN, page.top, 8.0 - 2 * style.MARGIN, 1.4)
            axes.set_xticks([])
            style.say(axes, f"No repeat had {LEAST_SECONDS / 60:.0f} minutes of passes: see config/sustained.yaml.")
            return page.figure
        known = [column for column in PANELS if table[column].notna().any()]
        repeats = list(table.groupby(list(OF_REPEAT), sort=False, dropna=False))
        names = [_name(dict(zip(OF_REPEAT, key, strict=True)), len(repeats)) for key, _ in repeats]
        beside = max(style.text_width(name, style.SMALL) for name in names) + 0.6
        width = style.MARGIN * 2 + LEFT + WIDTH + beside
        page = style.Page(width, len(known) * (HEIGHT + GAP) + 0.35, title, _caption(table, context))
        marks = style.marks_of(context, zip(table["framework"], table["variant"], strict=True))
        first = None
        for place, column in enumerate(known):
            axes = page.axes(style.MARGIN + LEFT, page.top + place * (HEIGHT + GAP), WIDTH, HEIGHT)
            for (key, group), name in zip(repeats, names, strict=True):
                mark = marks[key[OF_REPEAT.index("framework")], key[OF_REPEAT.index("variant")]]
                axes.plot(
                    group["minute"], group[column], color=mark.color, marker=mark.marker, markersize=4, label=name
                )
            axes.set_ylim(0, table[column].max() * 1.12 or 1)
            axes.set_ylabel(PANELS[column], fontsize=style.SMALL)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if column == "collecting_share":
                axes.yaxis.set_major_formatter(PercentFormatter(1))
            axes.set_xlim(0.5, table["minute"].max() + 0.5)
            first = first or axes
        axes.set_xlabel("minute of passes, pass 0 first")
        first.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False, fontsize=style.SMALL, borderaxespad=0)
        return page.figure


def _name(repeat: dict, repeats: int) -> str:
    again = f", repeat {repeat['repeat']:.0f}" if repeats > 2 else ""
    return f"{variant_name(repeat['framework'], repeat['variant'])}, {DEVICES[repeat['device']]}{again}"


def _memory(row: Any) -> str:
    return "" if math.isnan(row.memory_end) else f", memory {row.memory_begin:,.0f} → {row.memory_end:,.0f} MB"


def _machine(found: pd.DataFrame) -> str:
    """That the machine was not as fast beside one repeat as beside another, which no ratio of theirs knows of."""
    known = found.dropna(subset="canary")
    if known.empty or known["canary"].max() < known["canary"].min() * (1 + ALIKE):
        return ""
    each = ", ".join(f"{row.canary:.2f} for {variant_of(row)}" for row in known.itertuples(index=False))
    return f" The machine itself was not as fast beside all of them (matrix product of the canary, 1 as usual: {each})."


def _caption(table: pd.DataFrame, context: dict) -> list[str]:
    found = trends(table)
    how = (
        f"One line a repeat. After {WARMING} minutes of warm-up, the last {SPAN} minutes against the first {SPAN}: "
        + "; ".join(
            f"{variant_of(row)} {number(row.begin)} → {number(row.end)} images/s ({row.change:+.1%}){_memory(row)}"
            for row in found.itertuples(index=False)
        )
        + "."
        + _machine(found)
    )
    wrong = (
        "A pass counts in each minute by its share there. A neighbour on the machine slows one minute and not the"
        " next; heat and leaks go one way. A JVM takes memory in steps up to its heap's limit, which this chart cannot"
        " tell from a leak. Quantities that this machine does not tell are left out."
    )
    return [how, wrong, style.origin(context)]
