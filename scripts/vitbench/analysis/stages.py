"""Where the time of a pass goes: the table of stages, and what bounds a cell."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pandas

from vitbench import tables
from vitbench.analysis.summary import usable
from vitbench.cells import CONTROL, NAME_COLUMNS
from vitbench.frameworks.stages import STAGES

INPUT = ("read", "decode", "preprocess")
# Largest relative difference between the sum of the stages and the wall time of the ordinary repeats.
TOLERANCE = 0.10
# What names the cell of a profile within its source.
PROFILED = [*NAME_COLUMNS, "dataset"]


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
    same = [repeats[column] == profile[column] for column in PROFILED]
    walls = repeats[pandas.concat(same, axis=1).all(axis=1)].wall_seconds
    cell = {column: profile[column] for column in (*PROFILED, "images", "status", "method", "reason")}
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


# Stages that each could go at a rate of its own while the others wait, and what their rates are known from.
RATED = ("decode", "preprocess", "forward")
PROFILE, PEAK = "profile", "peak file"


def slowest(stages: pandas.DataFrame, physics: pandas.DataFrame) -> pandas.DataFrame:
    """The table of each cell of the full set against its own slowest stage (`tables.COLUMNS["slowest_stage"]`).

    The rate of a stage is images / (its share of the cell's profile x the ordinary repeats' wall time). Of a cell
    without a profile, or whose stages do not add up to that time within TOLERANCE (the instruments stretched it),
    decoding could go at the peak file's `decode_ceiling` and the model at its own library's peak (the machine's where
    that is not known), and what preprocessing could do is not known. `share` = end-to-end rate / the lowest of these
    rates: what is left of the slowest stage once the others have their time. It is 1 where all else goes on meanwhile;
    by the profile of a cell whose stages follow each other it is that stage's share.

    Args:
        stages, physics: these tables of the same runs.
    """
    full = physics[(physics.dataset == "full") & ~physics.variant.str.endswith(CONTROL)]
    profiled = {key: rows for key, rows in stages.groupby(PROFILED, sort=False)}
    rows = []
    for cell in full.to_dict("records"):
        found = profiled.get(tuple(cell[column] for column in PROFILED))
        row = {column: cell[column] for column in (*PROFILED, "throughput")}
        rates, row["basis"] = _rates(cell, found)
        known = {stage: rate for stage, rate in rates.items() if math.isfinite(rate)}
        row |= {f"{stage}_rate": rate for stage, rate in rates.items()}
        if known:
            row["slowest"] = min(known, key=lambda stage: known[stage])
            row["slowest_rate"] = known[row["slowest"]]
            row["share"] = cell["throughput"] / row["slowest_rate"]
        else:
            row |= {"basis": "", "reason": "neither a profile nor a peak of this cell is known"}
        rows.append(row)
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["slowest_stage"]))


def _rates(cell: dict[str, Any], profile: pandas.DataFrame | None) -> tuple[dict[str, float], str]:
    """Images a second of each of RATED (NaN where it is not known), and where they are from."""
    if profile is not None and (profile.difference.abs() <= TOLERANCE).all():
        spent = dict(zip(profile.stage, profile.share * profile.wall_seconds, strict=True))
        images = float(profile.images.iloc[0])
        # A stage that the profile did not see takes no time.
        return {stage: images / spent[stage] if spent[stage] > 0 else math.nan for stage in RATED}, PROFILE
    library = cell["own_gflops"] if math.isfinite(cell["own_gflops"]) else cell["peak_gflops"]
    return {
        "decode": cell["decode_ceiling"],
        "preprocess": math.nan,
        "forward": library / cell["gflop_per_image"],
    }, PEAK
