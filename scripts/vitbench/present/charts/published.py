"""The figures of the published series: seconds by batch size, seconds of picked runs, scaling, and its claims.

Each takes its entry of resources/published/figures.yaml and rows of the published tables, seconds on axes from zero.
"""

from __future__ import annotations

import math

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, ScalarFormatter

from vitbench.frameworks import FRAMEWORKS, title
from vitbench.present import style
from vitbench.present.labels import DEVICES, number, size_words

COLORS = {name: framework.color for name, framework in FRAMEWORKS.items()}
HATCHES = {"cpu": "", "gpu": "////"}
ONE_RUN = "One run each: no repeats, no interval; that the labels are the same was not checked."
SLOT, PLOT_HEIGHT, LEFT, ROW = 0.78, 3.4, 0.75, 0.62
LEAST_SLOTS = 6
NO_SIZE = "batch size\nnot stated"
ZONE, STATED = "#e9e9e9", "not\nstated"


def _title(figure: dict) -> str:
    part = str(figure["part"])
    return f"{figure['title']} · part{'s' if ' ' in part else ''} {part}"


def _decimals(seconds: float) -> str:
    """Seconds with the digits that tell published numbers apart: whole ones as such."""
    return f"{seconds:.0f}" if seconds == round(seconds) else f"{seconds:.{1 if seconds >= 100 else 2}f}"


def sweep(figure: dict, runs: pd.DataFrame, zone: pd.DataFrame, context: dict) -> Figure:
    """Bars of seconds by batch size of one group of cells; what the post picked is outlined, accidental repeats shaded.

    Args:
        runs: the group's rows: batch_size (NaN: not stated), wall_seconds, picked.
        zone: at most one row of the table of accidental repeats.
    """
    sizes: list[float] = sorted({*runs["batch_size"].dropna(), *map(float, figure.get("tried", []))})
    slots = sizes + [math.nan] * int(runs["batch_size"].isna().sum())
    seconds = {row.batch_size if row.batch_size == row.batch_size else None: row for row in runs.itertuples()}
    width = max(6.4, LEFT + SLOT * len(slots) + 2 * style.MARGIN + 0.1)
    hardware = f"Hardware as stated: {runs['hardware'].iloc[0]}."
    caption = [*_sweep_caption(runs, zone, sizes), ONE_RUN, hardware, context["origin"]]
    with style.theme():
        page = style.Page(width, PLOT_HEIGHT + 0.85, _title(figure), caption)
        axes = page.axes(style.MARGIN + LEFT, page.top + 0.1, width - 2 * style.MARGIN - LEFT - 0.1, PLOT_HEIGHT)
        highest = runs["wall_seconds"].max()
        axes.set_ylim(0, highest * (1.36 if len(zone) else 1.14))
        _zone(axes, zone, sizes, SLOT)
        frame = runs.assign(slot=[_slot(size, slots) for size in runs["batch_size"]])
        seaborn.barplot(frame, x="slot", y="wall_seconds", order=list(range(len(slots))), errorbar=None, width=0.66,
                        color=COLORS[runs["framework"].iloc[0]], ax=axes, zorder=3)  # fmt: skip
        for place, size in enumerate(slots):
            row = seconds.get(size if size == size else None)
            if row is None:
                axes.text(place, highest * 0.02, STATED, ha="center", va="bottom", size=style.SMALL,
                          color=style.FAINT_INK)  # fmt: skip
                continue
            axes.text(place, row.wall_seconds + highest * 0.015, _decimals(row.wall_seconds), ha="center", va="bottom",
                      size=style.SMALL, weight="bold" if row.picked else "normal", zorder=5)  # fmt: skip
            if row.picked:
                axes.bar(place, row.wall_seconds, 0.66, fill=False, edgecolor=style.INK, linewidth=2, hatch="//",
                         zorder=4)  # fmt: skip
        names = [f"{size:.0f}" if size == size else NO_SIZE for size in slots]
        axes.set_xticks(range(len(slots)), names)
        pad = max(0, LEAST_SLOTS - len(slots)) / 2  # one bar alone is no wall
        axes.set_xlim(-0.5 - pad, len(slots) - 0.5 + pad)
        axes.set(xlabel="batch size", ylabel="wall time, seconds (lower is better)")
        axes.grid(False, axis="x")
    return page.figure


