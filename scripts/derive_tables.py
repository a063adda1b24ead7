"""Derive the tables of break-even, effective batches and long repeats: the entry point of the rule `derive_tables`."""

import json
from pathlib import Path

from vitbench import tables
from vitbench.analysis.batches import effective_batches
from vitbench.analysis.break_even import break_even
from vitbench.analysis.looks import Rule
from vitbench.analysis.sustained import sustained
from vitbench.errors import run_logged
from vitbench.files import write_atomically


def main(
    runs_csv: str,
    parity_csv: str,
    speedup_csv: str,
    grid_json: str,
    break_even_csv: str,
    batches_csv: str,
    sustained_csv: str,
) -> None:
    """Read the tables and the grid, and write the three files."""
    runs = tables.read(runs_csv, "runs")
    gate, speedup = tables.read(parity_csv, "parity"), tables.read(speedup_csv, "speedup")
    rule = Rule.of(json.loads(Path(grid_json).read_text(encoding="utf-8")), "full")
    write_atomically(Path(break_even_csv), tables.as_csv(break_even(runs, gate, speedup, rule)))
    write_atomically(Path(batches_csv), tables.as_csv(effective_batches(runs)))
    write_atomically(Path(sustained_csv), tables.as_csv(sustained(runs)))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.input.runs,
        snakemake.input.parity,
        snakemake.input.speedup,
        snakemake.input.grid,
        snakemake.output.break_even,
        snakemake.output.batches,
        snakemake.output.sustained,
    )
