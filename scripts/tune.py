"""Search for the best settings within a budget, and confirm the winners on fresh repeats.

`snakemake tune`, or `python scripts/tune.py --config FILE --directory DIR` with Snakemake's options. What is tried are
variants, one repeat on the sample each, as many for each framework; the winners and the baseline are then measured in
blocks on the full data set. Everything is kept in DIR, a working directory of its own, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas

from vitbench import machine, tables, workflow
from vitbench.analysis import parity
from vitbench.analysis.looks import Rule
from vitbench.analysis.pairs import CONTROLS
from vitbench.analysis.speedup import doubted, without_claim
from vitbench.analysis.statistics import compare, correct_for_many
from vitbench.analysis.summary import seconds_by_block
from vitbench.cells import CONTROL, Cell, variant_in, variant_key
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import write_atomically
from vitbench.flags import IMAGES_LOST, NOT_FOR_CLAIMS
from vitbench.inputs.datasets import read_manifest
from vitbench.plan import estimate, tune
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid
from vitbench.present.tune import page
from vitbench.records import record as records

STEP, TRIALS = Path("results/provenance/tune.yaml"), Path("results/trials.csv")
# What competes, written down once for a grid and a budget: with every record the estimates change, and the number too.
DRAWN = Path("results/provenance/drawn.json")

# Runs Snakemake for these targets under this configuration.
Run = Callable[[dict[str, Any], Sequence[str]], None]


say = partial(workflow.say, "tune")


def drawn(grid: Grid, minutes: float) -> list[Cell]:
    """The cells that compete: as many of each framework as go into so many minutes, the same whenever it is asked."""
    asked = {"minutes": minutes, "folders": [str(grid.cell_folder(cell)) for cell in grid.sweep]}
    kept = json.loads(DRAWN.read_text()) if DRAWN.exists() else {}
    if all(kept.get(key) == value for key, value in asked.items()):
        return [Cell.parse(name, "sample") for name in kept["drawn"]]
    chosen = tune.choose_trials(grid, minutes, partial(estimate.seconds, grid))
    write_atomically(DRAWN, json.dumps(asked | {"drawn": [cell.name for cell in chosen]}, indent=1) + "\n")
    return chosen


def trial_rows(grid: Grid, tried: Sequence[Cell], competing: Sequence[Cell]) -> pandas.DataFrame:
    """The table `trials` of these cells, whose records are there: what each did, and whether it may win.

    Labels are compared with those of the baseline's first trial that worked.

    Raises:
        UserError: no trial of the baseline worked.
    """
    wanted = {image.id: image.label for image in read_manifest(Path(grid.manifest("sample"))) if image.valid}
    read = {cell: records.read(Path(grid.record(cell, 0))) for cell in tried}
    reference = next((cell for cell in tune.of_baseline(grid) if read[cell]["status"] == "ok"), None)
    if reference is None:
        raise UserError(f"tune: no trial of the baseline {grid.baseline} worked: see its records")
    labels = _labels(grid, reference)
    rows = []
    for cell, record in read.items():
        row = {name: getattr(cell, name) for name in ("framework", "variant", "device", "workers", "batch_size")}
        row |= {"dataset": "sample", "images": record["images"], "status": record["status"], "usable": False}
        row |= {"throughput": record["throughput"], "reason": record["reason"], "competing": cell in competing}
        row["definition"] = json.dumps(grid.definition(cell), sort_keys=True)
        if record["status"] == "ok":
            gate = parity.gate([(labels, _labels(grid, cell))], wanted, grid.config["parity"]["agreement"])
            against = [flag for flag in record["flags"] if flag in (*NOT_FOR_CLAIMS, IMAGES_LOST)]
            row |= {"agreement": gate["agreement"], "usable": gate["passed"] and not against}
            row["reason"] = "; ".join(filter(None, [*against, gate["reason"]])) or None
        rows.append(row)
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["trials"]))


def _labels(grid: Grid, cell: Cell) -> list[tuple[str, str, float | None]]:
    return records.read_predictions(records.predictions_path(Path(grid.record(cell, 0))))


def fastest(tried: Sequence[Cell], table: pandas.DataFrame, among: Sequence[Cell]) -> Cell | None:
    """The usable trial among these cells with the highest throughput; None where none may win.

    Args:
        table: of `trial_rows`, a row a cell of `tried`, in their order.
    """
    rows = zip(tried, table.itertuples(), strict=True)
    able = [(row.throughput, place, cell) for place, (cell, row) in enumerate(rows) if row.usable and cell in among]
    return max(able)[2] if able else None


def keep_sizes(grid: Grid, chosen: dict[str, Cell]) -> None:
    """Write the batch size of each full cell of the confirmation, as the trials chose it, where none is kept yet.

    Args:
        chosen: framework/variant → the trial whose batch size it is.

    Raises:
        UserError: an earlier search chose another batch size for a cell, and its repeats may be there.
    """
    lacking = {}
    for cell in grid.full:
        path = Path(grid.choice(cell))
        size = chosen[f"{cell.framework}/{cell.variant.removesuffix(CONTROL)}"].batch_size
        kept = json.loads(path.read_text())["batch_size"] if path.exists() else None
        if kept not in (None, size):
            raise UserError(
                f"tune: {variant_key(cell)}/{cell.device} won at batch size {size}, and an earlier search"
                f" kept {kept} for it ({path}): move that folder away, or give scripts/tune.py another --directory"
            )
        if kept is None:
            lacking[path] = size
    for path, size in lacking.items():
        choice = {"batch_size": size, "median": None, "reason": "the best trial of `snakemake tune`", "records": []}
        write_atomically(path, json.dumps(choice, indent=1) + "\n")


def between_winners(
    runs: pandas.DataFrame, speedup: pandas.DataFrame, best: Sequence[Cell], baseline: str, rule: Rule
) -> pandas.DataFrame:
    """A row a pair of winners: the second against the first, in the blocks that both have, adjusted by Holm.

    A winner whose confirmation has no ratio (other labels, faster than the machine can be) is in no pair, and where a
    control came out unequal to itself there is no claim.

    Args:
        runs, speedup: of the confirmation.
        baseline: framework/variant that the confirmation compares with.
    """
    full = speedup[(speedup.dataset == "full") & (speedup.family != CONTROLS) & speedup.speedup.notna()]
    confirmed = {baseline} | set(full.candidate.map(variant_in))
    able = [cell for cell in best if variant_key(cell) in confirmed]
    seconds = {cell: _full(runs, cell) for cell in able}
    pairs = [(one, other) for one, other in combinations(able, 2) if seconds[one].keys() & seconds[other].keys()]
    judged = correct_for_many([compare(seconds[one], seconds[other], rule) for one, other in pairs])
    rows, devices = [], doubted(speedup)
    for (one, other), found in zip(pairs, judged, strict=True):
        found = without_claim(found) if other.device in devices else found
        rows.append({"baseline": one.name, "candidate": other.name, "ratio": found.ratio, "low": found.low,
                     "high": found.high, "verdict": found.verdict, "blocks": found.blocks})  # fmt: skip
    return pandas.DataFrame(rows, columns=["baseline", "candidate", "ratio", "low", "high", "verdict", "blocks"])


def _full(runs: pandas.DataFrame, cell: Cell) -> dict[int, float]:
    """Block → seconds of a winner's full runs."""
    same = (runs.dataset == "full") & (runs.framework == cell.framework) & (runs.variant == cell.variant)
    return seconds_by_block(runs[same])


