"""Our side of a published comparison: the cells of our records that stand for its two runs, and their ratio.

Nothing here knows a published time, so that no ratio can have one of theirs and one of ours in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pandas
import scipy

from vitbench.analysis.looks import MARGIN, Rule
from vitbench.analysis.speedup import doubted
from vitbench.analysis.statistics import Comparison, compare
from vitbench.analysis.statistics import correct_for_many as correct
from vitbench.analysis.summary import seconds_by_block, whole
from vitbench.cells import LEAST_BLOCKS, cell_name, variant_key
from vitbench.verdicts import CLAIMS, INCONCLUSIVE, PARITY_FAILED, TOO_FEW


class Records(NamedTuple):
    """The tables of our records, and what else is known of them."""

    runs: pandas.DataFrame
    best: pandas.DataFrame
    parity: pandas.DataFrame
    speedup: pandas.DataFrame
    context: dict[str, Any]
    shape: dict[str, int] | None
    """sizes of the model, by the names of series.yaml; None where they are not known"""
    stand_ins: dict[str, str]
    """framework/variant → what is measured in its place where it does not run"""
    rules: dict[str, Rule]
    """role → by what its comparisons are judged"""


@dataclass(frozen=True)
class Ours:
    """Our side of a comparison; without a ratio, `reason` says why there is none."""

    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    blocks: int = 0
    repeats: int = 0
    """measured of each cell, set aside or not"""
    verdict: str = ""
    reason: str = ""
    margin: float = MARGIN
    """share within which two speeds are equivalent"""
    found: Comparison | None = None
    """where it is not in the table `speedup`, what its verdict is made of"""
    cells: tuple[str, str] = ("", "")
    rows: tuple[Any, Any] | None = None


class Side(NamedTuple):
    """What a cell of theirs and one of ours have in common."""

    framework: str
    variant: str
    device: str
    workers: int

    @classmethod
    def of(cls, row: Any) -> Side:
        return cls(row.framework, row.variant, row.device, int(row.workers))

    @property
    def name(self) -> str:
        return f"{variant_key(self)}/{self.device}/w{self.workers}"


def stand_in(side: Side, records: Records) -> Side:
    """The side itself, or what we measured in its place where it does not run."""
    other = records.stand_ins.get(variant_key(side))
    if other is None or (_rows(records.runs, side).status != "skipped").any():
        return side
    framework, variant = other.split("/")
    instead = side._replace(framework=framework, variant=variant)
    return instead if len(_rows(records.runs, instead)) else side


def _rows(table: pandas.DataFrame, side: Side) -> pandas.DataFrame:
    """Rows of a table that has the columns of VARIANT."""
    same = table.variant == side.variant
    for column in ("framework", "device", "workers"):
        same &= table[column] == getattr(side, column)
    return table[same]


def best_cell(records: Records, role: str, side: Side) -> pandas.DataFrame:
    """Our repeats of a variant at its best batch size on a data set; empty if there are none."""
    rows = _rows(records.runs, side)
    best = _rows(records.best, side)
    sizes = best.kept if role == "full" else best.batch_size
    return rows[(rows.dataset == role) & rows.batch_size.isin(sizes.dropna())]


def why_missing(sides: list[Side], records: Records) -> str:
    """Which cells are not there, or what became of them."""
    words = []
    for side in sides:
        tried = _rows(records.runs, side)
        if tried.empty:
            words.append(f"no record of {side.name}")
        elif (tried.status == "ok").any():
            words.append(f"no best batch size of {side.name} was measured")
        else:
            words.append(f"{side.name}: {tried.status.iloc[0]}, {tried.reason.iloc[0]}")
    return "; ".join(words)


def our_curve(records: Records, side: Side) -> dict[int, pandas.DataFrame]:
    """Effective batch size → our repeats of the smallest batch size that came to it, where some are usable."""
    rows = _rows(records.runs, side)
    sweep = rows[(rows.dataset == "sample") & (rows.status == "ok") & whole(rows)]
    curve: dict[int, pandas.DataFrame] = {}
    for size, cells in sweep.groupby("batch_size"):
        effective = cells.effective_batch_size.iloc[0]
        if seconds_by_block(cells):
            curve.setdefault(int(size if math.isnan(effective) else effective), cells)
    return curve


def seconds_of(curve: dict[int, pandas.DataFrame]) -> dict[int, float]:
    """Effective batch size → geometric mean of the blocks' seconds of a curve of ours, as ratios are made of them."""
    return {size: float(scipy.stats.gmean(list(seconds_by_block(cells).values()))) for size, cells in curve.items()}


class Bench:
    """Compares our cells, and adjusts what is not in the table `speedup` for the number of comparisons."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.known = {(row.dataset, row.baseline, row.candidate): row for row in records.speedup.itertuples()}
        self.doubted = doubted(records.speedup)
        failed = records.parity[~records.parity.passed]
        self.failed = {(row.dataset, row.candidate): row.reason for row in failed.itertuples()}

    def ratio(self, first: pandas.DataFrame, second: pandas.DataFrame) -> Ours:
        """Our ratio of two cells, given by their repeats, as `speedup` has it where it does."""
        rows = tuple(next(cell[cell.status == "ok"].itertuples(index=False)) for cell in (first, second))
        cells = tuple(cell_name(row._asdict()) for row in rows)
        role = rows[0].dataset
        given = self.known.get((role, *cells))
        if given is not None and given.speedup == given.speedup:
            ours = Ours(
                given.speedup, given.low, given.high, int(given.blocks), verdict=given.verdict, margin=given.margin
            )
        elif given is not None:
            ours = Ours(verdict=given.verdict, reason=f"{given.verdict}: {given.reason}")
        elif failed := [self.failed[role, cell] for cell in cells if (role, cell) in self.failed]:
            ours = Ours(verdict=PARITY_FAILED, reason=f"parity failed: {failed[0]}")
        else:
            ours = self._measure(role, rows[1].device, seconds_by_block(first), seconds_by_block(second))
        if ours.verdict == TOO_FEW and not ours.reason:
            ours = replace(ours, reason=f"{ours.blocks} blocks: a range, no interval, which needs {LEAST_BLOCKS}")
        return replace(ours, cells=cells, rows=rows, repeats=max(len(first), len(second)))

    def _measure(self, role: str, device: str, first: dict[int, float], second: dict[int, float]) -> Ours:
        if not first.keys() & second.keys():
            return Ours(verdict=TOO_FEW, reason="no block in which both were usable")
        found = compare(first, second, self.records.rules[role])
        if device in self.doubted and found.verdict in CLAIMS:
            found = replace(found, verdict=INCONCLUSIVE)
        return _as_ours(found)


def _as_ours(found: Comparison) -> Ours:
    margin = found.rule.margin
    return Ours(found.ratio, found.low, found.high, found.blocks, 0, found.verdict, margin=margin, found=found)


def correct_for_many(found: dict[Any, Ours]) -> dict[Any, Ours]:
    """The verdicts of a family of comparisons that `speedup` does not have, adjusted as it adjusts its own."""
    tested = {ours.cells: ours.found for ours in found.values() if ours.found is not None}
    adjusted = dict(zip(tested, correct(list(tested.values())), strict=True))
    return {
        key: replace(ours, verdict=adjusted[ours.cells].verdict, found=adjusted[ours.cells]) if ours.found else ours
        for key, ours in found.items()
    }
