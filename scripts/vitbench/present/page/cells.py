"""Cells in numbers: the sweep over batch sizes and the full run."""

from __future__ import annotations

import math

import pandas as pd

from vitbench.analysis.summary import usable
from vitbench.cells import NAME_COLUMNS, VARIANT, cell_name
from vitbench.flags import NOT_REACHED
from vitbench.present import style
from vitbench.present.labels import (
    DEVICES,
    brackets,
    failure_notes,
    hardware_of,
    name_of,
    number,
    number_of,
    percentage,
    variant_name,
    why_aside,
)
from vitbench.present.page import axes
from vitbench.present.page.parts import (
    INK,
    Dot,
    Key,
    Line,
    Looks,
    Notes,
    Panels,
    Plot,
    Section,
    Span,
    Strip,
    StripRow,
    grid,
    of_hardware,
    of_numbers,
    of_variant,
    of_words,
)


def _set_aside(cells: pd.DataFrame) -> list[str]:
    """How many ok repeats were set aside, and which cells have no other."""
    aside = cells["set_aside"].fillna(0)
    if not aside.sum():
        return []
    alone = cells[(cells["status"] == "ok") & (cells["repeats"] == 0)]
    why = why_aside(cells)
    line = f"Set aside as {why}, and in no number here: {aside.sum():.0f} of the repeats."
    return [line + (f" Nothing but such: {', '.join(map(cell_name, alone.to_dict('records')))}." if len(alone) else "")]


def sweep(summary: pd.DataFrame, runs: pd.DataFrame, best: pd.DataFrame, looks: Looks) -> Section | None:
    """Throughput against batch size on the sample, a panel a device."""
    sample = summary[summary["dataset"] == "sample"]
    measured = sample[(sample["status"] == "ok") & (sample["repeats"] > 0)]
    if measured.empty:
        return None
    chosen = {
        (*(getattr(row, column) for column in VARIANT), row.kept if math.isfinite(row.kept) else row.batch_size)
        for row in best.itertuples(index=False)
    }
    panels = [
        _throughputs(device, rows, sample[sample["device"] == device], chosen, looks)
        for device, rows in measured.groupby("device", sort=False)
    ]
    notes = _set_aside(sample) + failure_notes(runs[runs["dataset"] == "sample"])
    columns = {
        "variant": of_variant,
        "device": of_hardware,
        "batch size": of_numbers("batch_size", number_of),
        "images/s": of_numbers("throughput", number),
        "low": of_numbers("throughput_low", number),
        "high": of_numbers("throughput_high", number),
        "n": of_numbers("repeats", number_of),
        "flags": of_words("flags"),
    }
    sizes = {
        "variant": of_variant,
        "device": of_hardware,
        "best now": of_numbers("batch_size", number_of),
        "the full run used": of_numbers("kept", number_of),
        "remark": of_words("reason"),
    }
    parts = [Panels(tuple(panels)), *([Notes(tuple(notes))] if notes else [])]
    parts.append(grid("Best batch sizes", best.itertuples(index=False), sizes))
    # A set-aside repeat is in no number, also where there is no other.
    carried = sample.copy()
    carried.loc[carried["repeats"] == 0, ["throughput", "throughput_low", "throughput_high"]] = math.nan
    parts.append(
        grid("Throughput by batch size", carried.itertuples(index=False), columns, folded="The sweep in numbers")
    )
    return Section(
        "sweep",
        "Batch sizes",
        tuple(parts),
        read="Images a second on the sample; each mark is the median of the repeats, its bar their range. A ring marks"
        " the best batch size, which the full run uses. A cross on the zero line gave no number. Hollow: no batch was"
        " as large as asked for.",
        wrong="A best batch size with a neighbour inside its bar may be another one next time; a hollow mark compares"
        " settings of the engine, not batches.",
    )


