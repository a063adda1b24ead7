"""Install the packages that a variant needs beside the locked environment (rule install_packages)."""

from pathlib import Path

from vitbench.errors import run_logged
from vitbench.inputs.packages import install

if __name__ == "__main__":
    run_logged(snakemake.log[0], install, Path(snakemake.input[0]), Path(snakemake.output[0]))
