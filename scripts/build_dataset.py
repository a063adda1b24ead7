"""Make a data set: images/ and manifest.csv, of an archive after downloading it (rule build_dataset)."""

import time
from pathlib import Path

from vitbench.errors import run_logged
from vitbench.files import HOME
from vitbench.inputs import datasets, downloads, label_files
from vitbench.plan.grid import archive_path

# In the working directory; the checkout's own counts where that has none.
LOCK = Path("resources", "datasets.lock.yaml")


def main(name: str, definition: dict, role: str, manifest: Path, processes: int) -> None:
    """Build the data set of `definition` for `role` in the folder of `manifest` and say what is in it."""
    began = time.monotonic()
    label_files.of(definition)  # a wrong one is said before anything is downloaded
    archive = fetch(name, definition) if definition["kind"] == "archive" else None
    images = datasets.build(definition, role, manifest.parent, archive, processes)
    valid = sum(image.valid for image in images)
    seconds = time.monotonic() - began
    print(f"{manifest.parent}: {valid} images, {len(images) - valid} left out as invalid, {seconds:.0f} s")
    for form, count in datasets.count_forms(images).most_common():
        print(f"{count:>8} {form}")


def fetch(name: str, definition: dict) -> Path:
    """The archive of a data set, downloaded unless it is there, and checked; no request is made if it is."""
    path = Path(archive_path(name))
    expected = downloads.expectation(definition, name, [LOCK, HOME / LOCK])
    if path.exists():
        digest = downloads.check(path, expected)
    else:
        digest = downloads.fetch([definition["address"], *definition.get("mirrors", [])], path, expected)
    if expected.sha256 is None:
        downloads.trust(LOCK, name, definition, path, digest)
    return path


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.params.name,
        dict(snakemake.params.definition),
        snakemake.params.role,
        Path(snakemake.output.manifest),
        snakemake.threads,
    )
