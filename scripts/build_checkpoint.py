"""Make a model's Hugging Face checkpoint (rule build_checkpoint)."""

from pathlib import Path

from vitbench.errors import run_logged
from vitbench.inputs import models


def main(definition: dict, folder: Path) -> None:
    """Build the checkpoint of `definition` in `folder`."""
    models.build_checkpoint(definition, folder)


if __name__ == "__main__":
    run_logged(snakemake.log[0], main, dict(snakemake.params.definition), Path(snakemake.output[0]))
