"""The batches that the engines got, observed or computed, and how partitions filled the slots that work at once."""

from __future__ import annotations

import math
from typing import Any

import pandas

from vitbench import tables
from vitbench.cells import CELL_COLUMNS

GOT = ["effective_batch_size", "effective_batch_sizes", "batches", "partition_rows", "partitions", "slots", "waves"]


def counts(histogram: str) -> dict[int, int]:
    """ "8:4;3:1" as {8: 4, 3: 1}, sizes ascending; empty where there is nothing."""
    pairs = (part.split(":") for part in histogram.split(";") if part)
    return dict(sorted((int(size), int(number)) for size, number in pairs))


def wave_factor(partitions: float, slots: float) -> float | None:
    """Share of the slots' time in which there are partitions to work on, if all take equally long; 1 is full use.

    partitions / slots, over the waves that this takes, ceil(partitions / slots).
    """
    if not (partitions > 0 and slots > 0):
        return None
    return partitions / slots / math.ceil(partitions / slots)


def effective_batches(runs: pandas.DataFrame) -> pandas.DataFrame:
    """A row a cell with at least one ok repeat: what most of its repeats got, and how many got just that (`alike`).

    `reached` is "false" where no batch had the size that was asked for, empty where the engine's batches are not known.
    """
    rows = []
    for key, group in runs[runs.status == "ok"].groupby(CELL_COLUMNS, sort=False, dropna=False):
        kinds = group.groupby(GOT, sort=False, dropna=False).size()
        got = dict(zip(GOT, kinds.index[kinds.to_numpy().argmax()], strict=True))
        cell = dict(zip(CELL_COLUMNS, key, strict=True))
        row = {column: cell[column] for column in CELL_COLUMNS[4:]} | got
        row |= {"repeats": len(group), "alike": int(kinds.max())}
        row["wave_factor"] = wave_factor(got["partitions"], got["slots"])
        rows.append(row | _reached(row))
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["effective_batches"]))


def _reached(row: dict[str, Any]) -> dict[str, str]:
    size, largest = row["batch_size"], row["effective_batch_size"]
    if pandas.isna(size) or pandas.isna(largest):
        return {"reached": "", "reason": "the engine's batches are not known"}
    if largest >= size:
        return {"reached": "true", "reason": ""}
    rows = counts(row["partition_rows"])
    if rows and max(rows) <= largest:
        return {"reached": "false", "reason": f"no partition has more than {max(rows)} rows"}
    if row["images"] <= largest:
        return {"reached": "false", "reason": f"the data set has {row['images']:.0f} images"}
    return {"reached": "false", "reason": f"no batch above {largest:.0f}"}