def _throughputs(device: str, measured: pd.DataFrame, every: pd.DataFrame, chosen: set, looks: Looks) -> Plot:
    x = axes.sizes(every["batch_size"])
    y = axes.linear(measured["throughput_high"])
    lines, rings = [], []
    for key, rows in measured.groupby(["framework", "variant", "workers"], sort=False):
        look = looks[key[:2]]
        points, whiskers = [], []
        for row in rows.sort_values("batch_size").itertuples(index=False):
            words = f"{name_of(row)}: {number(row.throughput)} images/s"
            words += f"{brackets(row.throughput_low, row.throughput_high, number)}, n = {row.repeats:.0f}"
            place = Dot(
                x.at(row.batch_size), look.color, words, look.glyph, NOT_REACHED in row.flags, y=y.down(row.throughput)
            )
            points.append(place)
            whiskers.append((place.x, y.down(row.throughput_high), y.down(row.throughput_low), words))
            if (row.framework, row.variant, row.device, row.workers, row.batch_size) in chosen:
                rings.append(place)
        several = f", {key[2]:.0f} workers" if key[2] != 1 else ""
        lines.append(
            Line(
                f"{variant_name(*key[:2])}{several}",
                look.color,
                tuple(points),
                look.glyph,
                look.dashed,
                whiskers=tuple(whiskers),
            )
        )
    failed = every[~every["status"].isin(["ok", "skipped"])].dropna(subset="batch_size")
    crosses = tuple(
        Dot(
            x.at(row.batch_size),
            looks[row.framework, row.variant].color,
            f"{name_of(row)}: {row.status}{f', {row.reason}' if getattr(row, 'reason', '') else ''}",
            "cross",
            y=100.0,
        )
        for row in failed.itertuples(index=False)
    )
    if crosses:
        lines.append(Line("no number", INK, crosses, "cross", joined=False))
    top = measured.loc[measured["throughput"].idxmax()]
    return Plot(
        title=f"Throughput by batch size, {DEVICES.get(device, device)}",
        x=x,
        y=y,
        x_label="batch size (log scale)",
        y_label="images/s",
        lines=tuple(lines),
        rings=tuple(rings),
        alt=f"Throughput by batch size on the {DEVICES.get(device, device)}, {len(lines)} lines; the highest is"
        f" {name_of(top)} with {number(top.throughput)} images a second; the numbers are in the table below",
    )


def full(summary: pd.DataFrame, runs: pd.DataFrame, looks: Looks) -> Section | None:
    """Wall time of the full set, each variant at its best batch size."""
    cells = summary[summary["dataset"] == "full"]
    measured = cells[cells["status"] == "ok"]
    if measured.empty:
        return None
    axis = axes.linear([*measured["high"], *measured["cold_median"]])
    repeats = runs[(runs["dataset"] == "full") & usable(runs)]
    rows = tuple(_wall(row, repeats, axis, looks) for row in cells.itertuples(index=False))
    notes = _set_aside(cells) + failure_notes(runs[runs["dataset"] == "full"])
    chart = Strip(
        caption="Wall time of the full set, each variant at its best batch size",
        axis=axis,
        label="wall time, seconds (from zero)",
        head="variant",
        columns=("median [range], s", "images/s", "cold, s", "start + load, s", "right", "n"),
        rows=rows,
        key=(
            Key("dot", style.BLUE, "median and range of the repeats"),
            Key("small", style.BLUE, "one repeat"),
            Key("dot", style.BLUE, "cold pass", hollow=True),
        ),
    )
    return Section(
        "full",
        "The full run",
        (chart, *([Notes(tuple(notes))] if notes else [])),
        read="Wall time goes from paths known, model loaded and session up to every image labelled in the driver. Mark"
        " and bar: median and range of the repeats, each a fresh process; small dots: single repeats; hollow: the cold"
        " (first) pass. The axis begins at zero, so lengths may be compared.",
        wrong="A small data set that the memory holds says nothing of one that comes from a slow disk; all files were"
        " read once before, for every framework alike.",
    )


def _wall(row, repeats: pd.DataFrame, axis: axes.Axis, looks: Looks) -> StripRow:
    look = looks[row.framework, row.variant]
    begin = {"name": name_of(row), "under": ", ".join(filter(None, (hardware_of(row), row.precision, row.setting)))}
    if row.status != "ok" or not row.repeats:
        words = row.status if row.status != "ok" else "all repeats set aside"
        return StripRow(**begin, words=words, cells=("–",) * 6)
    same = repeats
    for column in NAME_COLUMNS:
        same = same[same[column] == getattr(row, column)]
    words = f"{name_of(row)}: {number(row.median)} s{brackets(row.low, row.high, number)}, n = {row.repeats:.0f}"
    dots = [
        Dot(
            axis.at(one.wall_seconds),
            look.color,
            f"block {one.block:.0f}: {number(one.wall_seconds)} s",
            small=True,
            y=86.0,
        )
        for one in same.itertuples(index=False)
    ]
    if math.isfinite(row.cold_median):
        cold = f"{name_of(row)}: cold pass {number(row.cold_median)} s"
        dots.append(Dot(axis.at(row.cold_median), look.color, cold, look.glyph, hollow=True))
    dots.append(Dot(axis.at(row.median), look.color, words, look.glyph))
    return StripRow(
        **begin,
        spans=(Span(axis.at(row.low), axis.at(row.high), look.color, words),),
        dots=tuple(dots),
        cells=(
            f"{number(row.median)}{brackets(row.low, row.high, number)}",
            number(row.throughput),
            number(row.cold_median),
            number(row.start_median + row.load_median),
            percentage(row.accuracy),
            number_of(row.repeats),
        ),
    )
