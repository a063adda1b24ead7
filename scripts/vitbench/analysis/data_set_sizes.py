"""Whether the size of a data set changes the answer: seconds an image, and the ratio to the baseline, size by size."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import numpy
import pandas

from vitbench import tables
from vitbench.analysis.looks import Rule
from vitbench.analysis.pairs import CONTROLS, rows_of
from vitbench.analysis.physics import ABOVE
from vitbench.analysis.speedup import doubted, without_claim
from vitbench.analysis.statistics import Comparison, Noise, compare, correct_for_many, mean_interval
from vitbench.analysis.summary import seconds_by_block, whole, why_none
from vitbench.cells import BEST, NAME_COLUMNS, SIZES, Cell, cell_name, device_in, role_of, variant_key


def data_set_sizes(
    runs: pandas.DataFrame, speedup: pandas.DataFrame, rule: Rule | None = None,
    impossible: Collection[tuple[str, str]] = (),
) -> pandas.DataFrame:  # fmt: skip
    """A row a variant and data set of the role `sizes`, smallest first (`tables.COLUMNS["data_set_sizes"]`).

    `ratio` is how many times as fast an image is there as on the variant's largest data set, a paired geometric mean
    over the blocks; `ratio_low` and `ratio_high` are its 95% interval by Student's t, from two blocks on. The verdict
    is that of `statistics.compare`, adjusted by Holm for all rows, and no claim where an A/A control forbids it.
    `floor` is what the pooled A/A ratios of the device let noise alone reach with as many blocks. `speedup` is the
    variant's ratio to the baseline on this very data set, with the interval from two blocks on; where the table
    `speedup` has none, for its labels say, there is none.

    Args:
        speedup: that table, of the same runs.
        rule: by what the ratios to the largest are judged; a fixed number of blocks.
        impossible: (dataset, cell name) of cells above the machine's peak, which have no number.
    """
    of_sizes = runs[(runs.status != "skipped") & (runs.dataset.map(role_of) == SIZES)]
    noise = _noise(runs, speedup)
    rows: list[dict[str, Any]] = []
    found: dict[int, Comparison] = {}
    for key, tried in of_sizes.groupby(NAME_COLUMNS, sort=False, dropna=False):
        cell = dict(zip(NAME_COLUMNS, key, strict=True))
        above = {dataset for dataset in tried.dataset if (dataset, cell_name(cell)) in impossible}
        seconds = {dataset: {} if dataset in above else blocks for dataset, blocks in _seconds(tried).items()}
        largest = max((dataset for dataset in seconds if seconds[dataset]), default=None, key=_images(tried).get)
        for dataset, blocks in seconds.items():
            row = cell | {"dataset": dataset, "images": _images(tried)[dataset], "blocks": len(blocks)}
            if not blocks:
                rows.append(row | {"reason": ABOVE if dataset in above else why_none(tried[tried.dataset == dataset])})
                continue
            row |= _spread(list(blocks.values()))
            if dataset != largest and (common := sorted(blocks.keys() & seconds[largest].keys())):
                found[len(rows)] = compare(seconds[largest], blocks, rule)
                row |= _interval("ratio", [seconds[largest][block] / blocks[block] for block in common])
                if known := noise.get(cell["device"]):
                    row["floor"], least, most = known.floor(len(common))
                    row["within_floor"] = _within(row["ratio_low"], row["ratio_high"], least, most)
            rows.append(row | _against_baseline(runs, speedup, row))
    devices = doubted(speedup)
    for place, one in zip(found, correct_for_many(list(found.values())), strict=True):
        one = without_claim(one) if rows[place]["device"] in devices else one
        rows[place] |= {"verdict": one.verdict, "reason": _join(rows[place].get("reason"), one.reason)}
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["data_set_sizes"]))


def _images(tried: pandas.DataFrame) -> dict[str, float]:
    """Data set → its images (of a repeat that failed the record knows them too)."""
    return {dataset: float(rows.images.max()) for dataset, rows in tried.groupby("dataset", sort=False)}


def _seconds(tried: pandas.DataFrame) -> dict[str, dict[int, float]]:
    """Data set → block → seconds an image of the usable repeats, the smallest data set first."""
    images = _images(tried)
    return {
        dataset: {
            block: seconds / images[dataset]
            for block, seconds in seconds_by_block(tried[(tried.dataset == dataset) & whole(tried)]).items()
        }
        for dataset in sorted(images, key=images.get)
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    """Geometric mean and range of seconds an image."""
    mean = float(numpy.exp(numpy.log(seconds).mean()))
    return {"seconds_an_image": mean, "seconds_low": min(seconds), "seconds_high": max(seconds)}


def _interval(name: str, ratios: list[float]) -> dict[str, float]:
    mean, low, high = (math.exp(end) for end in mean_interval(numpy.log(ratios)))
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _within(low: float, high: float, least: float, most: float) -> str:
    """Whether an interval of a ratio lies within a floor that is known to lie between `least` and `most` (above 1)."""
    near = 0.0 if low <= 1 <= high else min(abs(math.log(low)), abs(math.log(high)))
    if max(-math.log(low), math.log(high)) <= math.log(least):
        return "yes"
    return "no" if near > math.log(most) else "not known"


def _against_baseline(runs: pandas.DataFrame, speedup: pandas.DataFrame, row: dict[str, Any]) -> dict[str, Any]:
    """The variant's ratio to the baseline on the same device and data set, as far as the table `speedup` has one."""
    ours = speedup[(speedup.dataset == row["dataset"]) & (speedup.candidate == cell_name(row))]
    ours = ours[ours.baseline.map(device_in) == row["device"]]
    # Against itself with one worker it is no ratio to the baseline.
    ours = ours[ours.baseline.str.rsplit("/", n=3).str[0] != variant_key(row)]
    if ours.empty:
        return {}
    told = ours.iloc[0]
    known = {"baseline": told.baseline, "speedup_verdict": told.verdict}
    if pandas.isna(told.speedup):
        return known | {"reason": told.reason}
    baseline, candidate = (
        seconds_by_block(_rows_named(runs, row["dataset"], name)) for name in (told.baseline, told.candidate)
    )
    blocks = sorted(baseline.keys() & candidate.keys())
    return known | _interval("speedup", [baseline[block] / candidate[block] for block in blocks])


def _rows_named(runs: pandas.DataFrame, dataset: str, name: str) -> pandas.DataFrame:
    """The repeats of the cell with this name on a data set."""
    cell = asdict(Cell.parse(name, dataset))
    if cell["batch_size"] == BEST:
        cell["batch_size"] = math.nan
    return rows_of(runs, cell)


def _noise(runs: pandas.DataFrame, speedup: pandas.DataFrame) -> dict[str, Noise]:
    """Device → the pooled noise of its A/A controls."""
    found: dict[str, list[Comparison]] = {}
    for row in speedup[(speedup.family == CONTROLS) & speedup.speedup.notna()].itertuples():
        sides = (seconds_by_block(_rows_named(runs, row.dataset, name)) for name in (row.baseline, row.candidate))
        found.setdefault(device_in(row.candidate), []).append(compare(*sides))
    return {device: noise for device, controls in found.items() if (noise := Noise.pooled(controls))}


def _join(*parts: str | None) -> str | None:
    return "; ".join(filter(None, parts)) or None
