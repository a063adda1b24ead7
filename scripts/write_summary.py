"""Write the lines that a run ends with."""

from pathlib import Path
from typing import Any

import pandas

from vitbench import tables
from vitbench.analysis.statistics import LEAST_BLOCKS
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.present.answer import closing_lines


def main(frames: dict[str, pandas.DataFrame], context: dict[str, Any], published: Path, out: Path) -> None:
    """Write the closing lines of these tables (runs, best, parity, speedup)."""
    runs = frames["runs"]
    more = max(0, LEAST_BLOCKS - context["repeats"]) / context["repeats"]
    minutes = runs.total_seconds.sum() / 60 * more
    lines = closing_lines(**frames, context=context, published=pandas.read_csv(published), minutes_for_verdict=minutes)
    write_atomically(out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    names = {"runs": "runs", "best": "best_batch_size", "parity": "parity", "speedup": "speedup"}
    run_logged(
        snakemake.log[0],
        main,
        {name: tables.read(snakemake.input[name], table) for name, table in names.items()},
        tables.read_context(snakemake.input.context),
        Path(snakemake.input.published),
        Path(snakemake.output[0]),
    )
