"""Write the effective configuration and its grid, as the run uses them."""

import json
from pathlib import Path
from typing import Any

import yaml

from vitbench.errors import run_logged
from vitbench.files import write_atomically


def main(config: dict[str, Any], grid: dict[str, Any], out: dict[str, Path]) -> None:
    """Write a resolved configuration, which given back with --configfile makes the same run again, and its grid.

    Args:
        grid: what `Grid.describe` says of it.
        out: config, grid → path.
    """
    write_atomically(out["config"], yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    write_atomically(out["grid"], json.dumps(grid, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        dict(snakemake.params.config),
        dict(snakemake.params.grid),
        {name: Path(path) for name, path in snakemake.output.items()},
    )
