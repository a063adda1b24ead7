"""Hold the throughput of each cell against what the machine can do at most."""

from pathlib import Path

import pandas

from vitbench import tables
from vitbench.analysis import physics
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.records import peak_file
from vitbench.records.archive import Folder, open_archive


def main(archive: Folder, runs: pandas.DataFrame, out: Path) -> None:
    """Write the table `physics`; records from elsewhere may come without what their machine can do."""
    place = archive.grid.get("peak")
    peak = peak_file.checked(archive.document(place), place) if place in archive.paths() else None
    write_atomically(out, tables.as_csv(physics.tabulate(runs, peak)))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        open_archive(snakemake.params.archive),
        tables.read(snakemake.input.runs),
        Path(snakemake.output[0]),
    )
