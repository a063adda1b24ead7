"""Total time by number of images: a line through data sets of several sizes, and what it says of a million images."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy
import pandas
import scipy

from vitbench import tables
from vitbench.analysis.looks import ALPHA
from vitbench.analysis.physics import ABOVE
from vitbench.analysis.statistics import mean_interval
from vitbench.analysis.summary import usable, whole
from vitbench.cells import NAME_COLUMNS, SIZES, cell_name, role_of

# Fewer sizes leave too little to see a bend by, and fewer blocks nothing to see noise by.
LEAST_SIZES, LEAST = 4, 2
# Hours of which so little is known that the ends of their interval lie this factor apart are not worth saying.
WIDEST = 10.0
MANY = 1_000_000
HOUR = 3600.0
NO_SLOPE = "in block {block} more images take no longer: no line"


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval; NaN ends where there are too few blocks for one."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """Total seconds of a process = fixed + each × images."""

    fixed: Estimate
    """seconds: start, load, the cold pass's surplus, and what a pass costs whatever its size"""
    each: Estimate
    """seconds an image at steady state"""
    hours: Estimate
    """hours of MANY images"""
    departures: tuple[float, ...]
    """of each size, smallest first: how far the mean of its blocks lies from the line, as a share of the line"""
    p: float
    """p value of the test for lack of fit; NaN where there is nothing to test by"""
    blocks: tuple[tuple[float, float], ...]
    """`fixed` and `each` of each block"""


def fit(images: Iterable[int], passes: numpy.ndarray, begins: numpy.ndarray) -> Fit:
    """The line of one variant.

    Each block has a line of its own, by weighted least squares through its passes over all sizes. The block is the
    unit: the estimates are means over the blocks, their intervals Student's t over the blocks (the two-stage method of
    Gumpertz and Pantula, A simple approach to inference in random coefficient models, The American Statistician 43,
    1989, which needs no model of what varies within a block). So whatever the processes of a block share, and whatever
    each has by itself, is in the interval. The weights are those of relative residuals, 1 / seconds², since the noise
    of a process is a share of its time; they are the same in every block (from the geometric mean of each size), so
    that a block that was fast by chance weighs no more for it. `each` and `hours`, to which noise comes as a factor,
    are geometric means, with the interval of their logarithms; `fixed`, which may be near zero, is an arithmetic mean.
    Start, load and the cold pass's surplus stay outside the line, for their noise is no share of the passes: `fixed` is
    a block's mean of them and the intercept of its line.

    Lack of fit: the relative residuals from the lines have sizes - 2 degrees of freedom in each block. What all blocks
    have in common of them is a bend, the rest is noise, and F compares the two (the test against pure error of Draper
    and Smith, Applied Regression Analysis, 3rd edition, 1998, section 2.1, on the residuals of blocks).

    Args:
        images: of each size.
        passes: blocks × sizes, seconds of a timed pass.
        begins: blocks × sizes, seconds of start, load and the cold pass's surplus.

    Raises:
        ValueError: fewer than two different sizes, no block, or a block whose line does not rise.
    """
    sizes = numpy.asarray(list(images), dtype=float)
    blocks = len(passes)
    if len(set(sizes)) < 2 or not blocks:
        raise ValueError("a line takes two sizes and a block")
    usual = numpy.exp(numpy.log(passes).mean(axis=0))
    design = numpy.column_stack([1 / usual, sizes / usual])
    relative = passes / usual
    lines = relative @ numpy.linalg.pinv(design).T
    if (flat := lines[:, 1] <= 0).any():
        raise ValueError(NO_SLOPE.format(block=int(flat.argmax())))
    fixed = begins.mean(axis=1) + lines[:, 0]
    of_blocks = tuple(zip(fixed.tolist(), lines[:, 1].tolist(), strict=True))
    residuals = relative - lines @ design.T
    shared = residuals.mean(axis=0)
    on_line = lines.mean(axis=0) @ design.T
    return Fit(
        Estimate(*mean_interval(fixed)),
        Estimate(*(math.exp(end) for end in mean_interval(numpy.log(lines[:, 1])))),
        hours_of(of_blocks, MANY),
        tuple((shared / on_line).tolist()),
        lack_of_fit(residuals, shared),
        of_blocks,
    )


def hours_of(blocks: Iterable[tuple[float, float]], images: float) -> Estimate:
    """Hours of so many images in one process, by the lines (fixed seconds, seconds an image) of some blocks.

    Geometric mean over the blocks, with the interval of its logarithm. Where a block's line begins below zero, which is
    noise, its process starts in no time.
    """
    logs = [math.log((max(fixed, 0.0) + images * each) / HOUR) for fixed, each in blocks]
    return Estimate(*(math.exp(end) for end in mean_interval(logs)))


def lack_of_fit(residuals: numpy.ndarray, shared: numpy.ndarray, parameters: int = 2) -> float:
    """p value of the test that points lie on a curve but for noise; NaN for one block, or as many points as parameters.

    Args:
        residuals: blocks × points, of the curve of each block.
        shared: of each point, their mean over the blocks.
        parameters: that each curve was fitted with.
    """
    blocks, sizes = residuals.shape
    free = sizes - parameters
    if blocks < LEAST or free < 1:
        return math.nan
    bend = blocks * float((shared**2).sum()) / free
    noise = float(((residuals - shared) ** 2).sum()) / ((blocks - 1) * free)
    if noise < 1e-24:  # blocks that are equal to the last digit are one block
        return 1.0 if bend < 1e-24 else 0.0
    return float(scipy.stats.f.sf(bend / noise, free, (blocks - 1) * free))


