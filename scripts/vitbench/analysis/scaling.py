"""Scaling: what more workers bring, with intervals from paired blocks, and the laws of Amdahl and Gunther."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import pandas

from vitbench import tables
from vitbench.analysis.break_even import REACH
from vitbench.analysis.looks import ALPHA
from vitbench.analysis.physics import ABOVE
from vitbench.analysis.statistics import mean_interval
from vitbench.analysis.summary import seconds_by_block, usable, whole, why_none
from vitbench.analysis.total_time import Estimate, lack_of_fit
from vitbench.cells import CONTROL, NAME_COLUMNS, cell_name

# Fewer numbers of workers leave too little to tell a law of three parameters from another.
LEAST_WORKERS = 5
# Law → how many parameters it has.
AMDAHL, USL = "Amdahl", "USL"
LAWS = {AMDAHL: 2, USL: 3}
# What scales: one variant on one device, of one source.
WHO = ["source", "framework", "variant", "device"]


@dataclass(frozen=True)
class Law:
    """Seconds of N workers = one / N × (1 + contention × (N - 1) + coherency × N × (N - 1))."""

    one: Estimate
    """seconds of one worker"""
    contention: Estimate
    """share of the work that is done by one at a time"""
    coherency: Estimate
    """what each pair of workers costs, as a share of the work of one; 0 by Amdahl's law"""
    departures: tuple[float, ...]
    """of each number of workers: how far the mean of the blocks lies from the law, as a share of it"""
    p: float
    """p value of the test for lack of fit; NaN where there is nothing to test by"""

    @property
    def peak(self) -> float:
        """Workers beyond which more make it slower; NaN where the law has no such number."""
        share, pairs = self.contention.value, self.coherency.value
        return math.sqrt((1 - share) / pairs) if pairs > 0 and share < 1 else math.nan


def seconds_of(one: float, contention: float, coherency: float, workers: float) -> float:
    """Seconds of so many workers by a law with these parameters."""
    return one / workers * (1 + contention * (workers - 1) + coherency * workers * (workers - 1))


def fit(law: str, workers: Sequence[int], seconds: numpy.ndarray) -> Law:
    """One of LAWS through the seconds of several numbers of workers.

    Amdahl, Validity of the single processor approach to achieving large scale computing capabilities, AFIPS 30, 1967;
    the Universal Scalability Law of Gunther, Guerrilla Capacity Planning, 2007, chapters 4 to 6, which adds what each
    pair of workers costs. N × seconds is linear in the parameters, so each block has a law of its own by weighted least
    squares, with the weights of relative residuals. The block is the unit, as in `total_time.fit`: the estimates are
    means over the blocks (of `one` the geometric mean), the intervals Student's t over them. Nothing keeps a parameter
    above zero: an estimate below says that it scaled better than its law can, or that noise is larger than the loss.

    Args:
        workers: the numbers, N.
        seconds: blocks × numbers.

    Raises:
        ValueError: fewer different numbers than parameters, no block, or a block whose law takes no time.
    """
    numbers = numpy.asarray(list(workers), dtype=float)
    if len(set(numbers)) < LAWS[law] or not len(seconds):
        raise ValueError(f"{law} takes {LAWS[law]} numbers of workers and a block")
    usual = numpy.exp(numpy.log(seconds).mean(axis=0))
    columns = [numpy.ones_like(numbers), numbers - 1, numbers * (numbers - 1)][: LAWS[law]]
    design = numpy.column_stack(columns) / (numbers * usual)[:, None]
    relative = seconds / usual
    parameters = relative @ numpy.linalg.pinv(design).T
    one = parameters[:, 0]
    if (one <= 0).any():
        raise ValueError(f"in block {int((one <= 0).argmax())} one worker would take no time: no law")
    shares = parameters[:, 1:] / one[:, None]
    residuals = relative - parameters @ design.T
    shared = residuals.mean(axis=0)
    on_law = parameters.mean(axis=0) @ design.T
    return Law(
        Estimate(*(math.exp(end) for end in mean_interval(numpy.log(one)))),
        Estimate(*mean_interval(shares[:, 0])),
        Estimate(*mean_interval(shares[:, 1])) if law == USL else Estimate(0.0, math.nan, math.nan),
        tuple((shared / on_law).tolist()),
        lack_of_fit(residuals, shared, LAWS[law]),
    )


def scaling(runs: pandas.DataFrame, impossible: Collection[tuple[str, str]] = ()) -> pandas.DataFrame:
    """A row a variant, device and number of workers on the full data set (`tables.COLUMNS["scaling"]`).

    Efficiency = base × seconds of the base / (workers × seconds), where the base is the fewest workers that were
    measured: one, as in Grama et al., Introduction to Parallel Computing, 2003, chapter 5, wherever there is one. It is
    the geometric mean over the blocks that both share, its ends Student's t of the logarithm from two blocks on: what a
    block's cells share cancels. Start and load stand beside it and are in no ratio.

    Args:
        runs: a runs table; each number of workers at its best batch size.
        impossible: (dataset, cell name) of cells above the machine's peak, which have no number.
    """
    rows: list[dict[str, Any]] = []
    for who, cells in _variants(runs, impossible):
        measured = [cell for cell in cells if cell.seconds]
        base = measured[0] if measured else None
        rows += [who | _row(cell, base) for cell in cells]
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["scaling"]))