def search(config: dict[str, Any], minutes: float, run: Run, elapsed: Callable[[], float] = time.monotonic) -> int:
    """Try, choose and confirm in the working directory; exit status, 2 where the budget ends before the confirmation.

    Args:
        config: resolved.
        minutes: that all of it may take.
        run: measures, see `Run`.
        elapsed: a clock, in seconds.

    Raises:
        UserError: no trial of the baseline may carry a claim, or none that competes may win.
    """
    begun = elapsed()
    searched = tune.search(config, machine.cores())
    grid = Grid(searched)
    competing = drawn(grid, minutes)
    tried = list(dict.fromkeys([*competing, *tune.of_baseline(grid)]))
    counts = Counter(cell.framework for cell in competing)
    say(
        f"{len(tried)} trials of {len(grid.sweep)} possible, {min(counts.values())} of each of {len(counts)} frameworks"
        f" and every batch size of the baseline, then {tune.BLOCKS} blocks of the winners; at most {minutes:g} minutes"
        " (`tune_minutes`). What is said below of all measurements speaks of everything that could be tried."
    )
    # Snakemake has no rule for a record that is there.
    if lacking := [str(grid.record(cell, 0)) for cell in tried if not Path(grid.record(cell, 0)).exists()]:
        run(searched, lacking)
    table = trial_rows(grid, tried, competing)
    write_atomically(TRIALS, tables.as_csv(table))
    own = fastest(tried, table, tune.of_baseline(grid))
    if own is None:
        raise UserError(f"tune: no trial of the baseline {grid.baseline} may carry a claim: see {TRIALS}")
    best = []
    for framework in counts:
        won = fastest(tried, table, [cell for cell in competing if cell.framework == framework])
        if won is None:
            say(f"{framework}: no trial may win, see {TRIALS}")
        else:
            best.append(won)
    if not best:
        raise UserError(f"tune: no trial that competes may win, so there is nothing to confirm: see {TRIALS} for why")
    chosen = {grid.baseline: own} | {variant_key(cell): cell for cell in best}
    trials = {grid.baseline: len(tune.of_baseline(grid))}
    trials |= {variant_key(cell): counts[cell.framework] for cell in best}
    confirming = tune.confirmation(searched, best, trials, grid.baseline)
    confirmed = Grid(confirming)
    keep_sizes(confirmed, chosen)
    left = [one for one in estimate.missing(confirmed) if one[0].dataset == "full"]
    # By the trials that were just made, which the confirming configuration, without a sweep, does not know.
    with_trials = confirming | {"repeats": {"sample": 1, "full": tune.BLOCKS}, "batch_sizes": searched["batch_sizes"]}
    needed = estimate.seconds(Grid(with_trials), left) / 60
    if left and (elapsed() - begun) / 60 + needed > minutes:
        say(
            f"confirming takes about {needed:.0f} minutes and would pass the budget: the winners are not confirmed yet;"
            " the same command does it"
        )
        return 2
    run(confirming, ["results/speedup.csv", "advice"])
    runs, speedup = tables.read("results/runs.csv"), tables.read("results/speedup.csv")
    pairs = between_winners(runs, speedup, best, grid.baseline, Rule.of(confirmed.describe(), "full"))
    out = Path("reports/tune.md")
    context = tables.read_context("results/provenance/context.json")
    write_atomically(out, page(tables.read(TRIALS), speedup, pairs, context))
    say(f"look at {out.resolve()} and {out.resolve().with_name('advice.md')}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Tune what a configuration names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="configuration file")
    parser.add_argument("--directory", type=Path, default=Path("tune"), help="working directory of the search")
    parser.add_argument("--minutes", type=float, help="budget; tune_minutes of the configuration if left out")
    options, rest = parser.parse_known_args(arguments)
    if find_spec("snakemake") is None:
        raise UserError("tune: it runs Snakemake, which is not in this environment: leave out --sdm conda")
    config = load(options.config)
    here, directory = Path.cwd(), options.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    # Data sets, models and jars are those of the folder that it is called in; measurements are its own.
    shared, linked = here / "resources", directory / "resources"
    if not linked.exists() and shared != linked:
        shared.mkdir(exist_ok=True)
        linked.symlink_to(os.path.relpath(shared, directory))
    os.chdir(directory)

    def run(step: dict[str, Any], targets: Sequence[str]) -> None:
        workflow.write_step(STEP, step)
        workflow.run(targets, *(rest or ["--cores", "all"]), "--configfile", STEP)

    return search(config, config["tune_minutes"] if options.minutes is None else options.minutes, run)


if __name__ == "__main__":
    exit_with_user_errors(main)
