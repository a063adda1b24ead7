"""Break-even: from how many images on the framework that starts later, but is faster an image, is ahead."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas

from vitbench import tables
from vitbench.analysis.fairness import hardware_of
from vitbench.analysis.looks import Rule
from vitbench.analysis.physics import ABOVE
from vitbench.analysis.speedup import DOUBT, doubted
from vitbench.analysis.statistics import Comparison, compare, correct_for_many
from vitbench.analysis.summary import seconds_by_block, usable
from vitbench.cells import CONTROL, NAME_COLUMNS, cell_name, variant_in
from vitbench.verdicts import DIFFERENT, EQUIVALENT, FASTER, IMPOSSIBLE, PARITY_FAILED, TOO_FEW

# A line through measured points is believed up to this many times the largest of them.
REACH = 2
# Verdict of a pair whose later one is ahead from `break_even` images on.
OVERTAKES = "overtakes"


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
    groups = full.groupby(NAME_COLUMNS, sort=False, dropna=False)
    return {cell_name(dict(zip(NAME_COLUMNS, key, strict=True))): group for key, group in groups}


def break_even(
    runs: pandas.DataFrame, parity_table: pandas.DataFrame, speedup: pandas.DataFrame, rule: Rule | None = None,
    impossible: Collection[tuple[str, str]] = (),
) -> pandas.DataFrame:  # fmt: skip
    """A row a pair of cells of the full data set on the same hardware, what starts sooner named `early`.

    `break_even` is the number of images where both have taken the same time, from medians; `low` and `high` are the
    range of that number over the common blocks, `blocks_never` the blocks in which `late` never catches up. Where that
    is any of them, there is no `high`. `extrapolated`: it lies below the data set's size or beyond REACH times
    `measured_images`, the most that a process of both has classified; `reason` says so.

    The verdict is that of the seconds an image, by the rule of all comparisons (`statistics.compare`), adjusted by Holm
    for the pairs of this table: `overtakes` where `late` is `faster`, `never` where it is `slower`, else `uncertain`.

    Args:
        parity_table: that of parity; a pair with different labels gets no number.
        speedup: tells on which devices the A/A control forbids claims.
        rule: by what the full runs are judged.
        impossible: (dataset, cell name) of cells above the machine's peak, which get no number.
    """
    cells = full_cells(runs)
    rows: list[dict[str, Any]] = []
    found: dict[int, Comparison] = {}
    for one, other in combinations(cells, 2):
        if hardware_of(cells[one].iloc[0]) != hardware_of(cells[other].iloc[0]):
            continue
        device, workers = cells[one].device.iloc[0], cells[one].workers.iloc[0]
        early, late = sorted((one, other), key=lambda name: line(cells[name]).fixed)
        row = {"device": device, "workers": workers, "early": early, "late": late}
        if above := [name for name in (early, late) if ("full", name) in impossible]:
            rows.append(row | {"verdict": IMPOSSIBLE, "reason": f"{' and '.join(above)}: {ABOVE}"})
            continue
        if failed := _parity_failure(parity_table, early, late):
            rows.append(row | {"verdict": PARITY_FAILED, "reason": failed})
            continue
        blocks = seconds_by_block(cells[early]), seconds_by_block(cells[late])
        if blocks[0].keys() & blocks[1].keys():
            found[len(rows)] = compare(*blocks, rule)
        rows.append(row | _meeting(cells[early], cells[late]))
    devices = doubted(speedup)
    for place, one in zip(found, correct_for_many(list(found.values())), strict=True):
        rows[place] |= _verdict(one, rows[place], rows[place]["device"] in devices)
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["break_even"]))


def _meeting(early: pandas.DataFrame, late: pandas.DataFrame) -> dict[str, Any]:
    first, second = line(early), line(late)
    measured = min(measured_images(early), measured_images(late))
    found = first.overtaken_at(second)
    blocks = sorted(set(early.block) & set(late.block))
    each = [line(early[early.block == block]).overtaken_at(line(late[late.block == block])) for block in blocks]
    finite = [images for images in each if math.isfinite(images)]
    never = len(each) - len(finite)
    # Of all repeats, and of medians of parts, it need not lie among the blocks' own.
    ends = [*finite, *([found] if finite and math.isfinite(found) else [])]
    return {
        "break_even": found if math.isfinite(found) else None,
        "low": min(ends) if ends else None,
        "high": max(ends) if ends and not never else None,
        "blocks": len(blocks),
        "blocks_never": never,
        "verdict": TOO_FEW,
        "early_fixed_seconds": first.fixed,
        "late_fixed_seconds": second.fixed,
        "early_seconds_an_image": first.each,
        "late_seconds_an_image": second.each,
        "measured_images": measured,
        "extrapolated": math.isfinite(found) and not early.images.min() <= found <= REACH * measured,
    }


def _verdict(found: Comparison, row: dict[str, Any], doubtful: bool) -> dict[str, Any]:
    """Verdict and reason of a pair, by the verdict on its seconds an image."""
    span = f"{found.low:.2f} to {found.high:.2f} times as fast an image"
    if found.verdict == TOO_FEW:
        verdict, why = TOO_FEW, ""
    elif doubtful:
        verdict, why = "uncertain", DOUBT
    elif found.verdict in DIFFERENT:
        verdict, why = (OVERTAKES if found.verdict == FASTER else "never"), ""
    elif found.verdict == EQUIVALENT:
        verdict, why = "uncertain", f"equivalent an image, within {found.rule.margin:.0%} ({span})"
    else:
        verdict, why = "uncertain", found.reason or f"{span}: inconclusive"
    beyond = ""
    if row["extrapolated"]:
        far = row["break_even"] > row["measured_images"]
        beyond = f"extrapolated {'beyond' if far else 'below'} what was measured"
    return {"verdict": verdict, "reason": "; ".join(filter(None, [why, beyond])) or None}


def _parity_failure(parity_table: pandas.DataFrame, one: str, other: str) -> str | None:
    """Why the labels of two cells of the full data set may not be compared, directly or each with the baseline."""
    of_full = parity_table[parity_table.dataset == "full"]
    full = of_full[of_full.compared != 0]
    pairs = [{row.baseline, row.candidate} for row in full.itertuples()]
    direct = pandas.Series([pair == {one, other} for pair in pairs], index=full.index, dtype=bool)
    # A cell held against itself on other hardware says nothing of how it labels beside this one.
    apart = pandas.Series([len(set(map(variant_in, pair))) > 1 for pair in pairs], index=full.index, dtype=bool)
    either = apart & pandas.Series([bool(pair & {one, other}) for pair in pairs], index=full.index, dtype=bool)
    failed = full[(direct if direct.any() else either) & ~full.passed.astype(bool)]
    if len(failed):
        return f"{failed.candidate.iloc[0]}: {failed.reason.iloc[0]}"
    named = set(full.baseline[apart]) | set(full.candidate[apart])
    alone = [name for name in (one, other) if name in {*of_full.baseline, *of_full.candidate} - named]
    return f"{alone[0]}: its labels were not compared" if alone else None
