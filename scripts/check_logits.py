"""Compare the logits of a checkpoint with those of each form that it was exported to."""

import json
from pathlib import Path

from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.inputs.models import check_logits


def main(checkpoint: Path, exports: list[Path], out: Path) -> None:
    """Write the largest differences, by engine; an export that is not the same model raises UserError."""
    differences = check_logits(checkpoint, **{export.name: export for export in exports})
    write_atomically(out, json.dumps({"largest_difference": differences}, indent=1) + "\n")


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        Path(snakemake.input.checkpoint),
        [Path(export) for export in snakemake.input.exports],
        Path(snakemake.output[0]),
    )
