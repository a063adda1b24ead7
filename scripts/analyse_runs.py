"""Derive summary, best batch size, parity and speedup from the runs table."""

from pathlib import Path

import pandas

from vitbench import analysis, tables
from vitbench.datasets import read_manifest
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.records import predictions_path, read_predictions


def main(runs: Path, manifests: dict[str, Path], baseline: str, agreement: float, out: dict[str, Path]) -> None:
    """Write the four tables.

    Args:
        manifests: role → manifest of its data set.
        out: summary, best, parity, speedup → path.
    """
    table = tables.read(runs)

    def labels(role: str) -> dict[str, str]:
        return {image.id: image.label for image in read_manifest(manifests[role]) if image.valid}

    def predictions(record: str) -> list[tuple[str, str, float | None]]:
        return read_predictions(predictions_path(Path(record)))

    gate = analysis.parity(table, baseline, predictions, labels, agreement)
    derived = {
        "summary": analysis.summary(table),
        "best": analysis.best_batch_sizes(table),
        "parity": gate,
        "speedup": analysis.speedup(table, baseline, gate),
    }
    for name, frame in derived.items():
        write_atomically(out[name], pandas.DataFrame(frame).convert_dtypes().to_csv(index=False))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        Path(snakemake.input.runs),
        dict(zip(snakemake.params.roles, map(Path, snakemake.input.manifests), strict=True)),
        snakemake.params.baseline,
        snakemake.params.agreement,
        {name: Path(path) for name, path in snakemake.output.items()},
    )