def total_time(runs: pandas.DataFrame, impossible: Collection[tuple[str, str]] = ()) -> pandas.DataFrame:
    """A row a variant that was measured on data sets of several sizes (`tables.COLUMNS["total_time"]`).

    Hours need LEAST_SIZES sizes, LEAST blocks in which all of them are usable, a line that the seconds lie on but for
    noise, and noise that leaves an interval worth saying; otherwise `reason` says what is missing.

    Args:
        impossible: (dataset, cell name) of cells above the machine's peak, which are in no line.
    """
    rows = []
    for key, tried in _of_sizes(runs).groupby(NAME_COLUMNS, sort=False, dropna=False):
        cell = dict(zip(NAME_COLUMNS, key, strict=True))
        above = [dataset for dataset in tried.dataset.unique() if (dataset, cell_name(cell)) in impossible]
        rows.append(cell | ({"reason": f"on {above[0]}: {ABOVE}"} if above else _row(tried)))
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["total_time"]))


def lines(runs: pandas.DataFrame, table: pandas.DataFrame) -> dict[str, Fit]:
    """Cell name → the line behind each row of the table `total_time` that has hours.

    Args:
        table: that table, of the same runs.
    """
    known = {cell_name(row) for row in table[table.hours.notna()].to_dict("records")}
    found = {}
    for key, tried in _of_sizes(runs).groupby(NAME_COLUMNS, sort=False, dropna=False):
        name = cell_name(dict(zip(NAME_COLUMNS, key, strict=True)))
        if name in known:
            found[name] = _line(*_usable_everywhere(tried))
    return found


def _of_sizes(runs: pandas.DataFrame) -> pandas.DataFrame:
    return runs[(runs.status != "skipped") & (runs.dataset.map(role_of) == SIZES)]


def _usable_everywhere(tried: pandas.DataFrame) -> tuple[pandas.DataFrame, pandas.DataFrame, list[int]]:
    """The usable repeats of a variant; seconds of a pass, blocks in which every size is usable × data sets, the
    smallest first; and the images of these data sets."""
    timed = tried[usable(tried) & whole(tried)].dropna(
        subset=["start_seconds", "load_seconds", "cold_seconds", "wall_seconds"]
    )
    passes = timed.pivot_table("wall_seconds", "block", "dataset", sort=False).dropna()
    images = timed.groupby("dataset").images.first()
    passes = passes[sorted(passes.columns, key=lambda dataset: images[dataset])]
    return timed, passes, [int(images[dataset]) for dataset in passes.columns]


def _line(timed: pandas.DataFrame, passes: pandas.DataFrame, sizes: list[int]) -> Fit:
    surplus = timed.cold_seconds - timed.wall_seconds
    begin = timed.start_seconds + timed.load_seconds + surplus
    begins = timed.assign(begin=begin).pivot_table("begin", "block", "dataset")
    return fit(sizes, passes.to_numpy(), begins.loc[passes.index, passes.columns].to_numpy())


def _row(tried: pandas.DataFrame) -> dict[str, Any]:
    timed, passes, sizes = _usable_everywhere(tried)
    gone = [dataset for dataset in tried.dataset.unique() if dataset not in set(timed.dataset)]
    lacking = f"without a usable repeat: {', '.join(gone)}" if gone else ""
    row: dict[str, Any] = {"blocks": len(passes), "data_sets": len(sizes)}
    if sizes:
        row |= {"smallest": min(sizes), "largest": max(sizes)}
    if len(set(sizes)) < 2 or not len(passes):
        which = "two sizes are" if len(set(timed.dataset)) < 2 else "every size is"
        return row | {"reason": _join(lacking, f"no block in which {which} usable")}
    try:
        found = _line(timed, passes, sizes)
    except ValueError as bent:
        return row | {"reason": _join(lacking, str(bent))}
    farthest = max(range(len(sizes)), key=lambda place: abs(found.departures[place]))
    row |= {"fixed_seconds": found.fixed.value, "seconds_an_image": found.each.value}
    row |= {"departure": found.departures[farthest], "departure_images": sizes[farthest], "lack_of_fit_p": found.p}
    if len(set(sizes)) < LEAST_SIZES:
        few = f"{len(set(sizes))} sizes, and an interval takes {LEAST_SIZES}"
        return row | {"reason": _join(lacking, few)}
    if len(passes) < LEAST:
        few = f"{len(passes)} block in which every size is usable, and an interval takes {LEAST}"
        return row | {"reason": _join(lacking, few)}
    row |= {"fixed_low": found.fixed.low, "fixed_high": found.fixed.high}
    row |= {"each_low": found.each.low, "each_high": found.each.high}
    if found.p < ALPHA:
        bent = f"no line: {sizes[farthest]} images lie {found.departures[farthest]:+.1%} off it"
        return row | {"reason": _join(lacking, f"{bent}, more than noise explains (p = {found.p:.2g})")}
    if found.hours.high > WIDEST * found.hours.low:
        return row | {
            "reason": _join(
                lacking, f"too noisy: the ends of the interval lie more than a factor of {WIDEST:.0f} apart"
            )
        }
    row |= {"hours": found.hours.value, "hours_low": found.hours.low, "hours_high": found.hours.high}
    return row | {"reason": lacking or None}


def _join(*parts: str) -> str:
    return "; ".join(filter(None, parts))
