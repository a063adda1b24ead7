"""Make a data set: images/ and manifest.csv (rule build_dataset)."""

from pathlib import Path

from vitbench import datasets
from vitbench.errors import run_logged


def main(definition: dict, role: str, manifest: Path) -> None:
    """Build the data set of `definition` for `role` in the folder of `manifest` and say what is in it."""
    images = datasets.build(definition, role, manifest.parent)
    valid = sum(image.valid for image in images)
    print(f"{manifest.parent}: {valid} images, {len(images) - valid} left out as invalid")


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        dict(snakemake.params.definition),
        snakemake.params.role,
        Path(snakemake.output.manifest),
    )
