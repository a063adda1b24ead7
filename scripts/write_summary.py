"""Write the lines that a run ends with."""

import json
from pathlib import Path
from typing import Any

import pandas

from vitbench import tables
from vitbench.analysis.looks import Rule
from vitbench.analysis.speedup import hours_of_a_block
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.present.answer import closing_lines


def main(
    frames: dict[str, pandas.DataFrame], context: dict[str, Any], grid: dict[str, Any], published: Path, out: Path
) -> None:
    """Write the closing lines of these tables (runs, best, parity, speedup, total_time)."""
    runs = frames["runs"]
    lines = closing_lines(
        **frames,
        context=context,
        published=pandas.read_csv(published),
        hours_of_a_block=hours_of_a_block(runs[runs.dataset == "full"]),
        rule=Rule.of(grid, "full"),
    )
    write_atomically(out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    names = {"runs": "runs", "best": "best_batch_size", "parity": "parity", "speedup": "speedup"}
    names["total_time"] = "total_time"
    run_logged(
        snakemake.log[0],
        main,
        {name: tables.read(snakemake.input[name], table) for name, table in names.items()},
        tables.read_context(snakemake.input.context),
        json.loads(Path(snakemake.input.grid).read_text(encoding="utf-8")),
        Path(snakemake.input.published),
        Path(snakemake.output[0]),
    )