def scaling_fits(runs: pandas.DataFrame, impossible: Collection[tuple[str, str]] = ()) -> pandas.DataFrame:
    """A row a law and variant that was measured with several numbers of workers (`tables.COLUMNS["scaling_fits"]`).

    A law takes LEAST_WORKERS numbers of workers; below that there is none, and `reason` says how many there are. It is
    believed up to REACH times the most workers (`reach`), and not at all where noise does not explain how far the
    seconds lie from it, or where a parameter is below zero.
    """
    rows = []
    for who, cells in _variants(runs, impossible):
        measured = [cell for cell in cells if cell.seconds]
        if len(measured) > 1:
            rows += [who | {"law": law} | _fitted(law, measured) for law in LAWS]
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["scaling_fits"]))


@dataclass(frozen=True)
class _Cell:
    """One variant with one number of workers."""

    workers: int
    repeats: pandas.DataFrame
    """those that may carry a claim, or, where none may, all"""
    seconds: dict[int, float]
    """block → seconds of a timed pass"""
    reason: str


def _variants(
    runs: pandas.DataFrame, impossible: Collection[tuple[str, str]]
) -> Iterator[tuple[dict[str, Any], list[_Cell]]]:
    """What names each variant, and its cells, fewest workers first."""
    full = runs[(runs.dataset == "full") & (runs.status != "skipped") & ~runs.variant.str.endswith(CONTROL)]
    for key, tried in full.groupby(WHO, sort=False):
        cells = [_cell(int(workers), rows, impossible) for workers, rows in tried.groupby("workers")]
        yield dict(zip(WHO, key, strict=True)), cells


def _cell(workers: int, tried: pandas.DataFrame, impossible: Collection[tuple[str, str]]) -> _Cell:
    name = cell_name(tried[NAME_COLUMNS].iloc[0].to_dict())
    if ("full", name) in impossible:
        return _Cell(workers, tried, {}, ABOVE)
    good = tried[usable(tried) & whole(tried) & tried.wall_seconds.notna()]
    if good.empty:
        return _Cell(workers, tried, {}, why_none(tried))
    return _Cell(workers, good, seconds_by_block(good), "")


def _row(cell: _Cell, base: _Cell | None) -> dict[str, Any]:
    first = cell.repeats.iloc[0]
    row = {"workers": cell.workers, "batch_size": first.batch_size, "dataset": first.dataset, "images": first.images}
    row |= {"blocks": len(cell.seconds), "reason": cell.reason or None}
    if not cell.seconds or base is None:
        return row
    seconds = list(cell.seconds.values())
    usual = math.exp(float(numpy.log(seconds).mean()))
    row |= {"base_workers": base.workers, "wall_seconds": usual, "throughput": first.images / usual}
    row |= {"throughput_low": first.images / max(seconds), "throughput_high": first.images / min(seconds)}
    row |= {name: _median(cell.repeats[name]) for name in ("start_seconds", "load_seconds", "waves")}
    common = sorted(cell.seconds.keys() & base.seconds.keys())
    if not common:
        return row | {"reason": f"no block in which {base.workers} workers were usable, too"}
    if len(common) < len(cell.seconds):
        row |= {"reason": f"speedup and efficiency of {len(common)} common block{'s' * (len(common) > 1)}"}
    logs = [math.log(base.seconds[block] / cell.seconds[block]) for block in common]
    # Of the base with itself there is nothing to be uncertain of.
    ends = mean_interval(logs) if cell is not base else (0.0, math.nan, math.nan)
    for name, factor in (("speedup", 1.0), ("efficiency", base.workers / cell.workers)):
        value, low, high = (factor * math.exp(end) for end in ends)
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row


def _median(values: pandas.Series) -> float:
    """NaN where nothing is known: the published runs say nothing of starting."""
    return float(pandas.to_numeric(values).median())


def _fitted(law: str, cells: list[_Cell]) -> dict[str, Any]:
    """A row of the law through these cells, without what names it."""
    blocks = sorted(set.intersection(*(set(cell.seconds) for cell in cells)))
    workers = [cell.workers for cell in cells]
    row: dict[str, Any] = {"points": len(cells), "fewest_workers": workers[0], "most_workers": workers[-1]}
    row["blocks"] = len(blocks)
    if len(cells) < LEAST_WORKERS:
        return row | {"reason": f"{len(cells)} numbers of workers, and a fit takes {LEAST_WORKERS}"}
    if not blocks:
        return row | {"reason": "no block in which every number of workers is usable"}
    try:
        found = fit(law, workers, numpy.array([[cell.seconds[block] for cell in cells] for block in blocks]))
    except ValueError as bent:
        return row | {"reason": str(bent)}
    farthest = max(range(len(cells)), key=lambda place: abs(found.departures[place]))
    for name, estimate in (("one", found.one), ("contention", found.contention), ("coherency", found.coherency)):
        value = f"{name}_seconds" if name == "one" else name
        row |= {value: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    row |= {"residual": found.departures[farthest], "residual_workers": workers[farthest]}
    each = zip(workers, found.departures, strict=True)
    row |= {"residuals": ";".join(f"{count}:{share:.4g}" for count, share in each), "lack_of_fit_p": found.p}
    if math.isnan(found.p):
        return row | {"reason": "not believed: 1 block, no noise to test it by"}
    if found.p < ALPHA:
        off = f"no law: {workers[farthest]} workers lie {found.departures[farthest]:+.1%} off it"
        return row | {"reason": f"{off}, more than noise explains (p = {found.p:.2g})"}
    # Projected, such a law soon does the work in no time.
    if below := [name for name in ("contention", "coherency") if row[name] < 0]:
        return row | {"reason": f"{' and '.join(below)} below 0: it scales better than its law can"}
    row["reach"] = REACH * workers[-1]
    row["peak_workers"] = found.peak if found.peak <= row["reach"] else math.nan
    return row | {"reason": None}
