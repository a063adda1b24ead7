"""Set our records beside the published runs: `replication.csv` and `replication_curves.csv`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitbench import tables
from vitbench.analysis.looks import Rule
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.series import published
from vitbench.series.our_runs import Records
from vitbench.series.replication import replicate


def shape_of(model: dict[str, Any], wanted: dict[str, int]) -> dict[str, int] | None:
    """Sizes of a defined model by their published names; None where its definition does not have them all."""
    return {name: model[name] for name in wanted} if wanted.keys() <= model.keys() else None


def read_records(paths: Mapping[str, str], about: dict[str, Any]) -> Records:
    """Read what is known of our records: runs, best, parity, speedup, context, grid → path."""
    grid = json.loads(Path(paths["grid"]).read_text())
    return Records(
        runs=tables.read(paths["runs"], "runs"),
        best=tables.read(paths["best"], "best_batch_size"),
        parity=tables.read(paths["parity"], "parity"),
        speedup=tables.read(paths["speedup"], "speedup"),
        context=tables.read_context(paths["context"]),
        shape=shape_of(grid["model"]["definition"], about["shape"]),
        stand_ins=grid["stand_ins"],
        rules={role: Rule.of(grid, role) for role in grid["datasets"]},
    )


def main(folder: Path, paths: Mapping[str, str], table: str, curves: str) -> None:
    """Write both tables.

    Args:
        folder: the published data.
        paths: see `read_records`.
    """
    series = published.read(folder)
    for path, frame in zip((table, curves), replicate(series, read_records(paths, series.about)), strict=True):
        write_atomically(Path(path), tables.as_csv(frame))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        Path(snakemake.input.published[0]).parent,
        {name: path for name, path in snakemake.input.items() if name not in ("published", "lib")},
        snakemake.output.table,
        snakemake.output.curves,
    )
