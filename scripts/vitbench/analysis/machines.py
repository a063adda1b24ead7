"""What several campaigns that share model, data and protocol say of the same variants: a row a variant and campaign."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas

from vitbench import tables
from vitbench.analysis.pairs import BEST_GROUP
from vitbench.cells import CONTROL, Cell, cell_name


@dataclass(frozen=True)
class Campaign:
    """A campaign's name, grid, and the tables `summary` and `speedup`."""

    name: str
    grid: dict[str, Any]
    summary: pandas.DataFrame
    speedup: pandas.DataFrame

    @property
    def shared(self) -> tuple[str, str, int]:
        """What campaigns must have in common to stand in one table: model, full data set (slugs) and protocol."""
        return self.grid["model"]["slug"], self.grid["datasets"]["full"]["slug"], self.grid["protocol"]


def across_machines(campaigns: Iterable[Campaign]) -> tuple[pandas.DataFrame, list[Campaign]]:
    """The full runs of campaigns that share model, data and protocol with another, and the campaigns that do with none.

    Each row has a variant's images/s in one campaign (median and range of its repeats), and its speedup there over that
    campaign's baseline, with verdict. There is no verdict from machine to machine: too much differs.
    """
    groups: dict[tuple[str, str, int], list[Campaign]] = {}
    for one in campaigns:
        groups.setdefault(one.shared, []).append(one)
    rows = [row for members in groups.values() if len(members) > 1 for one in members for row in _rows(one)]
    alone = [members[0] for members in groups.values() if len(members) == 1]
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["machines"])), alone


def _rows(campaign: Campaign) -> list[dict[str, Any]]:
    compared = campaign.speedup[campaign.speedup.comparison == BEST_GROUP].to_dict("records")
    ratios = {row["candidate"]: row for row in compared if _with_the_baseline(row)}
    full = campaign.summary[(campaign.summary.dataset == "full") & (campaign.summary.repeats > 0)]
    rows = []
    for cell in full.to_dict("records"):
        if cell["variant"].endswith(CONTROL):
            continue
        row = {column: cell.get(column) for column in tables.COLUMNS["machines"]}
        row |= {"low": None, "high": None, "model": campaign.grid["model"]["slug"]}
        ratio = ratios.get(cell_name(cell), {})
        rows.append(row | {column: ratio.get(column) for column in ("speedup", "low", "high", "verdict")})
    return rows


def _with_the_baseline(row: dict[str, Any]) -> bool:
    """Whether a row of `speedup` compares with the baseline, not with itself on another device or with one worker."""
    one, other = Cell.parse(row["baseline"]), Cell.parse(row["candidate"])
    return one.device == other.device and (one.framework, one.variant) != (other.framework, other.variant)
