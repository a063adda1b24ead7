"""Tabulate the profiles: seconds and share of each stage, whether they add up to the ordinary runs, what bounds."""

from pathlib import Path

from vitbench import tables
from vitbench.analysis import stages
from vitbench.cells import PROFILE
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.records import profile_file
from vitbench.records.archive import Folder, open_archive


def main(archive: Folder, runs: Path, out: Path) -> None:
    """Write the table of stages of an archive's profiles to `out`."""
    there = set(archive.paths())
    paths = [f"{cell['folder']}/{PROFILE}" for cell in archive.grid["cells"]]
    found = [profile_file.checked(archive.document(path), path) for path in paths if path in there]
    table = stages.tabulate(found, tables.read(runs, "runs"))
    write_atomically(out, tables.as_csv(table))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        open_archive(snakemake.params.archive),
        Path(snakemake.input.runs),
        Path(snakemake.output[0]),
    )
