"""A small search: which settings and batch sizes are tried within a budget, as many for each framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from vitbench.cells import BEST, LEAST_BLOCKS, SIZES, Cell, shuffled, variant_key
from vitbench.errors import UserError
from vitbench.frameworks import FRAMEWORKS
from vitbench.frameworks.declaration import SPARK
from vitbench.plan.grid import Grid

# Fewer settings tried are no search.
LEAST_TRIALS = 2
# Fresh blocks of the full runs on which the winners are confirmed.
BLOCKS = LEAST_BLOCKS
# "As many as there are cores", as a setting.
CORES = "cores"


def variations(framework: str, name: str, definition: dict[str, Any], cores: int) -> dict[str, dict[str, Any]]:
    """Name → definition of a variant and what a search tries of it: every combination of what it may vary.

    That is what the framework declares (`Framework.search`) of the settings that the variant has. The variant itself
    keeps its name and definition; any other is called NAME-SETTING-VALUE.
    """
    searched = FRAMEWORKS[framework].search
    # A setting of 0, as workers that there are none of, is left so.
    varied = {key: values(cores) for key, values in searched.items() if definition.get(key)}
    found = {name: definition}
    for chosen in product(*varied.values()):
        other = definition | dict(zip(varied, chosen, strict=True))
        if any(_plain(other, cores) == _plain(one, cores) for one in found.values()):
            continue
        changed = [f"{key}-{value}" for key, value in zip(varied, chosen, strict=True) if definition[key] != value]
        found["-".join([name, *changed])] = other
    return found


def _plain(definition: dict[str, Any], cores: int) -> dict[str, Any]:
    """A definition with numbers in place of `cores`."""
    return {key: cores if value == CORES else value for key, value in definition.items()}


def search(config: dict[str, Any], cores: int) -> dict[str, Any]:
    """The configuration whose sweep holds everything that may be tried: one repeat a cell, no controls, no profiles.

    Args:
        config: resolved.

    Raises:
        UserError: it names several devices or several numbers of workers, which are no settings of one framework.
    """
    for key in ("devices", "workers"):
        if len(config[key]) > 1:
            named = ", ".join(map(str, config[key]))
            raise UserError(f"tune: {key} names {named}: search one at a time, --config {key}=[{config[key][0]}]")
    grid = Grid(config | {"control": False})
    define = {key: dict(value or {}) for key, value in config["define"].items()}
    variants = {framework: dict(named or {}) for framework, named in (define.get("variants") or {}).items()}
    tried = []
    for wanted, defined in grid.variants.items():
        framework, name = wanted.split("/")
        # What `spark` and `workers` say is no setting of a variant: the grid of this configuration adds it again.
        own = {key: value for key, value in defined.definition.items() if key != SPARK}
        for other, definition in variations(framework, name, own, cores).items():
            tried.append(f"{framework}/{other}")
            if other != name:
                variants.setdefault(framework, {})[other] = definition
    return config | {
        "frameworks": tried,
        "baseline": grid.baseline,
        "define": define | {"variants": variants},
        "datasets": {role: one for role, one in config["datasets"].items() if role != SIZES},
        # `datasets` and `define` hold what it stands for; its path may lead nowhere from another folder.
        "photos": None,
        "repeats": {"sample": 1, "full": BLOCKS},
        "most_repeats": BLOCKS,
        "control": False,
        "profile": False,
        "trials": {},
    }


def of_baseline(grid: Grid) -> list[Cell]:
    """The baseline's cells of the sweep, which are tried in any case: its batch size is chosen, too."""
    return [cell for cell in grid.sweep if variant_key(cell) == grid.baseline]


def choose_trials(grid: Grid, minutes: float, seconds: Callable[[Sequence[tuple[Cell, int]]], float]) -> list[Cell]:
    """The cells of the sweep that compete: as many of each framework, drawn at random, as the budget allows.

    A plain random search (Bergstra and Bengio, Random search for hyper-parameter optimization, Journal of Machine
    Learning Research 13, 2012), which is fair by their number.

    Args:
        grid: of the configuration `search`.
        minutes: that these trials, those `of_baseline` and the confirmation may take together.
        seconds: about how long some (cell, repeat) take.

    Raises:
        UserError: not even LEAST_TRIALS of each framework and the confirmation fit into the budget, or a framework has
            fewer settings.
    """
    fields: dict[str, list[Cell]] = {}
    for cell in shuffled(grid.sweep, grid.config["seed"], "tune", 0):
        fields.setdefault(cell.framework, []).append(cell)
    most = min(map(len, fields.values()))
    if most < LEAST_TRIALS:
        few = min(fields, key=lambda framework: len(fields[framework]))
        raise UserError(
            f"tune: {few} has {most} setting to try: name two `batch_sizes` or more, or variants with threads, slots"
            " or workers to vary"
        )
    # Who will be confirmed is not known yet: the first of each framework stands for its winner and for the control;
    # the baseline is one more.
    confirmed = [replace(cells[0], dataset="full", batch_size=BEST) for cells in fields.values()]
    confirming = seconds([(cell, block) for cell in confirmed for block in range(BLOCKS)])
    confirming *= (2 * len(confirmed) + 1) / len(confirmed)
    needed = 0.0
    for count in range(most, LEAST_TRIALS - 1, -1):
        drawn = [cell for cells in fields.values() for cell in cells[:count]]
        tried = dict.fromkeys([*drawn, *of_baseline(grid)])
        needed = (seconds([(cell, 0) for cell in tried]) + confirming) / 60
        if needed <= minutes:
            return drawn
    raise UserError(
        f"tune: {LEAST_TRIALS} trials of each of {len(fields)} frameworks and {BLOCKS} blocks to confirm the winners "
        f"take about {needed:.0f} minutes, and tune_minutes is {minutes:g}: give it more, or name fewer `frameworks`"
    )


def confirmation(
    searched: dict[str, Any], winners: Sequence[Cell], trials: dict[str, int], baseline: str
) -> dict[str, Any]:
    """The configuration that measures the winners and the baseline on fresh repeats; batch sizes are kept as chosen.

    Args:
        searched: the configuration `search`.
        winners: the best cell of each framework.
        trials: variant → settings among which it was chosen.
    """
    names = dict.fromkeys([baseline, *(variant_key(cell) for cell in winners)])
    sizes = {cell.batch_size for cell in winners}
    # No sweep is made; one size stands for those that choice.json holds.
    return searched | {
        "frameworks": list(names),
        "batch_sizes": [min(sizes)],
        "repeats": {"sample": 0, "full": BLOCKS},
        "control": True,
        "trials": trials,
    }
