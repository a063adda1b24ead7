"""Measure what this machine can do at most: matrix products of the model's shapes in every library, and JPEG decoding.

A command of its own, as `measure.py` is; it runs alone on the machine.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from vitbench import machine
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import HOME, write_atomically
from vitbench.frameworks.declaration import CHECKPOINT
from vitbench.inputs import arithmetic, checkpoints, packages
from vitbench.inputs.datasets import read_manifest
from vitbench.measure import peak
from vitbench.measure.processes import machine_lock
from vitbench.plan import configuration, readiness
from vitbench.plan.grid import Grid
from vitbench.records import peak_file


def measure(grid: Grid, threads: int) -> dict[str, Any]:
    """The content of peak.json (config/schema/peak.schema.yaml).

    Raises:
        UserError: checkpoint or data set of the configuration are missing, or the latter has no valid image.
    """
    folder = Path("resources/models") / grid.model.slug / CHECKPOINT
    shape = arithmetic.shape_of(checkpoints.read(folder, str(folder)))
    manifest = Path(grid.manifest("sample"))
    if not manifest.exists():
        raise UserError(f"the data set {manifest} is missing: make it with `snakemake prepare`")
    images = [manifest.parent / image.path for image in read_manifest(manifest) if image.valid]
    if not images:
        raise UserError(f"{manifest} lists no valid image: see its column `reason`")
    for folder in grid.beside:
        packages.use(str(Path(folder).resolve()))
    with machine_lock():
        rates = [rate for device in grid.config["devices"] for rate in peak.measure_rates(shape, device, threads)]
        decode = peak.decode_rate(images)
    return {
        "schema": 1,
        "machine": grid.config["machine"],
        "protocol": grid.config["protocol"],
        "model": grid.model.slug,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "threads": threads,
        "flop_per_image": arithmetic.flop_per_image(shape),
        "decode_per_second": decode,
        "decode_library": f"Pillow {metadata.version('pillow')}",
        "decode_dataset": grid.datasets["sample"].slug,
        "peak": peak_file.peaks(rates),
        "rates": rates,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=Path, help="the file to write, peak.json")
    parser.add_argument("--config", type=Path, default=HOME / "config" / "config.yaml")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="cores to use (default: all)")
    options = parser.parse_args(arguments)
    grid = Grid(configuration.load(options.config))
    readiness.check_cores(options.threads)
    readiness.check_here(grid.config["machine"], grid.config["devices"])
    readiness.check_protocol(grid.config["protocol"])
    found = measure(grid, options.threads)
    peak_file.check(found, options.out)
    write_atomically(options.out, json.dumps(found, indent=1) + "\n")
    for one in found["peak"]:
        print(f"{one['device']}, {one['precision']}: {one['gflops']:.0f} GFLOP/s ({one['library']}, {one['shape']})")
    print(f"{found['decode_per_second']:.0f} images decoded a second on one core")
    return 0


if __name__ == "__main__":
    exit_with_user_errors(main)
