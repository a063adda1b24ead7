"""Write the effective configuration, as the run uses it."""

from pathlib import Path

import yaml

from vitbench.errors import run_logged
from vitbench.files import write_atomically


def main(config: dict, out: Path) -> None:
    """Write a resolved configuration as YAML; given back with --configfile it makes the same run again."""
    write_atomically(out, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


if __name__ == "__main__":
    run_logged(snakemake.log[0], main, dict(snakemake.params.config), Path(snakemake.output[0]))
