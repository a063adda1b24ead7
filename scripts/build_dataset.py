"""Make a data set: images/ and manifest.csv (rule build_dataset)."""

import time
from pathlib import Path

from vitbench import datasets
from vitbench.errors import run_logged


def main(definition: dict, role: str, manifest: Path, archive: Path | None, processes: int) -> None:
    """Build the data set of `definition` for `role` in the folder of `manifest` and say what is in it."""
    began = time.monotonic()
    images = datasets.build(definition, role, manifest.parent, archive, processes)
    valid = sum(image.valid for image in images)
    print(f"{manifest.parent}: {valid} images, {len(images) - valid} left out as invalid, {time.monotonic() - began:.0f} s")
    for form, count in datasets.count_forms(images).most_common():
        print(f"{count:>8} {form}")


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        dict(snakemake.params.definition),
        snakemake.params.role,
        Path(snakemake.output.manifest),
        Path(snakemake.input.archive) if snakemake.input.get("archive") else None,
        snakemake.threads,
    )
