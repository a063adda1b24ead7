"""Add blocks until every primary comparison is decided, or `most_repeats` or `budget_hours` is reached.

`make settle`, or `python scripts/settle.py` with Snakemake's options (--cores, --directory, --configfile, --config).
Each step is an ordinary run with more `repeats`; what was measured is kept. Verdicts allow for the looks between.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Sequence
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
from vitbench.errors import UserError, exit_with_user_errors, one_line
from vitbench.files import HOME
from vitbench.plan import estimate, looks
from vitbench.plan.configuration import check_keys, resolve, retyped, with_blocks
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


def first_step(config: dict[str, Any]) -> int:
    """Blocks of the first step: what is configured or was looked at here already, at least what a verdict needs.

    Args:
        config: resolved.

    Raises:
        UserError: the configuration says that blocks are not to be added.
    """
    most, seen = config["most_repeats"], looks.most(Path(Grid(config).looks))
    blocks = max(LEAST_BLOCKS, repeats_of(config["repeats"], "full"), seen)
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
    blocks = first_step(config)
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


def configured(files: Sequence[str], given: Sequence[str]) -> dict[str, Any]:
    """The configuration of a run with these files and entries of `--config`, put together as Snakemake does it.

    For a dry run. Snakemake may not write it then, not even to be put back: it would remember with what it wrote it,
    and take the earlier file for that.

    Raises:
        UserError: a file or an entry cannot be read.
    """
    # Takes a second, and a run has no use for it.
    from snakemake.cli import parse_config
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config
    from snakemake_interface_common.exceptions import WorkflowError

    try:
        config = load_configfile(HOME / "config" / "config.yaml")
        for path in map(Path, files):
            check_keys(path)
            update_config(config, load_configfile(path))
        update_config(config, parse_config(given))
    except (ValueError, WorkflowError) as error:
        raise UserError(f"settle: {one_line(error)}") from error
    return config | retyped(config)


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

    if options.dry_run:
        config = configured(options.configfile, options.config)
        directory.mkdir(parents=True, exist_ok=True)
        os.chdir(directory)
        config = resolve(config)
        blocks, most = first_step(config), config["most_repeats"]
        say(f"{blocks} blocks: about {duration(_hours(config, blocks))}; {most}: {duration(_hours(config, most))}")
        return 0
    given = ["--configfile", *options.configfile] if options.configfile else []
    given += ["--config", *options.config] if options.config else []
    workflow.run([CONFIG], "--directory", directory, *rest, *given, folder=here)
    os.chdir(directory)
    settle(resolve(yaml.safe_load(CONFIG.read_text(encoding="utf-8"))), run)
    return 0


if __name__ == "__main__":
    exit_with_user_errors(main)
