"""Write `benchmark.xlsx`: the entry point of the rule `write_workbook`."""

import pandas

from vitbench import tables
from vitbench.errors import run_logged
from vitbench.present.workbook import book as workbook

# Sheets that only the published numbers have: heading, by the name of the rule's input.
PUBLISHED = {
    "claims": "Each claim of the series, recomputed from the runs that the posts picked",
    "hardware": "Hardware and versions, as the series states them",
    "repeats": "Cells of one effective batch size: accidental repeats, the noise of the published experiment",
    "figures": "Figures of the series, drawn again or not reproducible",
}


def main(paths: dict[str, str], xlsx: str) -> None:
    """Read the tables and write the workbook.

    Args:
        paths: summary, runs, best, parity, speedup, context and those in `workbook.DERIVED` or, of the published
            numbers, PUBLISHED → file.
    """
    workbook.write(
        xlsx,
        summary=tables.read(paths["summary"], "summary"),
        runs=tables.read(paths["runs"], "runs"),
        best=tables.read(paths["best"], "best_batch_size"),
        parity=tables.read(paths["parity"], "parity"),
        speedup=tables.read(paths["speedup"], "speedup"),
        context=tables.read_context(paths["context"]),
        derived={name: tables.read(paths[name], name) for name in workbook.DERIVED if name in paths},
        more={
            name.capitalize(): (heading, pandas.read_csv(paths[name]))
            for name, heading in PUBLISHED.items()
            if name in paths
        },
    )


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        {name: path for name, path in snakemake.input.items() if name != "lib"},
        snakemake.output[0],
    )
