"""What more workers bring, and what a million images cost on each number of them."""

from __future__ import annotations

import math

import pandas as pd

from vitbench.analysis.scaling import LEAST_WORKERS, USL, WHO
from vitbench.present.charts.scaling import PUBLISHED
from vitbench.present.job_plan import ranged
from vitbench.present.labels import DEVICES, name_of, number, number_of, variant_of
from vitbench.present.page import axes
from vitbench.present.page.parts import (
    GREY,
    Dot,
    Entry,
    Line,
    Look,
    Looks,
    Panels,
    Plot,
    Section,
    grid,
    of_hardware,
    of_numbers,
    of_words,
)


def scaling(table: pd.DataFrame, fits: pd.DataFrame, looks: Looks) -> Section | None:
    """Throughput and efficiency by workers, ours and the published; None where ours has one number of workers."""
    measured = table[table["throughput"].notna()]
    counts = measured.groupby(WHO)["workers"].nunique()
    several = {key for key, count in counts.items() if count > 1}
    if not any(source != PUBLISHED for source, *_ in several):
        return None
    shown = measured[[tuple(key) in several for key in measured[WHO].to_numpy()]]
    # Logarithmic: a cluster of the series and a small machine of ours stand in one plot.
    rates = axes.decades([*shown["throughput_low"], *shown["throughput_high"]])
    shares = axes.linear(100 * shown[["efficiency", "efficiency_high"]].max(axis=1), least=100.0)
    plots = (
        _plot(shown, "throughput", "images a second (log scale)", rates, looks, 1.0),
        _plot(shown, "efficiency", "per cent", shares, looks, 100.0),
    )
    points = {
        "whose": (False, lambda row: Entry(_whose(row))),
        "variant": (False, lambda row: Entry(name_of(row))),
        "device": (False, lambda row: Entry(DEVICES.get(row.device, row.device))),
        "workers": of_numbers("workers", number_of),
        "images/s [range]": (True, lambda row: Entry(ranged(row, "throughput"), row.throughput)),
        "efficiency [95%]": (True, lambda row: Entry(_percent(row, "efficiency"), row.efficiency)),
        "start and load, s": (True, lambda row: Entry(number(_start(row)), _start(row))),
        "waves": of_numbers("waves", number_of),
        "n": of_numbers("blocks", number_of),
        "remark": of_words("reason"),
    }
    laws = {
        "whose": (False, lambda row: Entry(_whose(row))),
        "variant": (False, lambda row: Entry(f"{variant_of(row)}, {DEVICES.get(row.device, row.device)}")),
        "law": of_words("law"),
        "numbers of workers": of_numbers("points", number_of),
        "at one time [95%]": (True, lambda row: Entry(_percent(row, "contention"), row.contention)),
        "a pair costs [95%]": (True, lambda row: Entry(_pairs(row), row.coherency)),
        "slower beyond (projection)": of_numbers("peak_workers", number_of),
        "farthest off": (True, lambda row: Entry(_off(row), row.residual)),
        "believed up to": of_numbers("reach", number_of),
        "n": of_numbers("blocks", number_of),
        "remark": of_words("reason"),
    }
    return Section(
        "scaling",
        "More workers",
        (
            Panels(plots),
            grid("Each number of workers", table.itertuples(index=False), points),
            grid("Laws through them", fits.itertuples(index=False), laws),
        ),
        read="Images a second, and parallel efficiency: seconds of the fewest workers × their number / (seconds ×"
        " workers), paired by block, with its 95% interval from two blocks on. Starting and loading stand apart and are"
        f" in neither. A law takes {LEAST_WORKERS} numbers of workers, and is believed up to twice the most of them."
        " Grey: the clusters of the series, one run a point, by the same code.",
        wrong="Workers that are processes of one machine share its memory and caches, which workers with a machine each"
        " do not. Each number of workers has its own best batch size, so a step may be that of the batch size. The"
        " series does not count its driver.",
    )


def _whose(row) -> str:
    return "the series" if row.source == PUBLISHED else "ours"


