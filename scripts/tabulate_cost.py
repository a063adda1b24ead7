"""Tabulate hours and money for a million images: `cost.csv`, our cells and the published runs."""

from collections.abc import Mapping
from pathlib import Path

from vitbench import tables
from vitbench.analysis import jobs, prices
from vitbench.analysis.cost import cost
from vitbench.analysis.physics import impossible_cells
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.series import published


def read_jobs(given: Mapping[str, str]) -> list[jobs.Job]:
    """The jobs of what was measured: runs, parity, physics, total_time → path."""
    runs, parity_table, physics, total = (
        tables.read(given[name], name) for name in ("runs", "parity", "physics", "total_time")
    )
    return jobs.jobs(runs, total, parity_table, impossible_cells(physics))


def main(folder: Path, given: Mapping[str, str], out: Path) -> None:
    """Write the table, our rows before the published ones.

    Args:
        folder: the published data.
        given: runs, parity, physics, total_time, prices → path.
    """
    series = published.read(folder)
    theirs = jobs.of_published(published.clustered(series.runs, published.scaling_figure(series)))
    table = cost([*read_jobs(given), *theirs], prices.read(Path(given["prices"])))
    write_atomically(out, tables.as_csv(table))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        Path(snakemake.input.published[0]).parent,
        {name: path for name, path in snakemake.input.items() if name not in ("published", "lib")},
        Path(snakemake.output[0]),
    )
