"""Our records beside the published runs: which of the published comparisons hold here, by one rule for all.

No ratio has a time of theirs and one of ours in it: each is a ratio of two of their runs, or of two of our cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas

from vitbench import tables
from vitbench.analysis.summary import seconds_by_block
from vitbench.cells import LEAST_BLOCKS, VARIANT, cell_name, variant_key
from vitbench.series import published
from vitbench.series.our_runs import (
    Bench,
    Ours,
    Records,
    Side,
    best_cell,
    correct_for_many,
    our_curve,
    seconds_of,
    stand_in,
    why_missing,
)
from vitbench.series.published import noise_factor, pooled_noise
from vitbench.series.setup import tell_apart
from vitbench.verdicts import EQUIVALENT, FASTER, INCONCLUSIVE, JUDGED, SLOWER, TOO_FEW

AGREES, DISAGREES = "agrees", "disagrees"
WITHIN_NOISE = "cannot be told apart from their noise"
NOT_MEASURED = "not measured by us"
VERDICTS = (AGREES, DISAGREES, WITHIN_NOISE, NOT_MEASURED)
KINDS = (
    "framework against framework",
    "oneDNN on against off",
    "device against device",
    "batch-size curve",
    "worker scaling",
    "cluster against one process",
)
# A curve's verdict is the first of these that one of its points has.
CURVE_ORDER = (DISAGREES, AGREES, WITHIN_NOISE, NOT_MEASURED)
COLUMNS, CURVE_COLUMNS = (list(tables.COLUMNS[table]) for table in ("replication", "replication_curves"))


# --- the rule


def direction(low: float, high: float) -> str:
    """What an interval of a published ratio says: faster, slower, or nothing that its noise does not explain."""
    return FASTER if low > 1 else SLOWER if high < 1 else "within noise"


def judge(low: float, high: float, ours: Ours) -> tuple[str, str]:
    """The verdict on a comparison of theirs, and its reason.

    What can be replicated on unlike hardware is who is faster, not by how much. Ours needs an interval, hence
    LEAST_BLOCKS blocks, and equal labels. Theirs needs an interval without 1. Then: the same direction agrees, the
    opposite disagrees. What is equivalent here disagrees if its interval and the margin lie outside theirs. Otherwise,
    and where ours is inconclusive, the two cannot be told apart.

    Args:
        low, high: interval of the published ratio.
    """
    if ours.verdict not in JUDGED:
        return NOT_MEASURED, ours.reason
    theirs = direction(low, high)
    if theirs == "within noise":
        return WITHIN_NOISE, f"their {low:.2f} to {high:.2f} holds 1" if low == low else "their noise is not known"
    if ours.verdict == INCONCLUSIVE:
        return WITHIN_NOISE, f"theirs {theirs}, ours inconclusive"
    if ours.verdict != EQUIVALENT:
        return (AGREES if ours.verdict == theirs else DISAGREES), f"theirs {theirs}, ours {ours.verdict}"
    if min(ours.low, 1 / (1 + ours.margin)) <= high and low <= max(ours.high, 1 + ours.margin):
        return WITHIN_NOISE, f"theirs {theirs}, ours equivalent and reaching into theirs"
    return DISAGREES, f"theirs {theirs}, ours equivalent and outside theirs"


def compare_sizes(low: float, high: float, ours: Ours) -> str:
    """Whether our ratio is of their size: how our interval (or range) lies to theirs; empty where one is missing."""
    if not (low == low and ours.low == ours.low):
        return ""
    return "ours larger" if ours.low > high else "ours smaller" if ours.high < low else "overlap"


# --- comparisons of picked runs


def _kind(base: Any, other: Any) -> str:
    if base.framework != other.framework:
        return KINDS[0] if base.workers == other.workers else KINDS[5]
    if base.workers != other.workers:
        return KINDS[4]
    return KINDS[2] if base.device != other.device else KINDS[1]


def compare_ratios(series: published.Series, records: Records) -> list[dict[str, Any]]:
    """A row a published comparison of two picked runs."""
    noise = pooled_noise(published.accidental_repeats(series.runs))
    bench = Bench(records)
    pairs = [(base, other) for base, other, _ in published.comparisons(series.runs, series.about)]
    found = correct_for_many({place: _ours_of(pair, bench) for place, pair in enumerate(pairs)})
    rows = []
    for (base, other), ours in zip(pairs, found.values(), strict=True):
        ratio = base.wall_seconds / other.wall_seconds
        factor = noise_factor(noise, [(row.device, row.dataset, 1) for row in (base, other)])
        rows.append(_row(_kind(base, other), (base, other), ratio, factor, ours, series, records))
    return rows


def _ours_of(pair: tuple[Any, Any], bench: Bench) -> Ours:
    """Our counterpart of a pair of published runs, each at its best batch size."""
    records, role = bench.records, pair[0].dataset
    sides = [stand_in(Side.of(row), records) for row in pair]
    cells = [best_cell(records, role, side) for side in sides]
    missing = [side for side, cell in zip(sides, cells, strict=True) if not (cell.status == "ok").any()]
    if missing:
        return Ours(reason=why_missing(missing, records))
    if sides[0] == sides[1]:
        return Ours(reason=f"both are {sides[0].name} here")
    return bench.ratio(*cells)


def _row(
    kind: str, theirs: tuple[Any, Any], ratio: float, factor: float, ours: Ours, series: published.Series,
    records: Records,
) -> dict[str, Any]:  # fmt: skip
    """A row of the table, with the verdict that the ratio alone gives."""
    low, high = ratio / factor, ratio * factor
    verdict, reason = judge(low, high, ours)
    about, context = series.about, records.context
    equal, unequal = (
        tell_apart(theirs, ours.rows, ours.blocks, about, context, records.shape)
        if ours.rows and ours.ratio == ours.ratio
        else ("", "")
    )
    return {
        "kind": kind,
        "part": theirs[1].part,
        "environment": about["environments"][theirs[1].machine]["words"],
        "dataset": theirs[1].dataset,
        "baseline": Side.of(theirs[0]).name,
        "candidate": Side.of(theirs[1]).name,
        "published": ratio,
        "published_low": low,
        "published_high": high,
        "published_verdict": direction(low, high),
        "ours": ours.ratio,
        "ours_low": ours.low,
        "ours_high": ours.high,
        "blocks": ours.blocks,
        "our_verdict": ours.verdict,
        "verdict": verdict,
        "reason": reason,
        "to_run": to_run(theirs, records, ours) if verdict == NOT_MEASURED else "",
        "sizes": compare_sizes(low, high, ours),
        "difference": None,
        "equal": equal,
        "unequal": unequal,
        "published_baseline": cell_name(theirs[0]._asdict()),
        "published_candidate": cell_name(theirs[1]._asdict()),
        "our_baseline": ours.cells[0],
        "our_candidate": ours.cells[1],
        "published_hardware": " and ".join(dict.fromkeys(row.hardware for row in theirs)),
        "our_machine": context["machine"] if ours.cells[0] else "",
    }


def to_run(theirs: tuple[Any, Any], records: Records, ours: Ours, sizes: Sequence[int] = ()) -> str:
    """The keys of a configuration with which our records would have what they lack for a comparison of theirs.

    Args:
        sizes: batch sizes that are needed.
    """
    runs = records.runs[records.runs.status != "skipped"]
    sides = [stand_in(Side.of(row), records) for row in theirs]
    there = {variant_key(row) for row in runs.itertuples()}
    keys = []
    if "gpu" in {side.device for side in sides} - set(runs.device):
        keys.append("devices: [cpu, gpu], on a machine with a GPU")
    if variants := sorted({variant_key(side) for side in sides} - there):
        keys.append(f"frameworks: {', '.join(variants)}, too")
    if workers := sorted({side.workers for side in sides} - set(runs.workers.astype(int))):
        keys.append(f"workers: {', '.join(map(str, workers))}, on a cluster")
    if sizes:
        keys.append(f"batch_sizes: {', '.join(map(str, sizes))}, too")
    if ours.verdict == TOO_FEW:
        keys.append(f"repeats: {ours.repeats + LEAST_BLOCKS - ours.blocks}")
    return "; ".join(keys)


# --- batch-size curves


class Point(NamedTuple):
    """One effective batch size of a published curve: cells of the same batches are one, with their mean time."""

    asked: int
    """the smallest batch size that was asked for"""
    seconds: float
    runs: int
    row: Any


def published_curves(runs: pandas.DataFrame) -> list[dict[int, Point]]:
    """Effective batch size → point, for each group of published cells that differ in batch size only."""
    curves = []
    stated = runs.dropna(subset=["batch_size", "effective_batch_size"]).sort_values("batch_size", kind="stable")
    for _, group in stated.groupby(published.GROUP, sort=False):
        curve = {}
        for effective, cells in group.groupby("effective_batch_size"):
            row = next(cells.itertuples(index=False))
            curve[int(effective)] = Point(int(row.batch_size), cells.wall_seconds.mean(), len(cells), row)
        if len(curve) > 1:
            curves.append(curve)
    order = published.GROUP
    return sorted(curves, key=lambda curve: tuple(getattr(next(iter(curve.values())).row, key) for key in order))


def compare_curves(
    series: published.Series, records: Records
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:  # fmt: skip
    """A row a published curve, and a row a point of it, theirs and ours each relative to the best of its own curve."""
    noise = pooled_noise(published.accidental_repeats(series.runs))
    bench = Bench(records)
    rows, points = [], []
    for theirs in published_curves(series.runs):
        first = next(iter(theirs.values())).row
        ours = our_curve(records, stand_in(Side.of(first), records))
        row, verdicts = _compare_curve(theirs, ours, noise, bench, series)
        rows.append(row)
        points += _points(theirs, ours, noise, verdicts, bench, series.about)
    return rows, points


def _compare_curve(
    theirs: dict[int, Point], ours: dict[int, pandas.DataFrame], noise: dict, bench: Bench, series: published.Series
) -> tuple[dict[str, Any], dict[int, tuple[str, str]]]:  # fmt: skip
    """The row of a curve, and batch size → verdict and reason of each point against their best.

    Compared are the batch sizes that both have: their fastest against each other one, by the rule for all. One point
    that disagrees makes the curve disagree; otherwise one that agrees makes it agree. The row is that of the point.
    """
    common = sorted(theirs.keys() & ours.keys())
    sizes = common if len(common) > 1 else sorted(theirs)
    best = min(sizes, key=lambda size: theirs[size].seconds)
    others = [size for size in sizes if size != best]
    if len(common) < 2:
        against = others[0] if others[0] < best else others[-1]  # what batches bring: smallest against best
        lacking = Ours(reason=_why_no_curve(theirs, ours, bench.records))
        row = _curve_row(theirs, against, best, lacking, noise, series, bench.records)
        asked = [theirs[size].asked for size in sorted(theirs.keys() - ours.keys())] if ours else []
        pair = (theirs[against].row, theirs[best].row)
        return row | {"to_run": to_run(pair, bench.records, lacking, asked)}, {}
    found = correct_for_many({size: bench.ratio(ours[size], ours[best]) for size in others})
    rows = {size: _curve_row(theirs, size, best, found[size], noise, series, bench.records) for size in others}
    deciding = min(others, key=lambda size: (CURVE_ORDER.index(rows[size]["verdict"]), size))
    difference, at, fastest = _difference(theirs, ours, common)
    row = rows[deciding] | {"difference": difference}
    row["reason"] = (
        f"fastest of {', '.join(map(str, common))}: {best} there, {fastest} here; {best} against {deciding}:"
        f" {row['reason']}; the curves differ most at {at}"
    )
    return row, {size: (one["verdict"], one["reason"]) for size, one in rows.items()}


def _curve_row(
    theirs: dict[int, Point], size: int, best: int, ours: Ours, noise: dict, series: published.Series, records: Records
) -> dict[str, Any]:  # fmt: skip
    """The row of one point of a curve against the best of it: how many times as fast the best is."""
    pair, ratio = (theirs[size].row, theirs[best].row), theirs[size].seconds / theirs[best].seconds
    return _row(KINDS[3], pair, ratio, _factor(noise, theirs[size], theirs[best]), ours, series, records)


def _factor(noise: dict, one: Point, other: Point) -> float:
    return noise_factor(noise, [(point.row.device, point.row.dataset, point.runs) for point in (one, other)])


def _why_no_curve(theirs: dict[int, Point], ours: dict[int, pandas.DataFrame], records: Records) -> str:
    side = stand_in(Side.of(next(iter(theirs.values())).row), records)
    if not ours:
        return f"no sweep of {side.name}"
    have, need = (", ".join(map(str, sorted(sizes))) for sizes in (ours, theirs))
    return f"fewer than two effective batch sizes in common: {need} there, {have} here"


def _difference(
    theirs: dict[int, Point], ours: dict[int, pandas.DataFrame], common: list[int]
) -> tuple[float, int, int]:  # fmt: skip
    """Largest difference of both curves, each relative to its best at the common batch sizes; where; our best."""
    seconds = seconds_of(ours)
    fastest = min(common, key=seconds.__getitem__)
    best = min(theirs[size].seconds for size in common)
    apart = {size: abs(best / theirs[size].seconds - seconds[fastest] / seconds[size]) for size in common}
    at = max(common, key=apart.__getitem__)
    return apart[at], at, fastest


def _points(
    theirs: dict[int, Point], ours: dict[int, pandas.DataFrame], noise: dict, verdicts: dict[int, tuple[str, str]],
    bench: Bench, about: dict[str, Any],
) -> list[dict[str, Any]]:  # fmt: skip
    """A row an effective batch size of either curve."""
    first = next(iter(theirs.values())).row
    shown = {"part": first.part, "environment": about["environments"][first.machine]["words"], "dataset": first.dataset}
    shown |= dict(zip(VARIANT, Side.of(first), strict=True))
    best = min(theirs, key=lambda size: theirs[size].seconds)
    seconds = seconds_of(ours)
    fastest = min(seconds, key=seconds.__getitem__) if seconds else None
    rows = []
    for size in sorted(theirs.keys() | ours.keys()):
        row = dict.fromkeys(CURVE_COLUMNS) | shown | {"batch_size": size}
        if size in theirs:
            relative = theirs[best].seconds / theirs[size].seconds
            factor = 1.0 if size == best else _factor(noise, theirs[size], theirs[best])
            row |= {"published": relative, "published_low": relative / factor, "published_high": relative * factor}
        if size in ours:
            found = bench.ratio(ours[fastest], ours[size]) if size != fastest else Ours(1.0, 1.0, 1.0)
            row |= {"ours": found.ratio, "ours_low": found.low, "ours_high": found.high}
            row["blocks"] = len(seconds_by_block(ours[size]))
        row["verdict"], row["reason"] = verdicts.get(size, ("", ""))
        rows.append(row)
    return rows


# --- the tables


def replicate(series: published.Series, records: Records) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """The table `replication`, a row a published comparison, and `replication_curves`, a row a point of a curve.

    What we measured comes first in each kind; kinds are in the order of KINDS.
    """
    curves, points = compare_curves(series, records)
    rows = compare_ratios(series, records) + curves
    rows.sort(key=lambda row: (KINDS.index(row["kind"]), row["verdict"] == NOT_MEASURED))
    return pandas.DataFrame(rows, columns=COLUMNS), pandas.DataFrame(points, columns=CURVE_COLUMNS)
