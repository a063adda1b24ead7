"""Choose the batch size that a variant's full runs use, from the records of its sweep."""

import json
from pathlib import Path

import pandas

from vitbench import tables
from vitbench.analysis.best_batch_size import choose_batch_size
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.records import record as records


def main(sweep: list[Path], sizes: list[int], margin: float, out: Path) -> None:
    """Write the choice (batch_size, median seconds, reason) and the records that it rests on.

    Args:
        sweep: records; none where the configuration names one batch size and wants no sweep.
        sizes: the batch sizes that the configuration names for this cell.
    """
    if sweep:
        rows = [records.to_row(records.read(path), "live", str(path)) for path in sweep]
        choice = choose_batch_size(pandas.DataFrame(rows, columns=tables.COLUMNS["runs"]), margin)
    else:
        (only,) = sizes
        choice = {"batch_size": only, "median": None, "reason": "the only one that was named: no sweep"}
    write_atomically(out, json.dumps(choice | {"records": sorted(map(str, sweep))}, indent=1) + "\n")


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        list(map(Path, snakemake.input)),
        snakemake.params.sizes,
        snakemake.params.margin,
        Path(snakemake.output[0]),
    )
