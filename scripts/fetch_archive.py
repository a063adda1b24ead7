"""Download the archive of a data set, or check the one that is there (rule fetch_archive)."""

from pathlib import Path

from vitbench import downloads
from vitbench.configuration import HOME
from vitbench.errors import run_logged

LOCK = Path("resources", "datasets.lock.yaml")


def main(name: str, definition: dict, target: Path, lock: Path = LOCK) -> None:
    """Fetch the archive of the data set `name` to `target`; what nobody vouches for is written to the lock."""
    expected = downloads.expectation(definition, name, [lock, HOME / LOCK])
    addresses = [definition["address"], *definition.get("mirrors", [])]
    digest = downloads.fetch(addresses, target, expected)
    if expected.sha256 is None:
        downloads.trust(lock, name, definition, target, digest)
    print(f"{target}: {target.stat().st_size:,} bytes, sha256 {digest}")


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.wildcards.name,
        dict(snakemake.params.definition),
        Path(snakemake.output[0]),
    )
