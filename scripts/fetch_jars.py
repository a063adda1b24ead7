"""Fetch one set of Spark NLP's jars, each checked against the set's lock file."""

from pathlib import Path

from vitbench.errors import run_logged
from vitbench.files import HOME
from vitbench.inputs import jars


def main(name: str, folder: Path) -> None:
    """Fill `folder` with the jars of the set `name` (such as onnx-cpu)."""
    jars.fetch(HOME / "envs" / "jars" / name, folder)


if __name__ == "__main__":
    run_logged(snakemake.log[0], main, snakemake.wildcards.set, Path(snakemake.output[0]))
