"""What all sheets that compute share: a table with formulas, what its own columns mean, how a row is found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from vitbench.present.workbook.sheets import Formula

SECONDS, COMMON = "seconds in block ", "common in block "  # with a number behind: columns
PAIR = 100_000  # number of a pair: the baseline's cell times this, plus the candidate's
SAME = 1e-9  # largest relative difference that calculating in another order makes

MEANINGS = {
    "cell": "number of the cell, the same on every sheet",
    "usable": "1 where the repeat may carry a claim: ok, on a quiet machine, steady",
    "counted": "1 where it counts in the numbers of its cell: usable, or ok where no repeat of the cell is usable",
    "choosing": "1 where it may choose a batch size: usable, and no image was lost",
    "answered": "images with exactly one valid prediction",
    "name": "the cell, framework/variant/device/wN/bsN",
    "baseline_cell": "number of the baseline's cell",
    "candidate_cell": "number of the candidate's cell",
    "early_cell": "number of the cell that starts earlier",
    "late_cell": "number of the cell that starts later",
    "pair": f"number of the pair: the baseline's cell x {PAIR} + the candidate's",
    "choice": "number of the variant on its hardware",
    "stands": "0 where a smaller size came to the same batches and stands for both",
    "blocks": "blocks with a usable repeat",
    "alive": "1 where the size may be chosen",
    "mean_ln": "mean of the logarithm of its seconds, over the blocks that all sizes have",
    "fastest": "batch size of the variant with the least mean",
    "fastest_row": "its row in this table",
    "against_blocks": "blocks that both have",
    "against_ln": "mean of the logarithm of seconds / seconds of the fastest",
    "against_spread": "standard deviation of these",
    "equivalent": "1 where two one-sided tests show it to be equivalent to the fastest",
    "fixed_seconds": "seconds until the first image, on each machine: start, load, what the cold pass takes longer",
    "seconds_an_image": "median seconds an image, warm",
    "figure": "what was computed",
    "recalculated": "what the formulas of this workbook say now",
    "workflow": "what the workflow wrote into its tables",
    "relative_difference": "recalculated / workflow - 1, without its sign; 1 where there is no number any more",
    "pass": "number of the pass; 0 is the cold one",
    "milliseconds": "median over the usable repeats, milliseconds an image",
}


@dataclass(frozen=True)
class Table:
    """A frame of values, and formulas for some of its columns."""

    frame: pd.DataFrame
    formulas: Mapping[str, Formula] = field(default_factory=dict)


def place_where(sheet: str, **wanted: str) -> str:
    """Formula of the place, from 1, of the one row of a sheet in which each column is what it should be.

    Not MATCH(1, a*b, 0): where the sheet has one row, the product is no array, and there is an error.
    """
    rows = f"ROW({sheet}_{next(iter(wanted))})"
    conditions = "*".join(f"({sheet}_{column}={value})" for column, value in wanted.items())
    return f"SUMPRODUCT({conditions}*({rows}-MIN({rows})+1))"


def look_up(table: str, column: str, number: str | int, by: str = "cell") -> str:
    """What a table's row with this number has in a column."""
    return f"INDEX({table}_{column},MATCH({number},{table}_{by},0))"


def find(numbered: pd.DataFrame, dataset: str, name: str, throughput: float = math.nan) -> int | None:
    """Number of the cell of this name; where several machines have it, of the one with this throughput."""
    plain = numbered["name"].str.split(" on ").str[0]
    same = numbered[(numbered["dataset"] == dataset) & (plain == name)]
    if len(same) > 1:
        same = same[(same["throughput"] / throughput - 1).abs() < SAME]
    return int(same["cell"].iloc[0]) if len(same) else None
