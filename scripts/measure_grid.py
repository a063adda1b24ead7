"""Measure all that a configuration lacks, without Snakemake, on a machine that has only what a framework needs.

It makes data sets and model, checks the machine, and measures in the seeded order of the grid. Begun again, it goes on
where it stopped. `snakemake import --config records=DIR` takes what it leaves into a campaign, on any machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import build_checkpoint
import build_dataset
import check_ready
import choose_batch_size
import write_configuration

from vitbench import machine
from vitbench.cells import SIZES, Cell, repeats_of, role_of, variant_key
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import HOME
from vitbench.frameworks.declaration import CHECKPOINT
from vitbench.inputs.java import find_java
from vitbench.measure.supervisor import ORDERED_BY
from vitbench.plan import configuration, estimate, time_left
from vitbench.plan.grid import Grid
from vitbench.records import record as records

PROVENANCE, LOGS = Path("results/provenance"), Path("logs/measure_grid")
# What a repeat may take longer than expected before it is stopped at the end of `--minutes`.
SPARE_SECONDS = 20


@dataclass(frozen=True)
class Clock:
    """How much time is left; without a limit there is always enough."""

    end: float

    @property
    def left(self) -> float:
        return self.end - time.monotonic()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="example: python scripts/measure_grid.py --config mine.yaml --directory ~/runs/mine --minutes 50",
    )
    parser.add_argument("--config", type=Path, default=HOME / "config" / "config.yaml", help="configuration file")
    parser.add_argument("--directory", type=Path, default=Path("."), metavar="DIR", help="working directory")
    parser.add_argument("--minutes", type=float, help="begin no repeat that would not end within so many minutes")
    return parser.parse_args(arguments)


def check_possible(grid: Grid) -> None:
    """Raise UserError where a cell needs what only Snakemake makes: an export of the model, jars, Java."""
    for cell in grid.cells:
        needs = grid.needs(cell)
        if needs.jars or needs.form != CHECKPOINT:
            raise UserError(
                f"frameworks: {variant_key(cell)} needs what the workflow makes (exports, jars): leave it "
                "out here, or run `snakemake`"
            )
    if any(grid.needs(cell).spark for cell in grid.cells):
        find_java()


def prepare(grid: Grid, threads: int) -> None:
    """Make data sets and checkpoint where they are missing."""
    for name, dataset in grid.datasets.items():
        manifest = Path(grid.manifest(name))
        if not manifest.exists():
            build_dataset.main(dataset.name, dataset.definition, dataset.role, manifest, threads)
    checkpoint = Path("resources/models") / grid.model.slug / CHECKPOINT
    if not checkpoint.exists():
        build_checkpoint.main(grid.model.definition, checkpoint)


def check(grid: Grid, threads: int) -> Path:
    """The barrier before the first measurement: check machine and data, read every file once; the file it leaves."""
    ready = PROVENANCE / "ready.json"
    parts = {Path(grid.manifest(dataset)) for dataset in grid.datasets}
    parts |= {Path(grid.model_folder(cell)) for cell in grid.cells}
    check_ready.main(
        grid.config["machine"],
        threads,
        grid.config["devices"],
        sorted({cell.batch_size for cell in grid.sweep}),
        False,
        grid.config["quiet"],
        sorted(parts),
        ready,
    )
    return ready


def run(script: str, options: list[Any], log: Path, seconds: float | None) -> str | None:
    """Run a script of ours with its output in `log`; its last line, None if it was stopped after so many seconds.

    Raises:
        UserError: it failed, which no repeat does whose framework failed: that is a record too.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(HOME / "scripts" / script), *map(str, options)]
    with open(log, "w") as output:
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | {ORDERED_BY: str(os.getpid())}
        )
        try:
            status = child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.terminate()
            child.wait()
            return None
        except KeyboardInterrupt:
            child.terminate()
            child.wait()
            raise
    last = (log.read_text(errors="replace").strip().splitlines() or ["no output"])[-1]
    if status != 0:
        raise UserError(f"{script} failed: {last} (all of it: {log.resolve()})")
    return last


def choose(grid: Grid) -> None:
    """Choose the batch size of the full cells whose sweep is complete and whose choice was not made yet."""
    for cell in grid.full:
        tried = grid.sweep_of(cell)
        sweep = [Path(grid.record(one, block)) for one, block in grid.order if one in tried]
        if not Path(grid.choice(cell)).exists() and all(path.exists() for path in sweep):
            sizes = [one.batch_size for one in tried]
            choose_batch_size.main(sweep, sizes, grid.config["margin"], Path(grid.choice(cell)))


