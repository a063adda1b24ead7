"""Hold each cell against its own slowest stage: the entry point of its rule."""

from pathlib import Path

import pandas

from vitbench import tables
from vitbench.analysis import stages
from vitbench.errors import run_logged
from vitbench.files import write_atomically


def main(profiled: pandas.DataFrame, physics: pandas.DataFrame, out: Path) -> None:
    """Write the table `slowest_stage` of the tables `stages` and `physics`."""
    write_atomically(out, tables.as_csv(stages.slowest(profiled, physics)))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        tables.read(snakemake.input.stages),
        tables.read(snakemake.input.physics),
        Path(snakemake.output[0]),
    )
