"""The chart of data sets of several sizes: seconds an image against images, and hours for a million of them."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from vitbench.analysis.total_time import LEAST, LEAST_SIZES
from vitbench.cells import NAME_COLUMNS
from vitbench.present import style
from vitbench.present.labels import DEVICES, hardware_of, number, number_of, several, size_words, variant_name

PLOT, HEIGHT, LEFT = 6.2, 3.0, 0.75  # inches
HEAD, BELOW, ROW = 0.28, 0.62, 0.2
HEADERS = ("total seconds", "hours for a million images", "n", "remark")
APART = 0.35  # inches between the labels of two sizes, at least


def draw(sizes: pd.DataFrame, total: pd.DataFrame, context: dict) -> Figure:
    """Draw the tables `data_set_sizes` (a line a variant) and `total_time` (a row of numbers under it)."""
    title = "Does the size of the data set change the answer? Milliseconds an image at each size"
    measured = sizes[sizes["seconds_an_image"].notna()]
    with style.theme():
        if measured.empty:
            page = style.Page(8.0, 1.6, title, [style.origin(context)])
            axes = page.axes(style.MARGIN, page.top, 8.0 - 2 * style.MARGIN, 1.4)
            axes.set_xticks([])
            style.say(axes, "There is no usable repeat on a data set of the role `sizes`: see config/sizes.yaml.")
            return page.figure
        marks = style.marks_of(context, zip(sizes["framework"], sizes["variant"], strict=True))
        parts = [(device, rows, _rows(total[total["device"] == device])) for device, rows in measured.groupby("device")]
        every = [row for _, _, rows in parts for row in rows]
        names = max(style.text_width(name, style.SMALL) for name, _ in every) + 0.1
        columns = [
            max(
                style.text_width(header, style.SMALL, "bold"),
                *(style.text_width(row[at], style.SMALL) for _, row in every),
            )
            for at, header in enumerate(HEADERS)
        ]
        keys = max(style.text_width(_name(key), style.SMALL) for key, _ in measured.groupby(NAME_COLUMNS)) + 0.6
        width = 2 * style.MARGIN + max(LEFT + PLOT + keys, names + sum(columns) + 0.25 * len(columns))
        room = [HEAD + HEIGHT + BELOW + ROW * (len(rows) + 1) + 0.15 for _, _, rows in parts]
        page = style.Page(width, sum(room), title, _caption(sizes, total, context))
        top = page.top
        for (device, rows, written), height in zip(parts, room, strict=True):
            page.text(style.MARGIN + LEFT, top, DEVICES.get(device, device), weight="bold")
            axes = page.axes(style.MARGIN + LEFT, top + HEAD, PLOT, HEIGHT)
            _panel(axes, rows, marks)
            axes.legend(loc="upper left", bbox_to_anchor=(1 + 0.1 / PLOT, 1), frameon=False, fontsize=style.SMALL,
                        borderaxespad=0, borderpad=0, labelspacing=0.8, handlelength=2.4)  # fmt: skip
            _write_rows(page, top + HEAD + HEIGHT + BELOW, written, names, columns)
            top += height
        return page.figure


def _name(key: tuple) -> str:
    framework, variant, _, workers, size = key
    return f"{variant_name(framework, variant)}, {size_words(size)}" + (
        f", {workers:.0f} workers" if workers > 1 else ""
    )


def _panel(axes: Axes, measured: pd.DataFrame, marks: dict) -> None:
    images = sorted(measured["images"].unique())
    groups = list(measured.groupby(NAME_COLUMNS, sort=False))
    span = math.log(images[-1] / images[0]) if len(images) > 1 else 1.0
    axes.set_xscale("log")
    axes.set_xlim(images[0] / math.exp(0.12 * span), images[-1] * math.exp(0.12 * span))
    for place, (key, rows) in enumerate(groups):
        mark = marks[key[:2]]
        # Beside each other, or the bars of variants that are as fast would hide one another.
        x = rows["images"] * math.exp(0.012 * span * (place - (len(groups) - 1) / 2))
        axes.vlines(
            x, 1000 * rows["seconds_low"], 1000 * rows["seconds_high"], color=mark.color, linewidth=1.8, zorder=3
        )
        axes.plot(x, 1000 * rows["seconds_an_image"], color=mark.color, marker=mark.marker, markersize=7, linewidth=1.6,
                  linestyle=(0, mark.dashes) if mark.dashes else "-", zorder=4, label=_name(key))  # fmt: skip
    axes.set_ylim(0, 1000 * measured["seconds_high"].max() * 1.12)
    axes.xaxis.set_minor_locator(NullLocator())
    shown = _apart(images, math.exp(APART / PLOT * 1.24 * span))
    axes.set_xticks(images, [f"{size:,.0f}" if size in shown else "" for size in images])
    axes.set_xlabel("images of the data set (log scale)")
    axes.set_ylabel("milliseconds an image")


def _apart(images: list[float], factor: float) -> list[float]:
    """The sizes that are labelled: each at least `factor` times the one before."""
    shown = [images[0]]
    for size in images[1:]:
        if size >= shown[-1] * factor:
            shown.append(size)
    return shown


def _rows(total: pd.DataFrame) -> list[tuple[str, tuple[str, ...]]]:
    """Name and numbers of each variant's line."""
    rows = []
    for row in total.itertuples(index=False):
        line = "–"
        if math.isfinite(row.seconds_an_image):
            line = f"{number(row.fixed_seconds)} s + {number(1000 * row.seconds_an_image)} ms an image"
        hours = "–"
        if math.isfinite(row.hours):
            hours = f"{number(row.hours)} [{number(row.hours_low)}, {number(row.hours_high)}]"
        remark = row.reason
        if not remark and math.isfinite(row.departure):
            remark = f"{row.departure:+.1%} off the line at most, within the noise"
        words = style.wrap(remark, 4.6, style.SMALL, most=1) or [""]
        name = _name((row.framework, row.variant, row.device, row.workers, row.batch_size))
        rows.append((name, (line, hours, number_of(row.blocks), words[0])))
    return rows


