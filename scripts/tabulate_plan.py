"""Tabulate the plan of a job: `plan.csv`, how many machines finish so many images in time, and for how much."""

from collections.abc import Mapping
from pathlib import Path

from tabulate_cost import read_jobs

from vitbench import tables
from vitbench.analysis import prices
from vitbench.analysis.job_plan import job_plan
from vitbench.errors import run_logged
from vitbench.files import write_atomically


def main(given: Mapping[str, str], images: int, deadline: float, out: Path) -> None:
    """Write the table.

    Args:
        given: runs, parity, physics, total_time, prices → path.
        images: of the job.
        deadline: hours until which they are to be done.
    """
    table = job_plan(read_jobs(given), prices.read(Path(given["prices"])), images, deadline)
    write_atomically(out, tables.as_csv(table))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        {name: path for name, path in snakemake.input.items() if name != "lib"},
        snakemake.params.images,
        snakemake.params.deadline,
        Path(snakemake.output[0]),
    )
