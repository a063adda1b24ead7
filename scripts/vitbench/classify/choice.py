"""Which variant labels, with which batch size, and why: as asked for, or as this machine's records say."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from vitbench.cells import CONTROL, Cell, variant_key
from vitbench.classify.folder import Folder
from vitbench.errors import UserError
from vitbench.plan import configuration, workers
from vitbench.plan.grid import Grid

ASKED = "as asked for"
# The page whose rule says which variant is best.
ADVICE = "reports/advice.md"
# The batch size that is taken where no sweep has chosen one, or the next greater one that the configuration names.
USUAL = 8


@dataclass(frozen=True)
class Chosen:
    """What labels: a full cell of a grid with this one variant, and how that came about."""

    grid: Grid
    cell: Cell
    """its batch size is a number"""
    why: str
    """of variant and batch size, in one line"""

    @property
    def variant(self) -> str:
        return variant_key(self.cell)


def choose_for(
    config: dict[str, Any],
    out: Path,
    variant: str | None = None,
    batch_size: int | None = None,
    device: str | None = None,
) -> Chosen:
    """What labels for the job in the folder `out`: with the variant that it was begun with, unless another is named.

    Everything else is as `choose` has it.

    Raises:
        UserError: `out` is another thing, and as of `choose`.
    """
    folder = Folder(out)
    begun = folder.begun()
    if begun is None:
        folder.check_empty()
    if begun and variant in (None, begun.variant):
        return choose(config, begun.variant, batch_size, device, "as when the job was begun")
    return choose(config, variant, batch_size, device)


def choose(
    config: dict[str, Any],
    variant: str | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    why: str = ASKED,
) -> Chosen:
    """Choose what labels with the model of a resolved configuration.

    Without a variant it is the one that `analysis.advice` says takes the least time, by this machine's records of full
    runs on one node, or on the configured cluster with all its workers where the baseline was measured there, too;
    without such records it is the baseline. What can run on a configured cluster does, with all its workers.

    Args:
        device: one of the configuration's `devices`; the first of them where it is None.
        why: it is this variant, where one is named.

    Raises:
        UserError: there is no such variant or device, or it cannot do the model, or a record is none.
    """
    device = device or config["devices"][0]
    if device not in config["devices"]:
        raise UserError(f"device: {device} is not among `devices` ({', '.join(config['devices'])}); add it there")
    if variant is not None and variant.count("/") != 1:
        raise UserError(f"variant: {variant} is none; write it as framework/variant, huggingface/pipeline")
    if variant is None:
        variant, why = _best(Grid(config), device)
    # By itself: nothing else has to be there, nor to fit the model.
    alone = {"frameworks": [variant], "baseline": variant, "control": False}
    grid = Grid(configuration.resolve(config | alone))
    cell = max((cell for cell in grid.full if cell.device == device), key=attrgetter("workers"))
    if (taken := variant_key(cell)) != variant:
        why += f"; {taken} in place of {variant}, which has no native code here"
    size, because = _batch_size(grid, cell, batch_size)
    return Chosen(grid, replace(cell, batch_size=size), f"{why}; batch size {size}, {because}")


def _best(grid: Grid, device: str) -> tuple[str, str]:
    """The variant that the records name, and why; the baseline where they name none."""
    on_cluster = workers.on_cluster(grid.config, grid.baseline.partition("/")[0])
    number = workers.most(grid.config) if on_cluster else 1
    paths = [
        path
        for cell in grid.full
        if cell.device == device and cell.workers == number and grid.on_cluster(cell) == on_cluster
        if not cell.variant.endswith(CONTROL)
        for path in sorted(Path(grid.cell_folder(cell)).glob("rep*.json"))
    ]
    nothing = f"the baseline: this machine has no usable record of a full run of it with {grid.model.name}"
    if not paths:
        return grid.baseline, nothing
    # Here, since a bare Snakemake has none of them.
    try:
        import pandas
        import scipy  # noqa: F401, which `advice` imports
    except ImportError as error:
        raise UserError(
            f"variant: this Python has no {error.name} to look with which of what was measured is best: name one, or "
            "run in the locked environment"
        ) from error
    from vitbench.analysis import advice, parity, physics
    from vitbench.analysis.speedup import speedup
    from vitbench.records import peak_file, record
    from vitbench.records.archive import is_record
    from vitbench.records.mixing import refuse_mixed
    from vitbench.tables import COLUMNS

    rows = [record.to_row(record.read(path), "", str(path)) for path in paths if is_record(path.name)]
    runs = pandas.DataFrame(rows, columns=list(COLUMNS["runs"]))
    refuse_mixed(runs)

    def predictions(path: str) -> list[tuple[str, str, float | None]]:
        return record.read_predictions(record.predictions_path(Path(path)))

    def images(_role: str) -> dict[str, str]:
        """Every image that was measured, of which no right label is asked here."""
        return {image: "" for path in runs.record[runs.status == "ok"] for image, _, _ in predictions(path)}

    place = Path(grid.peak)
    peak = peak_file.checked(json.loads(place.read_text()), str(place)) if place.exists() else None
    too_fast = physics.impossible_cells(physics.tabulate(runs, peak))
    equal = parity.parity(runs, grid.baseline, predictions, images, grid.config["parity"]["agreement"])
    ratios = speedup(runs, grid.baseline, equal, too_fast)
    fields = advice.candidates(runs, ratios, grid.baseline, too_fast, everywhere=True)
    # A job has the machine alone: of variants that use a part of its cores, and more of them, the latter.
    fields.sort(key=lambda field: field[-1].first.cores, reverse=True)
    able = next(filter(None, (advice.ranked(field, advice.TIME) for field in fields)), [])
    if not able:
        if any(field[0].unable == advice.TOO_FAST for field in fields):
            return grid.baseline, f"the baseline, although its records are {advice.TOO_FAST}"
        return grid.baseline, nothing
    best = able[0]
    measured = len(runs[["framework", "variant"]].drop_duplicates())
    of_all = " that used the most cores" if len(fields) > 1 else ""
    return best.variant, (
        f"the fastest in this machine's records, by the rule of {ADVICE}, among {len(able)} of {measured} variants, "
        f"those with the labels of {grid.baseline}{of_all} ({best.repeats.throughput.median():,.1f} images/s on "
        f"{best.first.images} images, {len(best.repeats)} repeats)"
    )


def _batch_size(grid: Grid, cell: Cell, asked: int | None) -> tuple[int, str]:
    """The batch size, and where it is from."""
    if asked is not None:
        return asked, ASKED
    choice = Path(grid.choice(cell))
    if choice.exists() and (chosen := json.loads(choice.read_text(encoding="utf-8"))["batch_size"]):
        return chosen, "chosen from its sweep"
    sizes = grid.config["batch_sizes"]
    sizes = sizes[cell.device] if isinstance(sizes, dict) else sizes
    return min((size for size in sizes if size >= USUAL), default=max(sizes)), "for no sweep has chosen one yet"
