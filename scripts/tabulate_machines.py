"""Set campaigns of several machines side by side: machines.csv and its page."""

import json
from pathlib import Path

from vitbench import tables
from vitbench.analysis.machines import Campaign, across_machines
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.present.comparison import machines_page


def main(results: list[Path], table: Path, page: Path) -> None:
    """Write table and page of the campaigns whose tables lie in these folders (results/campaigns/NAME)."""
    campaigns = [
        Campaign(
            folder.name,
            json.loads((folder / "provenance/grid.json").read_text(encoding="utf-8")),
            tables.read(folder / "summary.csv"),
            tables.read(folder / "speedup.csv"),
        )
        for folder in results
    ]
    found, alone = across_machines(campaigns)
    write_atomically(table, tables.as_csv(found))
    write_atomically(page, machines_page(tables.read(table, "machines"), alone))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        [Path(path).parent for path in snakemake.input.summary],
        Path(snakemake.output.table),
        Path(snakemake.output.page),
    )
