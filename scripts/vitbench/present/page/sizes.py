"""Data sets of several sizes: whether the size changes the answer, and how long a million images take."""

from __future__ import annotations

import math

import pandas as pd

from vitbench.analysis.total_time import LEAST, LEAST_SIZES
from vitbench.cells import NAME_COLUMNS
from vitbench.present.labels import DEVICES, brackets, hardware_of, name_of, number, number_of
from vitbench.present.page import axes
from vitbench.present.page.parts import (
    Dot,
    Entry,
    Line,
    Looks,
    Panels,
    Plot,
    Section,
    grid,
    of_hardware,
    of_numbers,
    of_words,
)


def sizes(table: pd.DataFrame, total: pd.DataFrame, looks: Looks) -> Section | None:
    """Seconds an image at each size, the ratios to the largest and to the baseline, and the line through them."""
    measured = table[table["seconds_an_image"].notna()]
    if measured.empty:
        return None
    panels = tuple(_by_size(device, rows, looks) for device, rows in measured.groupby("device", sort=False))
    lines = {
        "variant": (False, lambda row: Entry(name_of(row))),
        "device": of_hardware,
        "hours for a million images": (True, lambda row: Entry(_ranged(row, "hours", "hours"), row.hours)),
        "fixed, s": (True, lambda row: Entry(_ranged(row, "fixed_seconds", "fixed"), row.fixed_seconds)),
        "ms an image": (
            True,
            lambda row: Entry(_ranged(row, "seconds_an_image", "each", 1000), row.seconds_an_image),
        ),
        "farthest off the line": (True, lambda row: Entry(_departure(row), row.departure)),
        "sizes": of_numbers("data_sets", number_of),
        "n": of_numbers("blocks", number_of),
        "remark": of_words("reason"),
    }
    numbers = {
        "variant": (False, lambda row: Entry(name_of(row))),
        "device": of_hardware,
        "images": of_numbers("images", number_of),
        "ms an image [range]": (
            True,
            lambda row: Entry(_ranged(row, "seconds_an_image", "seconds", 1000), row.seconds_an_image),
        ),
        "times as fast as the largest [95%]": (True, lambda row: Entry(_ranged(row, "ratio", "ratio"), row.ratio)),
        "verdict": of_words("verdict"),
        "within the noise": of_words("within_floor"),
        "times as fast as the baseline [95%]": (
            True,
            lambda row: Entry(_ranged(row, "speedup", "speedup"), row.speedup),
        ),
        "its verdict": of_words("speedup_verdict"),
        "n": of_numbers("blocks", number_of),
        "remark": of_words("reason"),
    }
    return Section(
        "sizes",
        "The size of the data set",
        (
            Panels(panels),
            grid("Total seconds as a line through all sizes", total.itertuples(index=False), lines),
            grid("Size by size", table.itertuples(index=False), numbers),
        ),
        read="Milliseconds an image, each variant at its best batch size: geometric mean of the blocks and their range."
        " A level line means that the size of the data set changes nothing. Total seconds are fixed ones (start, load,"
        " what the cold pass takes longer, and what a pass costs whatever its size) and so many an image. Hours for"
        " a million images come from that line,"
        f" with their 95% interval over the blocks, where there are {LEAST_SIZES} sizes, {LEAST} blocks, and no"
        " more than noise off the line.",
        wrong="A million images are far beyond what was measured. The interval knows the noise of short processes, and"
        " no heat, full disk or slow network; and the images of all sizes must be of one kind.",
    )


def _ranged(row, column: str, ends: str, factor: float = 1.0) -> str:
    """A number with its ends, where it has any."""
    value, low, high = (factor * getattr(row, name) for name in (column, f"{ends}_low", f"{ends}_high"))
    return number(value) + brackets(low, high, number)


def _departure(row) -> str:
    return f"{row.departure:+.1%} ({row.departure_images:.0f} images)" if math.isfinite(row.departure) else "–"


def _by_size(device: str, measured: pd.DataFrame, looks: Looks) -> Plot:
    x = axes.sizes(measured["images"])
    y = axes.linear(1000 * measured["seconds_high"])
    lines = []
    one_hardware = measured["workers"].nunique() == 1
    for key, rows in measured.groupby(NAME_COLUMNS, sort=False):
        look = looks[key[:2]]
        points, whiskers = [], []
        for row in rows.itertuples(index=False):
            words = f"{name_of(row)}, {row.images:.0f} images: {_ranged(row, 'seconds_an_image', 'seconds', 1000)} ms"
            words += f" an image, n = {row.blocks:.0f}"
            place = Dot(x.at(row.images), look.color, words, look.glyph, y=y.down(1000 * row.seconds_an_image))
            points.append(place)
            whiskers.append((place.x, y.down(1000 * row.seconds_high), y.down(1000 * row.seconds_low), words))
        name = f"{name_of(rows.iloc[0])}{'' if one_hardware else f', {hardware_of(rows.iloc[0])}'}"
        lines.append(Line(name, look.color, tuple(points), look.glyph, look.dashed, whiskers=tuple(whiskers)))
    title = f"Milliseconds an image by size of the data set, {DEVICES.get(device, device)}"
    few, many = measured["images"].min(), measured["images"].max()
    return Plot(
        title=title,
        x=x,
        y=y,
        x_label="images (log scale)",
        y_label="ms an image",
        lines=tuple(lines),
        alt=f"{title}: {len(lines)} lines from {few:.0f} to {many:.0f} images; the numbers are in the table below",
    )
