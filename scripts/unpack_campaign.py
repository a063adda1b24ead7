"""Write the configuration and the grid of a packed campaign where those of a live run lie."""

import json
from pathlib import Path

import yaml

from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.records.archive import Folder, open_archive


def main(archive: Folder, out: dict[str, Path]) -> None:
    """Write `config` (YAML) and `grid` (JSON) of a campaign."""
    write_atomically(out["config"], yaml.safe_dump(archive.config, sort_keys=False, allow_unicode=True))
    write_atomically(out["grid"], json.dumps(archive.grid, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        open_archive(snakemake.params.archive),
        {name: Path(path) for name, path in snakemake.output.items()},
    )
