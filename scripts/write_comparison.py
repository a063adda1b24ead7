"""Write the page of a comparison of two sets of records, reports/compare.md."""

from pathlib import Path

from vitbench import tables
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.present.comparison import page


def main(table: str | Path, context: str | Path, out: Path) -> None:
    """Write the page of the table `compare` and its context."""
    write_atomically(out, page(tables.read(table, "compare"), tables.read_context(context)))


if __name__ == "__main__":
    run_logged(snakemake.log[0], main, snakemake.input.compare, snakemake.input.context, Path(snakemake.output[0]))