def _slot(size: float, slots: list[float]) -> int:
    return slots.index(size) if size == size else len(slots) - 1


def _zone(axes: Axes, zone: pd.DataFrame, sizes: list[float], slot: float) -> None:
    """Shade the cells of one effective batch size, and print their spread above them."""
    for one in zone.itertuples(index=False):
        places = [sizes.index(float(size)) for size in one.batch_sizes.split(";")]
        axes.axvspan(min(places) - 0.5, max(places) + 0.5, color=ZONE, zorder=0, linewidth=0)
        words = f"same effective batch size ({one.effective_batch_size:.0f}), n={one.n:.0f}: "
        words += f"{number(one.low)} to {number(one.high)} s, CV {one.cv:.1%}"
        lines = style.wrap(words, slot * len(places) - 0.1, style.SMALL)
        axes.text(sum(places) / len(places), axes.get_ylim()[1] * 0.985, "\n".join(lines), ha="center", va="top",
                  size=style.SMALL, zorder=5)  # fmt: skip


def _sweep_caption(runs: pd.DataFrame, zone: pd.DataFrame, sizes: list[float]) -> list[str]:
    picked = runs[runs["picked"]].iloc[0]
    size = size_words(picked["batch_size"]) if picked["batch_size"] == picked["batch_size"] else "batch size not stated"
    notes = [f"Outlined and hatched: the run that the post picked ({size}, {_decimals(picked['wall_seconds'])} s)."]
    if len(sizes) > runs["batch_size"].nunique():
        notes[0] += ' "Not stated": tried, but its time stands only in a picture.'
    for one in zone.itertuples(index=False):
        words = (
            f"Shaded: Spark NLP forms batches inside a partition, and {one.partitions:.0f} partitions ({one.basis})"
            f" allow none above {one.effective_batch_size:.0f}: these cells repeat one measurement, and their spread is"
            " the noise of the experiment."
        )
        if one.picked == one.picked:
            words += " The picked run lies inside that noise."
        notes.append(words)
    return notes


