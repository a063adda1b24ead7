"""The chart of a job's plan: hours, and money or machine hours, against machines; all of it projection."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from vitbench.analysis.cost import MONEY, TIME
from vitbench.cells import NAME_COLUMNS
from vitbench.present import style
from vitbench.present.job_plan import headline, limits
from vitbench.present.labels import hardware_of, name_of

WIDTH, HEIGHT, LEFT, BETWEEN, HEAD, BELOW = 3.9, 3.2, 0.85, 1.0, 0.2, 0.62  # inches
KEY = 0.27  # of a line of the legend
RINGS = {MONEY: "least money", TIME: "least time on as many machines"}


def draw(plan: pd.DataFrame, context: dict) -> Figure:
    """Draw the table `plan`, a line a variant."""
    groups = list(plan.groupby(NAME_COLUMNS, sort=False, dropna=False))
    with style.theme():
        if not groups:
            page = style.Page(8.0, 1.6, "The plan of a job", [style.origin(context)])
            axes = page.axes(style.MARGIN, page.top, 8.0 - 2 * style.MARGIN, 1.4)
            axes.set_xticks([])
            style.say(axes, "There is no usable repeat on the full data set, so nothing can be planned.")
            return page.figure
        first = plan.iloc[0]
        title = f"Projection: {first.images:,.0f} images within {first.deadline_hours:g} hours"
        names = [_name(rows.iloc[0]) for _, rows in groups]
        keys = max(style.text_width(words, style.SMALL) for words in (*names, *RINGS.values())) + 0.6
        height = max(HEIGHT, KEY * (len(groups) + len(RINGS) + 1))
        width = 2 * style.MARGIN + LEFT + WIDTH + BETWEEN + WIDTH + keys
        caption = [headline(plan), " ".join(limits(plan)), style.origin(context)]
        page = style.Page(width, HEAD + height + BELOW, title, caption)
        panels = [page.axes(style.MARGIN + LEFT + at, page.top + HEAD, WIDTH, height) for at in (0, WIDTH + BETWEEN)]
        paid = "usd" if plan["usd"].notna().all() else "machine_hours"
        marks = style.marks_of(context, (_marked(rows.iloc[0]) for _, rows in groups))
        for (_, rows), name in zip(groups, names, strict=True):
            for axes, column in zip(panels, ("hours", paid), strict=True):
                _line(axes, rows.sort_values("machines"), column, marks[_marked(rows.iloc[0])], name)
        for word, words in RINGS.items():
            chosen = plan[plan["answer"].str.split("; ").map(lambda said, word=word: word in said)]
            if chosen.empty:
                continue
            look = {"s": 230 if word == MONEY else 120, "facecolor": "none", "edgecolor": style.INK, "zorder": 6}
            for axes, column in zip(panels, ("hours", paid), strict=True):
                axes.scatter(chosen["machines"], chosen[column], linewidth=1.4, label=words, **look)
        panels[0].axhline(first.deadline_hours, color=style.GREY, linestyle=(0, (5, 4)), linewidth=1.0)
        _scale(panels[0], plan, "hours until the last image (log scale)")
        _scale(panels[1], plan, "US dollars (log scale)" if paid == "usd" else "machine hours (log scale)")
        panels[1].legend(loc="upper left", bbox_to_anchor=(1 + 0.1 / WIDTH, 1), frameon=False, fontsize=style.SMALL,
                         borderaxespad=0, borderpad=0, labelspacing=0.8, handlelength=2.4)  # fmt: skip
        return page.figure


def _name(row) -> str:
    return f"{name_of(row)}, {hardware_of(row)}" + (" (in doubt)" if row.doubt else "")


def _marked(row) -> tuple[str, str]:
    """By what a cell has its mark: on the CPU with one worker the one that it has in every chart."""
    alone = row.device == "cpu" and row.workers == 1
    return row.framework, row.variant if alone else f"{row.variant}, {hardware_of(row)}"


def _line(axes: Axes, rows: pd.DataFrame, column: str, mark: style.Mark, name: str) -> None:
    """One variant: what is projected, and its range where there is one."""
    axes.plot(rows["machines"], rows[column], color=mark.color, marker=mark.marker, markersize=5, linewidth=1.5,
              linestyle=(0, mark.dashes) if mark.dashes else "-", label=name, zorder=4)  # fmt: skip
    if f"{column}_low" in rows:
        ranged = rows[rows[f"{column}_low"].notna()]
        axes.vlines(ranged["machines"], ranged[f"{column}_low"], ranged[f"{column}_high"], color=mark.color,
                    linewidth=1.4)  # fmt: skip


def _scale(axes: Axes, plan: pd.DataFrame, label: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(plan["machines"].min() / 1.4, plan["machines"].max() * 1.4)
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=9))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.12g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axes.minorticks_off()
    axes.set_xlabel("machines (log scale)")
    axes.set_ylabel(label)
