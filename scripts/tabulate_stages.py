"""Tabulate the profiles: seconds and share of each stage, whether they add up to the ordinary runs, what bounds."""

import statistics
from pathlib import Path
from typing import Any

import pandas

from vitbench import tables
from vitbench.analysis import summary as analysis
from vitbench.analysis.stages import STAGES, TOLERANCE, bound_by
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.measure import profiles
from vitbench.plan.grid import PROFILE
from vitbench.records.archive import Folder, open_archive

COLUMNS = tables.COLUMNS["stages"]
CELL = ("framework", "variant", "device", "workers", "dataset")


def stages(found: list[dict[str, Any]], runs: pandas.DataFrame) -> pandas.DataFrame:
    """The table of stages (columns: COLUMNS), six rows a profile, from profiles and the runs table of their source.

    `share` is a stage's part of all instrumented passes together (samples of one pass may miss a short stage),
    `sum_seconds` the median over the passes of what their stages add up to, `seconds` = share x sum_seconds,
    `wall_seconds` the median of the cell's usable repeats, `difference` = sum_seconds / wall_seconds - 1.
    """
    usable = runs[analysis.usable(runs)]
    return pandas.DataFrame([row for profile in found for row in _rows(profile, usable)], columns=COLUMNS)


def _rows(profile: dict[str, Any], usable: pandas.DataFrame) -> list[dict[str, Any]]:
    same = [usable[column] == profile[column] for column in (*CELL, "batch_size")]
    walls = usable[pandas.concat(same, axis=1).all(axis=1)].wall_seconds
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


def main(archive: Folder, runs: Path, out: Path) -> None:
    """Write the table of stages of an archive's profiles to `out`."""
    there = set(archive.paths())
    paths = [f"{cell['folder']}/{PROFILE}" for cell in archive.grid["cells"]]
    found = [profiles.checked(archive.document(path), path) for path in paths if path in there]
    table = stages(found, tables.read(runs, "runs"))
    write_atomically(out, table.convert_dtypes().to_csv(index=False))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        open_archive(snakemake.params.archive),
        Path(snakemake.input.runs),
        Path(snakemake.output[0]),
    )
