"""The chart of scaling: throughput, and efficiency, against workers; ours, and the published clusters beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from vitbench.analysis.scaling import LEAST_WORKERS, USL, WHO, seconds_of
from vitbench.present import style
from vitbench.present.labels import DEVICES, number, number_of, percentage, several, variant_name

WIDTH, HEIGHT, LEFT, BETWEEN = 3.7, 3.0, 0.8, 0.95  # inches
HEAD, BELOW, ROW, GAP = 0.28, 0.62, 0.2, 0.25
HEADERS = ("workers", "throughput, images/s", "efficiency [95%]", "start and load, s", "waves", "n", "remark")
LAW_HEADERS = ("law", "at one time", "a pair costs", "farthest off", "slower beyond (projection)", "n", "remark")
LONGEST, KEY = 3.4, 0.27  # inches of a remark, and of a line of the legend
PUBLISHED = "published"
THEIRS = {device: style.Mark(style.GREY, marker, (4, 1.5)) for device, marker in (("cpu", "s"), ("gpu", "^"))}


def draw(scaling: pd.DataFrame, fits: pd.DataFrame, context: dict) -> Figure:
    """Draw the table `scaling` as two plots, with its numbers and those of `scaling_fits` under them."""
    title = "What do more workers bring? Throughput and parallel efficiency on the full data set"
    measured = scaling[scaling["throughput"].notna()]
    counts = measured.groupby(WHO)["workers"].nunique()
    scaled = {key for key, count in counts.items() if count > 1}
    shown = measured[[tuple(key) in scaled for key in measured[WHO].to_numpy()]]
    with style.theme():
        if shown.empty:
            page = style.Page(8.0, 1.6, title, [style.origin(context)])
            axes = page.axes(style.MARGIN, page.top, 8.0 - 2 * style.MARGIN, 1.4)
            axes.set_xticks([])
            style.say(axes, "No variant was measured with several numbers of workers: see `workers`.")
            return page.figure
        rows, laws = list(_rows(scaling, scaled)), list(_laws(fits))
        tables = [(HEADERS, rows), *([(LAW_HEADERS, laws)] if laws else [])]
        names, columns = _widths(tables)
        keys = max(style.text_width(_name(key), style.SMALL) for key, _ in shown.groupby(WHO)) + 0.6
        plots = LEFT + WIDTH + BETWEEN + WIDTH + keys
        width = 2 * style.MARGIN + max(plots, *(names + sum(each) + GAP * len(each) for each in columns))
        height = max(HEIGHT, KEY * len(scaled))
        body = HEAD + height + BELOW + sum(ROW * (len(each) + 1) + 0.25 for _, each in tables)
        page = style.Page(width, body, title, _caption(scaling, shown, fits, context))
        panels = [page.axes(style.MARGIN + LEFT + at, page.top + HEAD, WIDTH, height) for at in (0, WIDTH + BETWEEN)]
        ours = (_marked(key) for key, _ in shown.groupby(WHO, sort=False) if key[0] != PUBLISHED)
        marks = style.marks_of(context, ours)
        for key, cells in shown.groupby(WHO, sort=False):
            law = fits[(fits[WHO] == pd.Series(key, index=WHO)).all(axis=1) & (fits["law"] == USL)]
            mark = THEIRS[key[3]] if key[0] == PUBLISHED else marks[_marked(key)]
            _lines(panels, cells, law, mark, _name(key))
        _scales(panels, shown, fits["reach"].max())
        panels[1].legend(loc="upper left", bbox_to_anchor=(1 + 0.1 / WIDTH, 1), frameon=False, fontsize=style.SMALL,
                         borderaxespad=0, borderpad=0, labelspacing=0.8, handlelength=2.4)  # fmt: skip
        top = page.top + HEAD + height + BELOW
        for (headers, lines), each in zip(tables, columns, strict=True):
            _write(page, top, headers, lines, names, each)
            top += ROW * (len(lines) + 1) + 0.25
        return page.figure


def _marked(key: tuple) -> tuple[str, str]:
    """By what a variant of ours has its mark: on the CPU the one that it has in every chart."""
    _, framework, variant, device = key
    return framework, variant if device == "cpu" else f"{variant}, {device}"


def _name(key: tuple) -> str:
    source, framework, variant, device = key
    words = f"{variant_name(framework, variant)}, {DEVICES.get(device, device)}"
    return f"the series: {words}" if source == PUBLISHED else words


def _lines(panels: list[Axes], cells: pd.DataFrame, law: pd.DataFrame, mark: style.Mark, name: str) -> None:
    """One variant in both plots: means, their ranges and intervals, perfect scaling, and the law as far as it goes."""
    how = {"color": mark.color, "marker": mark.marker, "markersize": 7, "linewidth": 1.6, "zorder": 4}
    how["linestyle"] = (0, mark.dashes) if mark.dashes else "-"
    rates, shares = panels
    rates.plot(cells["workers"], cells["throughput"], label=name, **how)
    rates.vlines(cells["workers"], cells["throughput_low"], cells["throughput_high"], color=mark.color, linewidth=1.8)
    first = cells.iloc[0]
    ends = np.array([first.workers, cells["workers"].max()])
    rates.plot(ends, first.throughput * ends / first.workers, color=mark.color, linewidth=0.8, linestyle=(0, (5, 4)))
    known = cells[cells["efficiency"].notna()]
    shares.plot(known["workers"], 100 * known["efficiency"], label=name, **how)
    ranged = known[known["efficiency_low"].notna()]
    shares.vlines(ranged["workers"], 100 * ranged["efficiency_low"], 100 * ranged["efficiency_high"], color=mark.color,
                  linewidth=1.8)  # fmt: skip
    for one in law[law["reach"].notna()].itertuples(index=False):
        for low, high, style_of in ((one.fewest_workers, one.most_workers, "-"), (one.most_workers, one.reach, ":")):
            workers = np.linspace(low, high, 40)
            seconds = seconds_of(one.one_seconds, one.contention, one.coherency, workers)
            rates.plot(workers, first.images / seconds, color=mark.color, linewidth=1.0, linestyle=style_of, alpha=0.6)


def _scales(panels: list[Axes], shown: pd.DataFrame, reach: float) -> None:
    """The axes; the left one as far as any law reaches."""
    workers = sorted(shown["workers"].unique())
    farthest = np.nanmax([workers[-1], reach])
    rates, shares = panels
    rates.set_xscale("log", base=2)
    rates.set_yscale("log")
    rates.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    rates.yaxis.set_major_formatter(ScalarFormatter())
    rates.yaxis.set_minor_formatter(NullFormatter())
    rates.set_ylim(shown["throughput_low"].min() / 1.5, shown["throughput_high"].max() * 1.6 * farthest / workers[-1])
    rates.set_xlabel("workers (log scale)")
    rates.set_ylabel("images/s (log scale)")
    shares.set_xscale("log", base=2)
    shares.axhline(100, color=style.GREY, linestyle=(0, (5, 4)), linewidth=0.8)
    highest = np.nanmax([1.0, shown["efficiency"].max(), shown["efficiency_high"].max()])
    shares.set_ylim(0, 100 * highest * 1.12)
    shares.set_xlabel("workers (log scale)")
    shares.set_ylabel("parallel efficiency, %")
    for panel in panels:
        panel.set_xlim(workers[0] / 1.25, (farthest if panel is rates else workers[-1]) * 1.25)
        panel.set_xticks(workers, [f"{one:.0f}" for one in workers])
        panel.minorticks_off()


def _rows(scaling: pd.DataFrame, several_workers: set[tuple]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and numbers of each row of a variant that was measured with several numbers of workers."""
    for row in scaling.itertuples(index=False):
        key = tuple(getattr(row, name) for name in WHO)
        if key not in several_workers:
            continue
        start = row.start_seconds + row.load_seconds
        yield _name(key), (
            number_of(row.workers), number(row.throughput), _share(row, "efficiency"), number(start),
            number_of(row.waves), number_of(row.blocks), _remark(row.reason),
        )  # fmt: skip


