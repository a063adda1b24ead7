"""Derive summary, best batch size, parity and speedup from the runs table."""

from functools import cache
from pathlib import Path

from vitbench import accuracy, tables
from vitbench.analysis import best_batch_size, parity
from vitbench.analysis import speedup as speedups
from vitbench.analysis import summary as analysis
from vitbench.analysis.looks import Rule
from vitbench.analysis.physics import impossible_cells
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.records.archive import Folder, open_archive


def main(runs: Path, physics_table: Path, archive: Folder, out: dict[str, Path]) -> None:
    """Write the tables.

    Args:
        runs, physics_table: these tables.
        archive: of the predictions that `runs` names, the manifests and the grid.
        out: summary, budget, best, images, parity, disagreements, speedup → path.
    """
    table = tables.read(runs)
    baseline = archive.grid["baseline"]

    # Each is asked for once a pair, of which a large grid has hundreds.
    manifest = cache(archive.manifest)

    @cache
    def labels(role: str) -> dict[str, str]:
        return accuracy.expected(archive.labels(role), archive.matched_labels(role))

    @cache
    def forms(role: str) -> dict[str, str]:
        return {image.id: image.form for image in manifest(role) if image.valid}

    rules = {role: Rule.of(archive.grid, role) for role in archive.grid["datasets"]}
    faster_than_possible = impossible_cells(tables.read(physics_table, "physics"))
    parity_table = parity.parity(table, baseline, archive.predictions, labels, archive.grid["agreement"], forms)
    data_sets = {role: (one["name"], manifest(role)) for role, one in archive.grid["datasets"].items()}
    derived = {
        "summary": analysis.summary(table),
        "budget": analysis.time_budget(table),
        "best": best_batch_size.best_batch_sizes(table, rules["sample"].margin),
        "images": parity.images(data_sets),
        "parity": parity_table,
        "disagreements": parity.disagreements(table, baseline, parity_table, archive.predictions, manifest),
        "speedup": speedups.speedup(
            table, baseline, parity_table, faster_than_possible, rules, archive.grid.get("trials")
        ),
    }
    for name, frame in derived.items():
        write_atomically(out[name], tables.as_csv(frame))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        Path(snakemake.input.runs),
        Path(snakemake.input.physics),
        open_archive(snakemake.params.archive),
        {name: Path(path) for name, path in snakemake.output.items()},
    )