def _write_rows(page: style.Page, top: float, rows: list, names: float, columns: list[float]) -> None:
    """The lines under the plot, numbers aligned; the last column, words, from its left edge."""
    edges = [style.MARGIN + names + sum(columns[: at + 1]) + 0.25 * (at + 1) for at in range(len(columns))]
    for at, header in enumerate(HEADERS):
        words = at == len(HEADERS) - 1
        x, side = edges[at] - (columns[at] if words else 0), "left" if words else "right"
        page.text(x, top, header, size=style.SMALL, weight="bold", ha=side)
        for place, (_, numbers) in enumerate(rows):
            page.text(x, top + ROW * (place + 1), numbers[at], size=style.SMALL, ha=side)
    page.text(style.MARGIN, top, "variant", size=style.SMALL, weight="bold")
    for place, (name, _) in enumerate(rows):
        page.text(style.MARGIN, top + ROW * (place + 1), name, size=style.SMALL)


def _caption(sizes: pd.DataFrame, total: pd.DataFrame, context: dict) -> list[str]:
    judged = sizes[sizes["ratio"].notna()]
    counts = judged["verdict"].value_counts(sort=False)
    against = f"{several(len(judged), 'ratio')} to a variant's largest data set: "
    against += ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    noise = judged[judged["within_floor"] != ""]
    if len(noise):
        inside, beyond = (int((noise["within_floor"] == word).sum()) for word in ("yes", "no"))
        against += f"; of {len(noise)}, {inside} surely within what noise alone reaches by the A/A controls, {beyond}"
        against += " surely beyond it"
    how = (
        "Mark and bar: geometric mean and range of the blocks, each a fresh process. Below: total seconds = start,"
        " load, what the cold pass takes longer and what a pass costs whatever its size + images × seconds an image, a"
        " weighted line through the timed passes of each block; n: blocks with every size."
        f" Hours with their 95% interval over the blocks, from {LEAST_SIZES}"
        f" sizes and {LEAST} blocks on, where the seconds lie on a line but for noise. A million images are far beyond"
        " what was measured: the interval knows the noise, and no heat, full disk or slow network."
    )
    without = total[total["hours"].isna()]
    more = "Without hours: " + "; ".join(
        f"{variant_name(row.framework, row.variant)}, {hardware_of(row)}, {row.reason}"
        for row in without.itertuples(index=False)
    )
    return [how, f"{against}." if len(judged) else "", f"{more}." if len(without) else "", style.origin(context)]
