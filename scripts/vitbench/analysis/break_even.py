"""Break-even: from how many images on the framework that starts later, but is faster an image, is ahead."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas

from vitbench import tables
from vitbench.analysis.statistics import FLOOR, LEAST_BLOCKS
from vitbench.analysis.summary import usable
from vitbench.cells import CONTROL, VARIANT, cell_name

# A line through measured points is believed up to this many times the largest of them.
REACH = 2


@dataclass(frozen=True)
class Line:
    """Seconds that a fresh process needs for n images: `fixed` + n × `each`."""

    fixed: float
    each: float

    def seconds(self, images: float) -> float:
        """Total time for this many images."""
        return self.fixed + images * self.each

    def overtaken_at(self, late: Line) -> float:
        """Number of images at which `late`, which starts later, has caught up; infinite where it is no faster.

        0 where `late` does not start later after all (a block may differ from the medians).
        """
        if late.each >= self.each:
            return math.inf
        return max(0.0, (late.fixed - self.fixed) / (self.each - late.each))


def line(repeats: pandas.DataFrame) -> Line:
    """The line of one cell, from rows of the runs table: medians over its repeats.

    `fixed` = start + load + what the cold pass takes longer than a warm one; `each` = warm seconds an image.
    """
    begin = (repeats.start_seconds + repeats.load_seconds).median()
    surplus = (repeats.cold_seconds - repeats.wall_seconds).median()
    return Line(float(begin + surplus), float((repeats.wall_seconds / repeats.images).median()))


def measured_images(repeats: pandas.DataFrame) -> int:
    """The most images that one process of these repeats has classified: its passes, warm-up and all, added up."""
    return int((repeats.images * (repeats.pass_seconds.str.count(";") + 1)).max())


def full_cells(runs: pandas.DataFrame) -> dict[str, pandas.DataFrame]:
    """Name → usable repeats of each cell of the full data set with all times of a line; without the A/A control."""
    full = runs[(runs.dataset == "full") & usable(runs) & ~runs.variant.str.endswith(CONTROL)]
    full = full.dropna(subset=["start_seconds", "load_seconds", "cold_seconds", "wall_seconds"])
    groups = full.groupby([*VARIANT, "batch_size"], sort=False, dropna=False)
    return {cell_name(dict(zip([*VARIANT, "batch_size"], key, strict=True))): group for key, group in groups}


def break_even(runs: pandas.DataFrame, gate: pandas.DataFrame, speedup: pandas.DataFrame) -> pandas.DataFrame:
    """A row a pair of cells of the full data set on the same hardware, what starts sooner named `early`.

    `break_even` is the number of images where both have taken the same time, from medians; `low` and `high` are the
    range of that number over the common blocks, `blocks_never` the blocks in which `late` never catches up. Where that
    is any of them, there is no `high`. `extrapolated`: it lies below the data set's size or beyond REACH times
    `measured_images`, the most that a process of both has classified.

    Args:
        gate: the table of parity; a pair with different labels gets no number.
        speedup: gives each device's noise floor.
    """
    floors = speedup.groupby(speedup.candidate.str.split("/").str[2])["floor"].max() if len(speedup) else {}
    cells = full_cells(runs)
    rows = []
    for one, other in combinations(cells, 2):
        device, workers = cells[one].device.iloc[0], cells[one].workers.iloc[0]
        if (device, workers) != (cells[other].device.iloc[0], cells[other].workers.iloc[0]):
            continue
        early, late = sorted((one, other), key=lambda name: line(cells[name]).fixed)
        row = {"device": device, "workers": workers, "early": early, "late": late}
        failed = _parity_failure(gate, early, late)
        if failed:
            rows.append(row | {"verdict": "parity failed", "reason": failed})
        else:
            rows.append(row | _meeting(cells[early], cells[late], floors.get(device, 1 + FLOOR)))
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["break_even"]))


def _meeting(early: pandas.DataFrame, late: pandas.DataFrame, floor: float) -> dict[str, Any]:
    first, second = line(early), line(late)
    measured = min(measured_images(early), measured_images(late))
    found = first.overtaken_at(second)
    blocks = sorted(set(early.block) & set(late.block))
    each = [line(early[early.block == block]).overtaken_at(line(late[late.block == block])) for block in blocks]
    finite = [images for images in each if math.isfinite(images)]
    never = len(each) - len(finite)
    verdict, reason = _verdict(first, second, len(blocks), never, floor)
    return {
        "break_even": found if math.isfinite(found) else None,
        "low": min(finite) if finite else None,
        "high": max(finite) if finite and not never else None,
        "blocks": len(blocks),
        "blocks_never": never,
        "verdict": verdict,
        "early_fixed_seconds": first.fixed,
        "late_fixed_seconds": second.fixed,
        "early_seconds_an_image": first.each,
        "late_seconds_an_image": second.each,
        "measured_images": measured,
        "extrapolated": math.isfinite(found) and not early.images.min() <= found <= REACH * measured,
        "reason": reason,
    }


def _verdict(early: Line, late: Line, blocks: int, never: int, floor: float) -> tuple[str, str | None]:
    """`overtakes` or `never` where all blocks say so and the speeds differ beyond the noise floor."""
    if blocks < LEAST_BLOCKS:
        return "too few repeats", None
    if max(early.each, late.each) / min(early.each, late.each) <= floor:
        return "uncertain", "seconds an image differ by no more than the noise floor"
    if 0 < never < blocks:
        return "uncertain", f"in {never} of {blocks} blocks it never catches up"
    return ("never" if never else "overtakes"), None


def _parity_failure(gate: pandas.DataFrame, one: str, other: str) -> str | None:
    """Why the labels of two cells of the full data set may not be compared, directly or each with the baseline."""
    full = gate[gate.dataset == "full"]
    pairs = [{row.baseline, row.candidate} for row in full.itertuples()]
    direct = pandas.Series([pair == {one, other} for pair in pairs], index=full.index, dtype=bool)
    either = pandas.Series([bool(pair & {one, other}) for pair in pairs], index=full.index, dtype=bool)
    failed = full[(direct if direct.any() else either) & ~full.passed.astype(bool)]
    return None if failed.empty else f"{failed.candidate.iloc[0]}: {failed.reason.iloc[0]}"