def bars(figure: dict, runs: pd.DataFrame, context: dict) -> Figure:
    """Bars of seconds of picked runs, in the given order, each with its ratio to the first.

    Args:
        runs: rows with framework, variant, device, workers, batch_size, wall_seconds, hardware.
    """
    rows = list(runs.itertuples(index=False))
    first = rows[0].wall_seconds
    names = [_run_words(row) for row in rows]
    left = max(style.text_width(name, style.BODY) for name in names) + 0.15
    plot, right = 4.0, 2.6
    values = [f"{_decimals(row.wall_seconds)} s" for row in rows]
    for place, row in enumerate(rows[1:], 1):
        values[place] += f", {number(first / row.wall_seconds)} times as fast"
    hardware = [
        f"{stated}: {'; '.join(name for name, row in zip(names, rows, strict=True) if row.hardware == stated)}."
        for stated in dict.fromkeys(row.hardware for row in rows)
    ]
    with style.theme():
        width = 2 * style.MARGIN + left + plot + right
        caption = ["Ratios are against the first bar.", *hardware, ONE_RUN, context["origin"]]
        page = style.Page(width, ROW * len(rows) + 0.75, _title(figure), caption)
        axes = page.axes(style.MARGIN + left, page.top + 0.1, plot, ROW * len(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, max(row.wall_seconds for row in rows) * 1.04)
        for place, row in enumerate(rows):
            axes.barh(place, row.wall_seconds, 0.62, color=COLORS[row.framework], hatch=HATCHES[row.device],
                      edgecolor="white", linewidth=0, zorder=3)  # fmt: skip
            y = page.top + 0.1 + ROW * (place + 0.5)
            page.text(style.MARGIN + left - 0.1, y, names[place], ha="right", va="center")
            page.text(style.MARGIN + left + plot + 0.12, y, values[place], va="center",
                      weight="bold" if place else "normal")  # fmt: skip
        axes.set_yticks([])
        axes.set_xlabel("wall time, seconds (lower is better)")
        axes.grid(False, axis="y")
    return page.figure


def _run_words(row) -> str:
    size = size_words(row.batch_size) if row.batch_size == row.batch_size else "batch size not stated"
    workers = f", {row.workers:.0f} workers" if row.workers != 1 else ""
    onednn = ", oneDNN off" if row.variant.endswith("no-onednn") else ""
    return f"{title(row.framework)}, {DEVICES[row.device]}{workers}{onednn}, {size}"


def scaling(figure: dict, table: pd.DataFrame, context: dict) -> Figure:
    """Seconds, and parallel efficiency, over the number of workers, a line a device.

    Args:
        table: device, workers, wall_seconds, speedup, efficiency (seconds of one / (workers × seconds)), batch_size.
    """
    caption = [
        "Each point: the run that the post picked. Efficiency: seconds on one node / (workers × seconds), 100% is"
        " perfect scaling (dashed); the driver of the cluster is not counted. Batch sizes differ from point to point: "
        + "; ".join(f"{DEVICES[device]} {_batches(rows)}" for device, rows in table.groupby("device")) + ".",
        ONE_RUN,
        context["origin"],
    ]  # fmt: skip
    marks = dict(
        zip(table["device"].unique(), style.marks([("huggingface", ""), ("sparknlp", "")]).values(), strict=False)
    )
    workers = sorted(table["workers"].unique())
    with style.theme():
        page = style.Page(9.6, 4.3, _title(figure), caption)
        panels = [page.axes(style.MARGIN + LEFT + at, page.top + 0.35, 3.6, 3.2) for at in (0, 4.6)]
        for device, rows in table.groupby("device"):
            mark = marks[device]
            how = {"color": mark.color, "marker": mark.marker, "linestyle": (0, mark.dashes) if mark.dashes else "-"}
            panels[0].plot(rows["workers"], rows["wall_seconds"], label=DEVICES[device], **how)
            ideal = rows["wall_seconds"].iloc[0] * rows["workers"].iloc[0] / rows["workers"]
            panels[0].plot(rows["workers"], ideal, color=mark.color, linewidth=0.8, linestyle=(0, (5, 4)))
            panels[1].plot(rows["workers"], 100 * rows["efficiency"], label=DEVICES[device], **how)
            for row in rows[rows["workers"] > 1].itertuples():
                below = row.efficiency < table.loc[table["workers"] == row.workers, "efficiency"].mean()
                panels[1].annotate(f"{row.efficiency:.1%}", (row.workers, 100 * row.efficiency), size=style.SMALL,
                                   xytext=(0, -13 if below else 7), textcoords="offset points", ha="center",
                                   color=mark.color)  # fmt: skip
        panels[0].set_xscale("log", base=2)
        panels[0].set_yscale("log")
        panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panels[0].yaxis.set_major_formatter(ScalarFormatter())
        panels[0].set_ylim(table["wall_seconds"].min() * 0.7, table["wall_seconds"].max() * 1.4)
        panels[0].set_xlabel("workers (log scale)")
        panels[0].set_ylabel("wall time, seconds (log scale)")
        panels[1].axhline(100, color=style.GREY, linestyle=(0, (5, 4)), linewidth=0.8)
        panels[1].set_ylim(0, 115)
        panels[1].set_xlim(0.4, max(workers) + 0.9)
        panels[1].set_xlabel("workers")
        panels[1].set_ylabel("parallel efficiency, %")
        for panel in panels:
            panel.set_xticks(workers, [f"{worker:.0f}" for worker in workers])
            panel.minorticks_off()
        panels[0].legend(loc="lower left", frameon=True, fontsize=style.SMALL)
        panels[1].legend(loc="lower left", frameon=True, fontsize=style.SMALL)
    return page.figure


def _batches(rows: pd.DataFrame) -> str:
    return ", ".join(f"{size:.0f}" for size in rows["batch_size"])


def claims(figure: dict, table: pd.DataFrame, context: dict) -> Figure:
    """A row a claim, by verdict: the stated ratio and the recomputed one on a log2 axis.

    Args:
        table: id, claim, stated, dataset, device, recomputed, stated_ratio, recomputed_ratio, verdict.
    """
    groups = list(table.groupby("verdict", sort=False))
    places = [", ".join(str(part).split(" (")[0] for part in pair if isinstance(part, str))
              for pair in zip(table["dataset"], table["device"], strict=True)]  # fmt: skip
    words = {
        row.id: f"{row.id}  {row.claim}" + (f" ({place})" if place else "")
        for row, place in zip(table.itertuples(), places, strict=True)
    }
    stated = {row.id: str(row.stated) for row in table.itertuples()}
    recomputed = {row.id: row.recomputed if isinstance(row.recomputed, str) else "–" for row in table.itertuples()}
    columns = [max(style.text_width(text, style.SMALL) for text in column.values()) + 0.2
               for column in (words, stated, recomputed)]  # fmt: skip
    row_height, head, plot = 0.24, 0.34, 3.4
    body = sum(head + row_height * len(rows) for _, rows in groups)
    caption = [
        "Hollow diamond: the ratio as stated; dot: recomputed from the seconds of the runs that the post picked;"
        " percent faster are shown as ratios (65% faster = 1.65). One rule for all claims: see docs/published.md.",
        ONE_RUN,
        context["origin"],
    ]
    with style.theme():
        width = 2 * style.MARGIN + sum(columns) + plot + 0.3
        page = style.Page(width, body + 0.9, _title(figure), caption)
        left, top = style.MARGIN + columns[0] + columns[1] + 0.1, page.top + 0.3
        axes = page.axes(left, top, plot, body)
        axes.set_ylim(body, 0)
        axes.set_yticks([])
        axes.set_xscale("log", base=2)
        ratios = table[["stated_ratio", "recomputed_ratio"]].max().max()
        powers = range(0, math.ceil(math.log2(ratios)) + 1)
        axes.set_xlim(0.93, 2.0 ** max(powers) * 1.05)
        axes.set_xticks([2**power for power in powers], [str(2**power) for power in powers])
        axes.minorticks_off()
        axes.set_xlabel("times as fast (log scale)")
        for text, x in (("stated", left - columns[1]), ("recomputed", left + plot + 0.15)):
            page.text(x, top - 0.06, text, size=style.SMALL, weight="bold", va="bottom")
        y = 0.0
        for verdict, rows in groups:
            page.text(style.MARGIN, top + y + 0.1, f"{verdict} ({len(rows)})", weight="bold")
            axes.axhline(y, color="#b0b0b0", linewidth=0.8)
            y += head
            for row in rows.itertuples():
                middle = y + row_height / 2
                page.text(style.MARGIN, top + middle, words[row.id], size=style.SMALL, va="center")
                page.text(left - columns[1], top + middle, stated[row.id], size=style.SMALL, va="center")
                page.text(left + plot + 0.15, top + middle, recomputed[row.id], size=style.SMALL, va="center")
                if row.stated_ratio == row.stated_ratio:
                    axes.plot([row.stated_ratio, row.recomputed_ratio], [middle, middle], color=style.GREY, linewidth=1)
                    axes.plot(row.recomputed_ratio, middle, "o", color=style.BLUE, markersize=5, zorder=3)
                    axes.plot(row.stated_ratio, middle, "D", markerfacecolor="none", markeredgecolor=style.VERMILION,
                              markersize=7, markeredgewidth=1.3, zorder=4)  # fmt: skip
                else:
                    reason = "no ratio stated" if row.verdict != "cannot be tested" else row.reason
                    axes.text(0.02, middle, style.wrap(reason, plot - 0.15, style.SMALL, most=1)[0], va="center",
                              transform=axes.get_yaxis_transform(), size=style.SMALL, color=style.FAINT_INK,
                              bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
                y += row_height
    return page.figure
