"""Which repeats were not measured in their turn: the trace that a removed and measured again one leaves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from vitbench.cells import role_of


def out_of_turn(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Paths (`record`) of the rows that were measured out of their block, or after one that is behind them in it.

    A block holds the cells of one role. It is measured in one stretch of time, in its order; blocks may follow each
    other in any order, and other blocks may be measured days later. Rows have `record`, `dataset`, `block`, `order` and
    `started`; those without an order say nothing.
    """
    late = set()
    roles: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["order"] is not None and row["order"] == row["order"]:
            roles[role_of(row["dataset"])].append(row)
    for of_role in roles.values():
        in_time = sorted(of_role, key=lambda row: (datetime.fromisoformat(row["started"]), row["order"]))
        while strays := _strays(in_time):
            late |= {row["record"] for row in strays}
            in_time = [row for row in in_time if row["record"] not in late]
        for _, stretch in groupby(in_time, key=lambda row: row["block"]):
            furthest = -1
            for row in stretch:
                if row["order"] < furthest:
                    late.add(row["record"])
                furthest = max(furthest, row["order"])
    return late


def _strays(in_time: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The shortest stretch of rows that is apart from the rest of its block; none if all blocks are in one piece."""
    stretches: dict[int, list[list[Mapping[str, Any]]]] = defaultdict(list)
    for block, stretch in groupby(in_time, key=lambda row: row["block"]):
        stretches[block].append(list(stretch))
    # The longest stretch counts as the block itself (the first of two equally long ones); the others are apart.
    apart = [piece for pieces in stretches.values() for piece in sorted(pieces, key=len, reverse=True)[1:]]
    return min(apart, key=len, default=[])
