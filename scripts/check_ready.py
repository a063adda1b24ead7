"""Before the first measurement: everything is there, and every file was read once (rule `check_ready`)."""

import json
from collections.abc import Iterable
from pathlib import Path

from vitbench import machine
from vitbench.errors import UserError, run_logged
from vitbench.files import write_atomically
from vitbench.inputs.datasets import read_all, valid_images
from vitbench.measure import canary
from vitbench.measure.limits import Limits
from vitbench.measure.processes import machine_lock
from vitbench.plan import readiness

# Canaries of this check, and the seconds that it waits for as many that agree.
CANARIES, PATIENCE = 5, 60.0


def main(
    configured: str,
    threads: int,
    devices: list[str],
    batch_sizes: list[int],
    wants_spark: bool,
    limits: dict[str, float],
    parts: Iterable[Path],
    out: Path,
) -> None:
    """Check, read every file of `parts` once (so that all frameworks find them in the page cache) and write the facts.

    Raises:
        UserError: another machine than the configuration says, one that is shared or lacks what a measurement needs
            (see `vitbench.plan.readiness`), or a data set without a valid image, with fewer than a batch has, or with
            one that is no longer what its manifest lists.
    """
    readiness.check_here(configured, devices)
    readiness.check_gpu(devices)
    readiness.check_cores(threads)
    if wants_spark:
        readiness.check_memory()
        readiness.check_spark(Path())
    readiness.check_disk(Path())
    read = 0
    for part in parts:
        if part.name == "manifest.csv":
            role = part.parent.name.partition("-")[0]
            valid = len(valid_images(part))
            if not valid:
                raise UserError(f"datasets: {role}: {part} lists no valid image: see its column `reason`")
            readiness.check_batch_sizes(batch_sizes, role, valid)
            read += read_all(part)
            continue
        for path in part.rglob("*") if part.is_dir() else [part]:
            if path.is_file():
                read += len(path.read_bytes())
    facts = {
        "machine": machine.describe(),
        "id": machine.machine_id(devices),
        "boot": machine.boot(),
        "cores": machine.cores(),
        "memory_bytes": machine.memory_bytes(),
        "gpus": list(machine.gpus()),
        "bytes_read": read,
    }
    # Beside another run's measurement they would disturb it, and be slow alike.
    with machine_lock():
        facts["canaries"] = canary.first(Limits(**limits), CANARIES, PATIENCE)
    write_atomically(out, json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.params.machine,
        snakemake.threads,
        snakemake.params.devices,
        snakemake.params.batch_sizes,
        snakemake.params.wants_spark,
        snakemake.params.quiet,
        list(map(Path, snakemake.input.parts)),
        Path(snakemake.output[0]),
    )
