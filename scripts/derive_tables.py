"""Derive break-even, effective batches, long repeats and sizes of data sets: the entry point of `derive_tables`."""

import json
from collections.abc import Mapping
from pathlib import Path

from vitbench import tables
from vitbench.analysis.batches import effective_batches
from vitbench.analysis.break_even import break_even
from vitbench.analysis.data_set_sizes import data_set_sizes
from vitbench.analysis.looks import Rule
from vitbench.analysis.physics import impossible_cells
from vitbench.analysis.sustained import sustained
from vitbench.analysis.total_time import total_time
from vitbench.cells import SIZES
from vitbench.errors import run_logged
from vitbench.files import write_atomically


def main(given: Mapping[str, str], out: Mapping[str, str]) -> None:
    """Read the tables and the grid, and write what follows from them.

    Args:
        given: runs, parity, speedup, physics, grid → path.
        out: break_even, batches, sustained, data_set_sizes, total_time → path.
    """
    runs, parity_table, speedup, physics = (
        tables.read(given[table], table) for table in ("runs", "parity", "speedup", "physics")
    )
    impossible = impossible_cells(physics)
    grid = json.loads(Path(given["grid"]).read_text(encoding="utf-8"))
    derived = {
        "break_even": break_even(runs, parity_table, speedup, Rule.of(grid, "full"), impossible),
        "batches": effective_batches(runs),
        "sustained": sustained(runs),
        "data_set_sizes": data_set_sizes(runs, speedup, Rule.of(grid, SIZES), impossible),
        "total_time": total_time(runs, impossible),
    }
    for name, frame in derived.items():
        write_atomically(Path(out[name]), tables.as_csv(frame))


if __name__ == "__main__":
    given = {name: path for name, path in snakemake.input.items() if name != "lib"}
    run_logged(snakemake.log[0], main, given, dict(snakemake.output.items()))
