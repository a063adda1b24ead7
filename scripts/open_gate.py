"""The gate before the first measurement: everything is there, and every file was read once."""

import json
from collections.abc import Iterable
from pathlib import Path

from vitbench import gates, machine
from vitbench.datasets import read_all, valid_images
from vitbench.errors import UserError, run_logged
from vitbench.files import write_atomically

# Canaries of the gate: before the first record, they alone say how fast this machine is.
CANARIES = 5


def main(
    configured: str, threads: int, devices: list[str], canary_seconds: float, parts: Iterable[Path], out: Path
) -> None:
    """Check, read every file of `parts` once (so that all frameworks find them in the page cache) and write the facts.

    Raises:
        UserError: another machine than the configuration says, fewer threads than it has cores, no GPU where one is to
            be measured, or a data set without a valid image, or with one that is no longer what its manifest lists.
    """
    machine.check_configured(configured)
    if "gpu" in devices and not machine.gpus():
        raise UserError("devices: gpu was asked for, and this machine shows none; leave it out, or see `make doctor`")
    if threads < machine.cores():
        raise UserError(
            f"a measurement takes all {machine.cores()} cores of this machine, and Snakemake was given {threads}: "
            "run it with --cores all"
        )
    read = 0
    for part in parts:
        if part.name == "manifest.csv":
            if not valid_images(part):
                raise UserError(f"{part} lists no valid image: see its column `reason`")
            read += read_all(part)
            continue
        for path in part.rglob("*") if part.is_dir() else [part]:
            if path.is_file():
                read += len(path.read_bytes())
    facts = {
        "machine": machine.describe(),
        "id": machine.machine_id(),
        "cores": machine.cores(),
        "memory_bytes": machine.memory_bytes(),
        "gpus": list(machine.gpus()),
        "bytes_read": read,
        "canaries": [gates.canary(canary_seconds) for _ in range(CANARIES)],
    }
    write_atomically(out, json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.params.machine,
        snakemake.threads,
        snakemake.params.devices,
        snakemake.params.canary_seconds,
        list(map(Path, snakemake.input.parts)),
        Path(snakemake.output[0]),
    )
