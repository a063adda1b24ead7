"""Where the time of a pass goes: the table of stages, and what bounds a cell."""

from __future__ import annotations

import statistics
from typing import Any

import pandas

from vitbench import tables
from vitbench.analysis.summary import usable
from vitbench.frameworks.stages import STAGES

INPUT = ("read", "decode", "preprocess")
# Largest relative difference between the sum of the stages and the wall time of the ordinary repeats.
TOLERANCE = 0.10


def bound_by(shares: dict[str, float]) -> str:
    """What bounds a cell, from the share of each stage (all six, sum 1), with the share in percent.

    It is the largest stage; or the input as a whole, if reading, decoding and preprocessing together take longer than
    the model does, and than any other stage.
    """
    whole_input = sum(shares[stage] for stage in INPUT)
    largest = max(STAGES, key=lambda stage: shares[stage])
    if whole_input > shares["forward"] and whole_input >= shares[largest]:
        most = max(INPUT, key=lambda stage: shares[stage])
        return f"input (read + decode + preprocess, {whole_input:.0%}), most of it {most} ({shares[most]:.0%})"
    return f"{largest} ({shares[largest]:.0%})"


CELL = ("framework", "variant", "device", "workers", "dataset")


def tabulate(found: list[dict[str, Any]], runs: pandas.DataFrame) -> pandas.DataFrame:
    """The table of stages (`tables.COLUMNS["stages"]`), six rows a profile.

    It is made from profiles and the runs table of their source.

    `share` is a stage's part of all instrumented passes together (samples of one pass may miss a short stage),
    `sum_seconds` the median over the passes of what their stages add up to, `seconds` = share x sum_seconds,
    `wall_seconds` the median of the cell's usable repeats, `difference` = sum_seconds / wall_seconds - 1.
    """
    rows = [row for profile in found for row in _rows(profile, runs[usable(runs)])]
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["stages"]))


def _rows(profile: dict[str, Any], repeats: pandas.DataFrame) -> list[dict[str, Any]]:
    same = [repeats[column] == profile[column] for column in (*CELL, "batch_size")]
    walls = repeats[pandas.concat(same, axis=1).all(axis=1)].wall_seconds
    cell = {column: profile[column] for column in (*CELL, "batch_size", "images", "status", "method", "reason")}
    if profile["status"] != "ok":
        return [cell | {"stage": stage} for stage in STAGES]
    passes = [one["stages"] for one in profile["passes"]]
    together = {stage: sum(one[stage] for one in passes) for stage in STAGES}
    shares = {stage: spent / sum(together.values()) for stage, spent in together.items()}
    total = statistics.median(sum(one.values()) for one in passes)
    cell |= {"sum_seconds": total, "bound_by": bound_by(shares)}
    if walls.empty:
        cell["reason"] = "no usable repeat of this cell to compare the sum with"
    else:
        wall = float(walls.median())
        difference = total / wall - 1
        cell |= {"wall_seconds": wall, "difference": difference, "within_10_percent": abs(difference) <= TOLERANCE}
        if not cell["within_10_percent"]:
            cell["reason"] = f"the stages add up to {total / wall:.0%} of the wall time of the ordinary repeats"
    return [cell | {"stage": stage, "seconds": shares[stage] * total, "share": shares[stage]} for stage in STAGES]
