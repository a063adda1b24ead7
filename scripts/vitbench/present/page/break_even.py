"""What a whole job costs: start and load, and each image after it; who pays off after how many images."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vitbench.analysis.break_even import REACH, full_cells, line, measured_images
from vitbench.analysis.break_even import Line as Cost
from vitbench.analysis.jobs import Job
from vitbench.cells import Cell, cell_name
from vitbench.present import projection
from vitbench.present.labels import (
    by_hardware,
    hardware_of,
    name_of,
    number,
    number_of,
    size_words,
    variant_of,
)
from vitbench.present.page import axes
from vitbench.present.page.parts import (
    INK,
    Dot,
    Entry,
    Line,
    Looks,
    Plot,
    Section,
    grid,
    of_numbers,
    of_words,
)

MOST_IMAGES = 1e9  # beyond this no break-even is of use


@dataclass(frozen=True)
class Arm:
    """What a cell of the full set would take for more images: `fixed` seconds to start, `each` seconds an image."""

    name: str
    throughput: float
    fixed: float
    each: float
    measured: int
    together: int = 1
    """machines that it was measured on, which work as one"""
    doubt: str = ""
    """why nobody should choose it"""

    def seconds(self, images: float) -> float:
        """On what it was measured on."""
        return Cost(self.fixed, self.each).seconds(images)

    def machines(self, images: float, hours: float) -> int | None:
        """The fewest machines, each of which starts once, that are done in time; None where starting takes longer."""
        groups = projection.machines(images, self.fixed, self.each, hours)
        return None if groups is None else groups * self.together


def arms(jobs: Iterable[Job], total: pd.DataFrame) -> list[Arm]:
    """An arm for each job, the fastest first; last those that nobody should choose.

    Where the seconds lie on a line through data sets of several sizes (`total`, that table), it is an arm's line.
    """
    through_sizes = {
        cell_name(row): Cost(row["fixed_seconds"], row["seconds_an_image"])
        for row in total[total["hours"].notna()].to_dict("records")
    }
    found = []
    for job in jobs:
        name = cell_name(job.cell)
        cell, cost = Cell.parse(name), through_sizes.get(name) or job.usual
        words = f"{variant_of(cell)}, {hardware_of(cell)}, {size_words(cell.batch_size)}"
        found.append(Arm(words, 1 / cost.each, cost.fixed, cost.each, job.measured, job.machines, job.doubt))
    return sorted(found, key=lambda arm: (bool(arm.doubt), arm.each))


def break_even(runs: pd.DataFrame, table: pd.DataFrame, looks: Looks) -> Section | None:
    """From how many images on what starts later is ahead."""
    cells = full_cells(runs)
    if not cells or table.empty:
        return None
    parts = [plot for hardware, part in by_hardware(cells).items() if (plot := _totals(hardware, part, table, looks))]
    pairs = {
        "starts later": of_words("late"),
        "starts sooner": of_words("early"),
        "break-even, images": (True, lambda row: Entry(_images(row.break_even), row.break_even)),
        "range of the blocks": (False, lambda row: Entry(f"{_images(row.low)} to {_last(row)}")),
        "n": of_numbers("blocks", number_of),
        "verdict": of_words("verdict"),
        "remark": of_words("reason"),
    }
    ordered = table.sort_values("break_even", kind="stable", na_position="last")
    parts.append(
        grid("From how many images on what starts later has caught up", ordered.itertuples(index=False), pairs)
    )
    return Section(
        "break-even",
        "Break-even",
        tuple(parts),
        read="Each line is the total time of a fresh process for so many images: start, load, what the cold pass takes"
        " longer, and warm seconds an image. A ring is where what starts later has caught up. Dashed: fewer"
        f" images than a pass, or more than {REACH:g} times what was measured. Both axes are logarithmic.",
        wrong="Beyond what a process classified here, a line assumes that speed stays the same: a hot processor, a full"
        " disk or a slow network would bend it. Where the verdict is uncertain, so is the ring.",
    )


def _images(value: float) -> str:
    """A number of images to two digits: more would not be true."""
    if not math.isfinite(value):
        return "–"
    if value < 1:
        return "1"
    digits = max(0, math.floor(math.log10(value)) - 1)
    return f"{round(value / 10**digits) * 10**digits:,.0f}"


def _last(row: Any) -> str:
    """The end of a break-even's range, which is no number where a block never catches up."""
    return "never" if row.blocks_never > 0 else _images(row.high)


def _totals(hardware: str, part: dict, table: pd.DataFrame, looks: dict) -> Plot | None:
    meetings = table[table["early"].isin(part) & (table["break_even"] > 1) & (table["break_even"] < MOST_IMAGES)]
    measured = {name: measured_images(repeats) for name, repeats in part.items()}
    last = max([20.0 * max(measured.values()), *(3 * meetings["break_even"])])
    # As far as the line is believed: from a pass to REACH times what a process classified.
    believed = {name: (float(part[name]["images"].min()), min(REACH * measured[name], last)) for name in part}
    costs = {name: line(repeats) for name, repeats in part.items()}
    x = axes.decades([1.0, last])
    y = axes.decades([cost.seconds(images) for cost in costs.values() for images in (1, last)])
    lines = []
    for name, cost in costs.items():
        cell = Cell.parse(name)
        look = looks[cell.framework, cell.variant]
        words = f"{name_of(cell)}: {number(cost.fixed)} s + {number(cost.each * 1000)} ms an image"
        few, most = believed[name]
        for first, end, dashed in ((1.0, few, True), (few, most, False), (most, last, True)):
            if first >= end:
                continue
            at = np.geomspace(first, end, 24)
            points = tuple(Dot(x.at(images), look.color, words, y=y.down(cost.seconds(images))) for images in at)
            lines.append(Line(words, look.color, points, glyph="", dashed=dashed, listed=not dashed))
    rings = tuple(
        Dot(
            x.at(row.break_even),
            INK,
            f"{row.late} has caught up with {row.early} at {_images(row.break_even)} images",
            y=y.down(costs[row.early].seconds(row.break_even)),
        )
        for row in meetings.itertuples(index=False)
    )
    return Plot(
        title=hardware,
        x=x,
        y=y,
        x_label="images (log scale)",
        y_label="seconds (log scale)",
        lines=tuple(lines),
        rings=rings,
        height=300,
        alt=f"Total time by number of images on the {hardware}, {len(costs)} lines, {len(rings)} meetings; the numbers"
        " are in the table below",
    )
