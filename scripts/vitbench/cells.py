"""A cell's identity: how it is written, which columns it has in a table, and the order in which cells are measured."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vitbench.errors import UserError

# The batch size of a full run stands in its path as this word, for it is known only after the sweep.
BEST = "best"
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
CELL = [*SOURCE, "dataset", "images", *NAME_COLUMNS]
KEYS = ("machine", "protocol", "model", "dataset", "framework", "variant", "device", "workers", "batch_size")


NAME = re.compile(r"([^/]+)/([^/]+)/(cpu|gpu)/w(\d+)/bs(\d+|best)")


@dataclass(frozen=True)
class Cell:
    """One point of the grid.

    Attributes:
        dataset: the role of its data set; None where only a name is known, which does not say it.
        batch_size: a number, or `best` where the sweep chooses it.
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
        return f"{self.framework}/{self.variant}/{self.device}/w{self.workers}/bs{self.batch_size}"

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
    return f"{row['framework']}/{row['variant']}/{row['device']}/w{row['workers']:.0f}/bs{size}"


def repeats_of(repeats: int | dict[str, int], role: str) -> int:
    """How many repeats a cell of this role has: one number for both roles, or one for each."""
    return repeats[role] if isinstance(repeats, dict) else repeats


def shuffled(cells: Iterable[Any], seed: int, role: str, block: int) -> list[Any]:
    """The cells of a role, given in the order of the configuration, in the order in which a block measures them."""
    order = list(cells)
    random.Random(f"{seed}/{role}/{block}").shuffle(order)
    return order
