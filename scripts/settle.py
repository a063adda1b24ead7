"""Add blocks until every primary comparison is decided, or `most_repeats` or `budget_hours` is reached.

`make settle`, or `python scripts/settle.py` with Snakemake's options (--cores, --directory, --configfile, --config).
Each step is an ordinary run with more `repeats`; what was measured is kept. Verdicts allow for the looks between.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import pandas
import yaml

from vitbench import tables, workflow
from vitbench.analysis.pairs import PRIMARY
from vitbench.analysis.speedup import duration
from vitbench.analysis.statistics import NEVER_DECIDED
from vitbench.cells import LEAST_BLOCKS, repeats_of
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.plan import estimate, looks
from vitbench.plan.configuration import resolve, with_blocks
from vitbench.plan.grid import Grid
from vitbench.verdicts import UNDECIDED

CONFIG, STEP = Path("results/provenance/config.yaml"), Path("results/provenance/settle.yaml")
# Each step has half as many blocks again: few looks, and none of them long after the verdict could be had.
GROWTH = 1.5

say = partial(workflow.say, "settle")


def undecided(speedup: pandas.DataFrame) -> pandas.DataFrame:
    """Primary comparisons that more blocks may decide: neither those that have no ratio, nor those by whose verdicts
    all that may be claimed by chance was spent."""
    open_ones = speedup[(speedup.family == PRIMARY) & speedup.verdict.isin(UNDECIDED)]
    return open_ones[open_ones.speedup.notna() & (open_ones.reason != NEVER_DECIDED)]


def next_step(blocks: int, most: int) -> int:
    """Blocks of the step after one with so many."""
    return min(most, math.ceil(blocks * GROWTH))


def first_step(config: dict[str, Any], seen: list[int]) -> int:
    """Blocks of the first step: what is configured or was looked at already, at least what a verdict needs.

    Raises:
        UserError: the configuration says that blocks are not to be added.
    """
    most = config["most_repeats"]
    blocks = max(LEAST_BLOCKS, repeats_of(config["repeats"], "full"), *seen)
    if most is None or most < blocks:
        raise UserError(
            f"settle: `most_repeats` is {'not set' if most is None else most}, and there are to be {blocks} blocks: "
            "say in the configuration up to how many more may be added"
        )
    return blocks


def settle(config: dict[str, Any], run: Any, elapsed: Any = time.monotonic) -> bool:
    """Run step after step in the working directory; whether everything is decided.

    Args:
        config: resolved, as `write_configuration` wrote it.
        run: measures and derives what a configuration lacks.
        elapsed: a clock, in seconds.
    """
    most, budget, begun = config["most_repeats"], config["budget_hours"], elapsed()
    looked = [look["blocks"] for look in looks.earlier(Path(Grid(config).looks), 10**9)]
    blocks = first_step(config, looked)
    say(
        f"up to {most} blocks of the full runs, {blocks} first: at most about {duration(_hours(config, most))}, "
        f"stopping when every primary comparison is decided or the next step would pass {budget:g} h (`budget_hours`)"
    )
    while True:
        hours = _hours(config, blocks)
        if (elapsed() - begun) / 3600 + hours > budget:
            say(f"{blocks} blocks would take about {duration(hours)} and pass `budget_hours` ({budget:g}): not begun")
            return False
        run(with_blocks(config, blocks))
        left = undecided(tables.read("results/speedup.csv"))
        if left.empty:
            say(f"every primary comparison that has a ratio is decided, with {blocks} blocks")
            return True
        for row in left.itertuples():
            say(f"{row.candidate} against {row.baseline}: {row.low:.2f} to {row.high:.2f}, {row.verdict}; {row.reason}")
        if blocks >= most:
            say(f"{len(left)} not decided with {most} blocks (`most_repeats`)")
            return False
        blocks = next_step(blocks, most)


def _hours(config: dict[str, Any], blocks: int) -> float:
    """About how long it takes to have so many blocks, from what is there now."""
    grid = Grid(with_blocks(config, blocks))
    return estimate.seconds(grid, estimate.missing(grid)) / 3600


def main(arguments: list[str] | None = None) -> int:
    """Settle the run that these options of Snakemake describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--directory", default=".", help="working directory, as Snakemake's")
    parser.add_argument("--configfile", "--configfiles", nargs="+", default=[], help="as Snakemake's")
    parser.add_argument("-C", "--config", nargs="+", default=[], help="as Snakemake's")
    parser.add_argument("-n", "--dry-run", "--dryrun", action="store_true", help="say what it may take and stop")
    options, rest = parser.parse_known_args(arguments)
    here = Path.cwd()
    directory = Path(options.directory).resolve()

    def run(config: dict[str, Any]) -> None:
        workflow.write_step(directory / STEP, config)
        workflow.run([], "--directory", directory, *rest, "--configfile", directory / STEP, folder=here)

    given = ["--configfile", *options.configfile] if options.configfile else []
    given += ["--config", *options.config] if options.config else []
    workflow.run([CONFIG], "--directory", directory, *rest, *given, folder=here)
    os.chdir(directory)
    config = resolve(yaml.safe_load(CONFIG.read_text(encoding="utf-8")))
    if options.dry_run:
        blocks, most = first_step(config, []), config["most_repeats"]
        say(f"{blocks} blocks: about {duration(_hours(config, blocks))}; {most}: {duration(_hours(config, most))}")
        return 0
    settle(config, run)
    return 0


if __name__ == "__main__":
    exit_with_user_errors(main)