def _start(row) -> float:
    return row.start_seconds + row.load_seconds


def _off(row) -> str:
    return f"{row.residual:+.1%} ({row.residual_workers:.0f} workers)" if math.isfinite(row.residual) else "–"


def _percent(row, column: str, decimals: int = 1) -> str:
    """A share as per cent, with its ends where it has any."""
    value, low, high = (getattr(row, name) for name in (column, f"{column}_low", f"{column}_high"))
    if not math.isfinite(value):
        return "–"
    return f"{value:.{decimals}%}" + (f" [{low:.{decimals}%}, {high:.{decimals}%}]" if math.isfinite(low) else "")


def _pairs(row) -> str:
    """What a pair costs, of which only the one law says anything."""
    return _percent(row, "coherency", 2) if row.law == USL else "–"


def _plot(shown: pd.DataFrame, column: str, label: str, y: axes.Axis, looks: Looks, factor: float) -> Plot:
    """A line a variant and device over the numbers of workers."""
    x = axes.sizes(shown["workers"])
    lines = []
    for (source, framework, variant, device), rows in shown.groupby(WHO, sort=False):
        theirs = source == PUBLISHED
        look = Look(GREY, "square" if device == "cpu" else "up", True) if theirs else looks[framework, variant]
        rows = rows[rows[column].notna()]
        name = f"{_whose(rows.iloc[0])}: {variant_of(rows.iloc[0])}, {DEVICES.get(device, device)}"
        points, whiskers = [], []
        for row in rows.itertuples(index=False):
            value, low, high = (factor * getattr(row, end) for end in (column, f"{column}_low", f"{column}_high"))
            words = f"{name}, {row.workers:.0f} workers: {number(value)} {label.removesuffix(' (log scale)')}"
            points.append(Dot(x.at(row.workers), look.color, words, look.glyph, y=y.down(value)))
            if math.isfinite(low):
                whiskers.append((x.at(row.workers), y.down(high), y.down(low), words))
        lines.append(Line(name, look.color, tuple(points), look.glyph, look.dashed, whiskers=tuple(whiskers)))
    title = f"{column.capitalize()} by number of workers"
    few, many = shown["workers"].min(), shown["workers"].max()
    return Plot(
        title=title,
        x=x,
        y=y,
        x_label="workers (log scale)",
        y_label=label,
        lines=tuple(lines),
        alt=f"{title}: {len(lines)} lines from {few:.0f} to {many:.0f} workers; the numbers are in the table below",
    )


def cost(table: pd.DataFrame) -> Section | None:
    """Hours and money for a million images, and which is least; None where there is no cell of ours."""
    if not (table["source"] != PUBLISHED).any():
        return None
    columns = {
        "whose": (False, lambda row: Entry(_whose(row))),
        "variant": (False, lambda row: Entry(name_of(row))),
        "hardware": of_hardware,
        "machines": of_numbers("machines", number_of),
        "hours [range]": (True, lambda row: Entry(ranged(row, "hours"), row.hours)),
        "from": of_words("hours_from"),
        "machine hours": of_numbers("machine_hours", number),
        "US dollars [range]": (True, lambda row: Entry(ranged(row, "usd"), row.usd)),
        "least": of_words("least"),
        "in doubt": (False, lambda row: Entry(row.doubt, warns=row.doubt != "")),
        "remark": of_words("reason"),
    }
    return Section(
        "cost",
        "Cost of a million images",
        (grid("Hours and money, by projection", table.itertuples(index=False), columns),),
        read="Hours of a million images on the machines that were measured, start and load included; from `sizes` with"
        " a 95% interval, from `full` with the range of the blocks. Money is the price of a machine an hour times all"
        " machine hours, and each machine's start. The least time and the least money are two answers.",
        wrong="A million images are far beyond what was measured. Prices are those of resources/prices.tsv, of the day"
        " that stands there; where one is not filled in, the cost is not known. Of the series nobody states how long"
        " its machines and processes took to start, or what its driver was.",
    )