def expected_seconds(grid: Grid, cell: Cell, block: int) -> float:
    """About how long a repeat takes: what its cell's longest so far took, or the estimate by the variant's others."""
    known = [Path(grid.record(cell, before)) for before in range(block)]
    taken = [records.seconds_taken(records.read(path)) for path in known if path.exists()]
    return max(taken) if taken else estimate.seconds(grid, [(cell, block)])


def measure(grid: Grid, config: Path, ready: Path, threads: int, clock: Clock | None) -> bool:
    """Measure the repeats that are missing, one line of progress each; whether that is all of them."""
    for cell, block in estimate.missing(grid):
        choose(grid)
        expected = expected_seconds(grid, cell, block)
        if clock and clock.left < expected:
            print(f"stopped: {cell.name}, repeat {block}, takes about {expected:.0f} s, {clock.left:.0f} s are left")
            return False
        out = Path(grid.record(cell, block))
        options = ["--config", config, "--dataset", cell.dataset, "--cell", cell.name, "--repeat", block]
        options += ["--threads", threads, "--ready", ready, "--out", out]
        log = LOGS / f"{cell.dataset}.{cell.name.replace('/', '.')}.rep{block}.log"
        begin = time.monotonic()
        last = run("measure.py", options, log, clock and clock.left + SPARE_SECONDS)
        if last is None:
            print(f"stopped: {cell.name}, repeat {block}, did not end in time")
            return False
        spent, rich = time.monotonic() - begin, sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        left = f" ({clock.left:.0f} s of the limit)" if clock else ""
        print(time_left.line(grid, cell, block, records.read(out), spent, rich) + left, flush=True)
    return True


def complete_blocks(grid: Grid) -> dict[str, int]:
    """Role → how many blocks have all their records, counted from the first."""
    gone: dict[str, set[int]] = {role_of(dataset): set() for dataset in grid.datasets}
    for cell, block in estimate.missing(grid):
        gone[role_of(cell.dataset)].add(block)
    return {role: min(blocks, default=grid.repeats(role)) for role, blocks in gone.items()}


def describe(grid: Grid, config: dict[str, Any]) -> Path:
    """Write the effective configuration and its grid; the path of the first."""
    out = {"config": PROVENANCE / "config.yaml", "grid": PROVENANCE / "grid.json"}
    write_configuration.main(config, grid.describe(), out)
    return out["config"]


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    clock = None if options.minutes is None else Clock(time.monotonic() + 60 * options.minutes)
    # Photographs that it names are a data set by now; in another folder their path would lead elsewhere.
    config = configuration.load(options.config) | {"photos": None}
    options.directory.mkdir(parents=True, exist_ok=True)
    os.chdir(options.directory)
    grid, threads = Grid(config), machine.cores()
    check_possible(grid)
    estimate.check_start(grid)
    effective = describe(grid, config)
    left = len(estimate.missing(grid))
    print(f"{left} of {len(grid.order)} repeats to measure on {machine.describe()}", flush=True)
    if left:
        prepare(grid, threads)
        ready = check(grid, threads)
        if not Path(grid.peak).exists():
            out = ["--config", effective, "--threads", threads, "--out", grid.peak]
            print(run("measure_peak.py", out, LOGS / "peak.log", None), flush=True)
        print("the machine is ready" + (f", {clock.left:.0f} s are left" if clock else ""), flush=True)
        try:
            ended = measure(grid, effective, ready, threads, clock)
        except KeyboardInterrupt:
            print("stopped by Ctrl-C: the repeat that ran was not recorded, the others stay", flush=True)
            ended = False
        if not ended:
            return conclude(config, complete_blocks(grid))
    print(f"all {len(grid.order)} repeats are there: snakemake import --config records={Path.cwd()} campaign=NAME")
    return 0


def conclude(config: dict[str, Any], blocks: dict[str, int]) -> int:
    """After a stop: let the folder say of itself that it holds the blocks that are complete; exit status 2.

    Data sets of several sizes of which no block is complete are left out: what was asked for before them is whole.
    """
    swept = repeats_of(config["repeats"], "sample")
    config = config | {"repeats": blocks}
    if not blocks.get(SIZES, 1):
        config |= {"datasets": {role: one for role, one in config["datasets"].items() if role != SIZES}}
        config |= {"repeats": {role: count for role, count in blocks.items() if role != SIZES}}
    wanted = {role: count for role, count in config["repeats"].items() if role != "sample" or swept}
    if all(wanted.values()):
        describe(Grid(config), config)
        held = " and ".join(f"{count} blocks of {role}" for role, count in wanted.items())
        print(f"complete so far, and fit to be imported: {held}; the same command goes on")
    else:
        print("no block of the full runs is complete yet; the same command goes on")
    return 2


if __name__ == "__main__":
    exit_with_user_errors(main)
