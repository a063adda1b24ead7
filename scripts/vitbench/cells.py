"""A cell's identity: how it is written, which columns it has in a table, and the order in which cells are measured."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# The batch size of a full run stands in its path as this word, for it is known only after the sweep.
BEST = "best"
# Ending of the second name under which the baseline's full run is measured, as a control of the measuring itself.
CONTROL = "-control"
# File that holds a full cell's profile.
PROFILE = "profile.json"
# What names a variant on its device, and a cell in a table that holds several sources.
SOURCE = ["source", "machine", "protocol", "model"]
VARIANT = ["framework", "variant", "device", "workers"]
CELL = [*SOURCE, "dataset", "images", *VARIANT, "batch_size"]
KEYS = ("machine", "protocol", "model", "dataset", "framework", "variant", "device", "workers", "batch_size")


@dataclass(frozen=True)
class Cell:
    """One point of the grid. `batch_size` is a number, or `best` on the full data set."""

    dataset: str
    framework: str
    variant: str
    device: str
    workers: int
    batch_size: int | str

    @property
    def name(self) -> str:
        """framework/variant/device/wN/bsN, as in tables and on the command line."""
        return f"{self.framework}/{self.variant}/{self.device}/w{self.workers}/bs{self.batch_size}"


NAME = re.compile(r"([^/]+)/([^/]+)/(cpu|gpu)/w(\d+)/bs(\d+|best)")


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
