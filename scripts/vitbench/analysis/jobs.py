"""A whole job: what a measured cell would take for far more images than were measured, and what speaks against it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas

from vitbench.analysis import total_time
from vitbench.analysis.break_even import Line, full_cells, line, measured_images
from vitbench.analysis.physics import ABOVE
from vitbench.analysis.summary import whole
from vitbench.analysis.total_time import HOUR, Estimate, hours_of
from vitbench.cells import NAME_COLUMNS, variant_in

# What hours are made of: a line through data sets of several sizes, or one data set's pass.
FROM_SIZES, FROM_FULL = "sizes", "full"


@dataclass(frozen=True)
class Job:
    """A cell of the full data set, and the lines by which its hours are projected."""

    source: str
    cell: dict[str, Any]
    """NAME_COLUMNS → what names the cell"""
    hardware: str
    """id of the machine, by which its price is found"""
    machines: int
    """that the cell was measured on"""
    usual: Line
    blocks: tuple[tuple[float, float], ...]
    """seconds to start and seconds an image of each block"""
    hours_from: str
    """FROM_SIZES or FROM_FULL"""
    measured: int
    """most images that one process has classified"""
    doubt: str = ""
    """why nobody should choose it; "" where nothing is known against it"""

    def hours(self, images: float) -> Estimate:
        """Hours of so many images in one process, its start and load included.

        By a line through several sizes the geometric mean of the blocks and its 95% interval. By one data set the line
        of the medians, as the page shows it, and the range of the blocks: what a pass costs whatever its size cannot be
        told from one size, so that an interval would be none.
        """
        if self.hours_from == FROM_SIZES:
            return hours_of(self.blocks, images)
        value = self.usual.seconds(images) / HOUR
        each = [hours_of([block], images).value for block in self.blocks]
        if len(each) < 2:
            return Estimate(value, math.nan, math.nan)
        return Estimate(value, min(value, *each), max(value, *each))


def jobs(
    runs: pandas.DataFrame,
    total: pandas.DataFrame,
    parity_table: pandas.DataFrame,
    impossible: Collection[tuple[str, str]] = (),
) -> list[Job]:
    """A job for each cell of the full data set with a usable repeat that answered for every image.

    Args:
        total: the table `total_time` of these runs: where it has hours, they are a job's.
        parity_table: that of parity; a cell whose labels differ is in doubt.
        impossible: (dataset, cell name) of cells above the machine's peak, which are in doubt, too, as are those that
            left a part of the machine idle.
    """
    through_sizes = total_time.lines(runs, total)
    why = _labels_in_doubt(parity_table[parity_table.dataset == "full"])
    # Of workers that are elsewhere nobody knows how many cores their machines have: they are named by their driver's.
    here = runs[runs.machines.fillna(1) == 1]
    most_cores = here.cores.groupby([here.machine, here.device]).max()
    found = []
    for name, repeats in full_cells(runs[whole(runs)]).items():
        first, usual = repeats.iloc[0], line(repeats)
        doubt = ABOVE if ("full", name) in impossible else why.get(name, "")
        doubt = doubt or _part_of_machine(first, most_cores)
        if of_sizes := through_sizes.get(name):
            blocks, hours_from = of_sizes.blocks, FROM_SIZES
        else:
            each = (line(rows) for _, rows in repeats.groupby("block"))
            blocks, hours_from = tuple((one.fixed, one.each) for one in each), FROM_FULL
        cell = {column: first[column] for column in NAME_COLUMNS}
        measured, machines = measured_images(repeats), _count(first.machines)
        found.append(Job(first.source, cell, first.machine, machines, usual, blocks, hours_from, measured, doubt))
    return found


def _labels_in_doubt(checked: pandas.DataFrame) -> dict[str, str]:
    """Candidate → why its labels are in doubt: they differ from the baseline's, or were held against nobody's."""
    found = {}
    # Held against itself on other hardware, a cell is in doubt only where it was held against nothing else.
    itself = checked.baseline.fillna("").map(variant_in) == checked.candidate.map(variant_in)
    checked = checked[~(itself & checked.candidate.isin(checked.candidate[~itself]))]
    for name, rows in checked.groupby("candidate", sort=False):
        passed = rows.passed.astype(bool)
        wrong = rows[~passed & (rows.compared != 0)]
        if len(wrong):
            found[name] = f"parity failed: {wrong.reason.iloc[-1]}"
        elif not passed.any():
            found[name] = f"its labels were not compared: {rows.reason.iloc[-1]}"
    return found


def _part_of_machine(row: pandas.Series, most_cores: pandas.Series) -> str:
    """Why a cell that left cores idle which others used is no answer: a machine is paid for whole; "" of all others."""
    if row.device != "cpu" or _count(row.machines) > 1:
        return ""
    there = most_cores[row.machine, row.device]
    if not row.cores < there:
        return ""
    return f"it used {row.cores:.0f} of the {there:.0f} cores that others had on one machine, which is paid for whole"


def _count(machines: float | None) -> int:
    return 1 if pandas.isna(machines) else int(machines)


def of_published(runs: pandas.DataFrame) -> list[Job]:
    """A job for each of these published runs: one run, whose start nobody states, on a machine a worker.

    The driver of a cluster, of which nobody states what it is, is not counted.
    """
    found = []
    for row in runs.to_dict("records"):
        one = Line(0.0, row["wall_seconds"] / row["images"])
        cell = {column: row[column] for column in NAME_COLUMNS}
        hardware = f"{row['machine']}/{row['device']}"
        found.append(
            Job(row["source"], cell, hardware, int(row["workers"]), one, ((0.0, one.each),), FROM_FULL, row["images"])
        )
    return found
