"""Write the page `advice.md`: the entry point of its rule."""

from pathlib import Path
from typing import Any

import pandas

from vitbench import tables
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.present import advice


def main(best: pandas.DataFrame, steps: pandas.DataFrame, context: dict[str, Any], out: Path) -> None:
    """Write the page of the tables `advice` and `steps`."""
    write_atomically(out, advice.page(best, steps, context))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        tables.read(snakemake.input.advice),
        tables.read(snakemake.input.steps),
        tables.read_context(snakemake.input.context),
        Path(snakemake.output[0]),
    )
