"""A cell's identity: how it is written, which columns it has in a table, and the order in which cells are measured."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vitbench.errors import UserError

# The batch size of a full run stands in its path as this word, for it is known only after the sweep.
BEST = "best"
# The role of a list of data sets: each variant runs on all of them at its best batch size, after the full run.
SIZES = "sizes"
ROLES = ("sample", "full", SIZES)
# Ending of the second name under which a framework's full run is measured, as a control of the measuring itself.
CONTROL = "-control"
# File that holds a full cell's profile.
PROFILE = "profile.json"
# Below this many blocks an interval says more about the few blocks than about the cells: there is no verdict.
LEAST_BLOCKS = 5
# What names a variant on its device, what a cell's name is made of, and a cell in a table that holds several sources.
SOURCE = ["source", "machine", "protocol", "model"]
VARIANT = ["framework", "variant", "device", "workers"]
NAME_COLUMNS = [*VARIANT, "batch_size"]
CELL_COLUMNS = [*SOURCE, "dataset", "images", *NAME_COLUMNS]


NAME = re.compile(r"([^/]+)/([^/]+)/(cpu|gpu)/w(\d+)/bs(\d+|best)")


@dataclass(frozen=True)
class Cell:
    """One point of the grid.

    Attributes:
        dataset: `sample`, `full`, or `sizes-NAME` of one of the data sets in the role `sizes`; None where only a name
            is known, which does not say it.
        batch_size: a number on the sample, and `best` on any other data set.
    """

    dataset: str | None
    framework: str
    variant: str
    device: str
    workers: int
    batch_size: int | str

    @property
    def name(self) -> str:
        """framework/variant/device/wN/bsN, as in tables and on the command line."""
        return f"{variant_key(self)}/{self.device}/w{self.workers}/bs{self.batch_size}"

    @classmethod
    def parse(cls, name: str, dataset: str | None = None) -> Cell:
        """Take a cell's name apart.

        Raises:
            UserError: it is not framework/variant/device/wN/bsN.
        """
        if not (found := NAME.fullmatch(name)):
            raise UserError(f"{name} is no cell: write it as framework/variant/device/wN/bsN, sparknlp/onnx/cpu/w1/bs8")
        framework, variant, device, workers, size = found.groups()
        return cls(dataset, framework, variant, device, int(workers), int(size) if size.isdecimal() else size)


def cell_name(row: dict[str, Any]) -> str:
    """A cell as people and tables name it: framework/variant/device/wN/bsN (`bsbest` where no size could be chosen)."""
    size = row["batch_size"]
    size = "best" if size is None or size != size else f"{size:.0f}"
    return f"{variant_key(row)}/{row['device']}/w{row['workers']:.0f}/bs{size}"


def variant_key(cell: Any) -> str:
    """framework/variant, as configurations name it, of a cell, a record, or a row of a table."""
    if isinstance(cell, Mapping):
        return f"{cell['framework']}/{cell['variant']}"
    return f"{cell.framework}/{cell.variant}"


def variant_in(name: str) -> str:
    """framework/variant of a cell, by its name, with a batch size or without."""
    return "/".join(name.split("/")[:2])


def device_in(name: str) -> str:
    """The device of a cell, by its name, with a batch size or without."""
    return name.split("/")[2]


def dataset_of(role: str, name: str) -> str:
    """What cells, records and tables call a data set: its role, and where that has several, its name too."""
    return f"{SIZES}-{name}" if role == SIZES else role


def role_of(dataset: str) -> str:
    """The role of a data set by what cells, records and tables call it (no role has a hyphen in its name)."""
    return dataset.partition("-")[0]


def repeats_of(repeats: int | dict[str, int], dataset: str) -> int:
    """How many repeats a cell on this data set has: one number for all roles, or one for each."""
    return repeats[role_of(dataset)] if isinstance(repeats, dict) else repeats


def shuffled(cells: Iterable[Any], seed: int, role: str, block: int) -> list[Any]:
    """The cells of a role, given in the order of the configuration, in the order in which a block measures them."""
    order = list(cells)
    random.Random(f"{seed}/{role}/{block}").shuffle(order)
    return order