def _laws(fits: pd.DataFrame) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and numbers of each law, or why there is none."""
    for row in fits.itertuples(index=False):
        pairs = _share(row, "coherency", 2) if row.law == USL else "–"  # Amdahl's law knows none
        off = f"{row.residual:+.1%} at {row.residual_workers:.0f}" if math.isfinite(row.residual) else "–"
        yield _name(tuple(getattr(row, name) for name in WHO)), (
            row.law, _share(row, "contention"), pairs, off, number_of(row.peak_workers),
            number_of(row.blocks), _remark(row.reason),
        )  # fmt: skip


def _share(row, column: str, decimals: int = 1) -> str:
    """A share as per cent, with the ends of its interval where it has any."""
    value, low, high = (getattr(row, name) for name in (column, f"{column}_low", f"{column}_high"))
    if not math.isfinite(value):
        return "–"
    ends = f" [{low:.{decimals}%}, {high:.{decimals}%}]" if math.isfinite(low) else ""
    return f"{value:.{decimals}%}{ends}"


def _remark(reason: str) -> str:
    return (style.wrap(reason, LONGEST, style.SMALL, most=1) or [""])[0]


def _widths(tables: list[tuple[tuple[str, ...], list]]) -> tuple[float, list[list[float]]]:
    """Inches of the names, and of each column of each table."""
    names = max(style.text_width(name, style.SMALL) for _, rows in tables for name, _ in rows) + 0.1
    columns = [
        [
            max(
                style.text_width(header, style.SMALL, "bold"),
                *(style.text_width(one[at], style.SMALL) for _, one in rows),
            )
            for at, header in enumerate(headers)
        ]
        for headers, rows in tables
    ]
    return names, columns


def _write(
    page: style.Page, top: float, headers: tuple[str, ...], rows: list, names: float, columns: list[float]
) -> None:  # fmt: skip
    """A table under the plots: numbers aligned right, the last column, words, from its left edge."""
    edges = [style.MARGIN + names + sum(columns[: at + 1]) + GAP * (at + 1) for at in range(len(columns))]
    page.text(style.MARGIN, top, "variant", size=style.SMALL, weight="bold")
    for place, (name, _) in enumerate(rows):
        page.text(style.MARGIN, top + ROW * (place + 1), name, size=style.SMALL)
    for at, header in enumerate(headers):
        words = at == len(headers) - 1
        x, side = edges[at] - (columns[at] if words else 0), "left" if words else "right"
        page.text(x, top, header, size=style.SMALL, weight="bold", ha=side)
        for place, (_, numbers) in enumerate(rows):
            page.text(x, top + ROW * (place + 1), numbers[at], size=style.SMALL, ha=side)


def _caption(scaling: pd.DataFrame, shown: pd.DataFrame, fits: pd.DataFrame, context: dict) -> list[str]:
    how = (
        "Mark and bar, left: geometric mean and range of the blocks; thin dashes: perfect scaling from the fewest"
        " workers. Right: seconds of the fewest workers × their number / (seconds × workers), paired by block, with its"
        " 95% interval from two blocks on. Starting and loading are in neither. Thin line: the Universal Scalability"
        f" Law, where there are {LEAST_WORKERS} numbers of workers; dotted: projection, to twice the most of them."
    )
    theirs = shown["source"] == PUBLISHED
    beside = "The series: one run a point, no interval, its driver not counted, its batch sizes from point to point "
    beside += "; ".join(
        f"{DEVICES.get(device, device)} {', '.join(number_of(size) for size in rows['batch_size'])}"
        for device, rows in shown[theirs].groupby("device")
    )
    ours = scaling[scaling["source"] != PUBLISHED]
    alone = ours.loc[ours["throughput"].notna(), WHO].drop_duplicates()
    left_out = len(alone) - len(shown.loc[~theirs, WHO].drop_duplicates())
    one = f"{several(left_out, 'variant')} of ours with one number of workers is not shown." if left_out else ""
    lost = ours["efficiency"].min()
    least = f"Least efficiency of ours: {percentage(lost)}." if math.isfinite(lost) and (~theirs).any() else ""
    return [how, f"{beside}." if theirs.any() else "", " ".join(filter(None, [one, least])), style.origin(context)]
