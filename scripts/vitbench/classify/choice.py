"""Which variant labels, with which batch size, and why: as asked for, or as this machine's records say."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitbench.cells import CONTROL, Cell
from vitbench.classify.folder import Folder
from vitbench.errors import UserError
from vitbench.plan import configuration
from vitbench.plan.grid import Grid

ASKED = "as asked for"
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
        return f"{self.cell.framework}/{self.cell.variant}"


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

    Without a variant it is the one with the highest median rate of full runs in this machine's records, among those
    that passed the configuration's parity with the baseline; without such records it is the baseline.

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
    alone = {"frameworks": [variant], "baseline": variant, "control": False, "workers": [1]}
    grid = Grid(configuration.resolve(config | alone))
    cell = next(cell for cell in grid.full if cell.device == device)
    if (taken := f"{cell.framework}/{cell.variant}") != variant:
        why += f"; {taken} in place of {variant}, which has no native code here"
    size, because = _batch_size(grid, cell, batch_size)
    return Chosen(grid, replace(cell, batch_size=size), f"{why}; batch size {size}, {because}")


def _best(grid: Grid, device: str) -> tuple[str, str]:
    """The variant that the records name, and why; the baseline where they name none."""
    paths = [
        path
        for cell in grid.full
        if cell.device == device and cell.workers == 1 and not cell.variant.endswith(CONTROL)
        for path in sorted(Path(grid.cell_folder(cell)).glob("rep*.json"))
    ]
    nothing = f"the baseline: this machine has no usable record of a full run of it with {grid.model.name}"
    if not paths:
        return grid.baseline, nothing
    # Here, since a bare Snakemake has no pandas.
    try:
        import pandas
    except ImportError:
        raise UserError(
            "variant: this Snakemake has no pandas to look with which of what was measured is best: name one, or run "
            "the locked environment's Snakemake"
        ) from None
    from vitbench.analysis import parity
    from vitbench.analysis.summary import usable, whole
    from vitbench.records import record as records
    from vitbench.records.archive import is_record
    from vitbench.tables import COLUMNS

    rows = [records.to_row(records.read(path), "", str(path)) for path in paths if is_record(path.name)]
    runs = pandas.DataFrame(rows, columns=list(COLUMNS["runs"]))
    runs = runs[usable(runs) & whole(runs)]
    of = {f"{framework}/{name}": group for (framework, name), group in runs.groupby(["framework", "variant"])}
    if grid.baseline not in of:
        return grid.baseline, nothing

    def answers(variant: str) -> dict[int, list[tuple[str, str, float | None]]]:
        """Block → what the repeat said of each image."""
        group = of[variant]
        return {
            int(block): records.read_predictions(records.predictions_path(Path(record)))
            for block, record in zip(group.block, group.record, strict=True)
        }

    expected = answers(grid.baseline)
    images = {image: "" for image, _, _ in next(iter(expected.values()))}
    equal = [grid.baseline]
    for variant in of:
        if variant == grid.baseline:
            continue
        found = answers(variant)
        pairs = [(expected[block], found[block]) for block in sorted(expected.keys() & found.keys())]
        if parity.gate(pairs, images, grid.config["parity"]["agreement"])["passed"]:
            equal.append(variant)
    best = max(equal, key=lambda variant: of[variant].throughput.median())
    rate, repeats = of[best].throughput.median(), len(of[best])
    return best, (
        f"the highest median rate in this machine's records among {len(equal)} of {len(of)} variants, those with the "
        f"labels of {grid.baseline} ({rate:,.1f} images/s on {len(images)} images, {repeats} repeats)"
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
