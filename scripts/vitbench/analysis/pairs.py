"""Which cells are compared with which, and the rows of the runs table that are a cell's."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import Any

import pandas

from vitbench.cells import CONTROL, NAME_COLUMNS, SIZES, role_of, variant_key

AT_BEST = "each at its best batch size"
BEST_GROUP, SAME_GROUP = f"{AT_BEST}, full", "same batch size, sample"
CONTROL_GROUP = "A/A control"
# What is corrected together: the declared comparisons, all others, and cells against themselves.
PRIMARY, EXPLORATORY, CONTROLS = "primary", "exploratory", "control"


def comparisons(runs: pandas.DataFrame, baseline: str) -> list[tuple[dict[str, Any], dict[str, Any], str]]:
    """The pairs of cells to compare, as (baseline key, candidate key, group); keys hold dataset and cell columns.

    On each device every variant against the baseline variant, and each control against the variant whose second name it
    is; every variant on another device against itself on the first. On the full data set, and on each of those of
    several sizes, each at its best batch size, on the sample at the same batch size.

    All that with equal numbers of workers, but that a baseline which runs on one node only is the baseline of every
    number of them. And on each device every variant with several workers against itself with one.
    """
    tried = runs[runs.status != "skipped"]
    cells = tried[["dataset", *NAME_COLUMNS]].drop_duplicates().to_dict("records")
    one_node = not any(variant_key(cell) == baseline and cell["workers"] != 1 for cell in cells)
    comparable: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for cell in cells:
        size = cell["batch_size"] if cell["dataset"] == "sample" else None
        comparable[cell["dataset"], size].append(cell)
    both_ways = [
        pair
        for group in comparable.values()
        for first, second in combinations(group, 2)
        for pair in ((first, second), (second, first))
    ]
    pairs, scaling = [], []
    for one, other in both_ways:
        same_device, same_variant = one["device"] == other["device"], variant_key(one) == variant_key(other)
        alike = one["workers"] == other["workers"]
        if same_device and alike and variant_key(other) == variant_key(one) + CONTROL:
            pairs.append((one, other, CONTROL_GROUP))
            continue
        if one["variant"].endswith(CONTROL) or other["variant"].endswith(CONTROL):
            continue
        of_baseline = same_device and variant_key(one) == baseline and not same_variant and (alike or one_node)
        of_devices = same_variant and alike and one["device"] == "cpu" and other["device"] != "cpu"
        if of_baseline or of_devices:
            pairs.append((one, other, group_of(one["dataset"])))
        elif same_variant and same_device and one["workers"] == 1 and not alike:
            scaling.append((one, other, group_of(one["dataset"])))
    datasets = list(dict.fromkeys(cell["dataset"] for cell in cells))
    datasets.sort(key=lambda dataset: ("full", "sample", SIZES).index(role_of(dataset)))

    def place(pair: tuple[dict[str, Any], dict[str, Any], str]) -> tuple[bool, int, float]:
        return pair[2] == CONTROL_GROUP, datasets.index(pair[0]["dataset"]), pair[0]["batch_size"]

    return sorted([*pairs, *scaling], key=place)


def group_of(dataset: str) -> str:
    """Why two cells on this data set are compared."""
    return SAME_GROUP if dataset == "sample" else f"{AT_BEST}, {dataset}"


def declared(runs: pandas.DataFrame, baseline: str) -> set[tuple[str, str]]:
    """(device, variant) of the full runs whose comparison with the baseline's is primary.

    On each device that is the first variant of each other framework, in the order of the configuration, which the table
    follows; where no other framework was measured there, the first other variant of the baseline's own. So a further
    variant of a framework that is there adds exploratory comparisons, and turns no verdict of the others.
    """
    full = runs[(runs.dataset == "full") & (runs.status != "skipped") & ~runs.variant.str.endswith(CONTROL)]
    first: dict[str, dict[str, str]] = defaultdict(dict)
    for device, framework, variant in zip(full.device, full.framework, full.variant, strict=True):
        if f"{framework}/{variant}" != baseline:
            first[device].setdefault(framework, f"{framework}/{variant}")
    found = set()
    for device, of_framework in first.items():
        others = {name for framework, name in of_framework.items() if framework != baseline.partition("/")[0]}
        found |= {(device, name) for name in others or of_framework.values()}
    return found


def family(one: dict[str, Any], other: dict[str, Any], group: str, declared: set[tuple[str, str]]) -> str:
    """The family of a pair of `comparisons`; primary are full runs of `declared` against the baseline's.

    Both are on the same device.
    """
    if group == CONTROL_GROUP:
        return CONTROLS
    against_baseline = one["device"] == other["device"] and variant_key(one) != variant_key(other)
    asked = group == BEST_GROUP and against_baseline
    return PRIMARY if asked and (other["device"], variant_key(other)) in declared else EXPLORATORY


def rows_of(runs: pandas.DataFrame, cell: dict[str, Any]) -> pandas.DataFrame:
    keep = pandas.Series(True, index=runs.index)
    for column, value in cell.items():
        keep &= runs[column].isna() if pandas.isna(value) else runs[column] == value
    return runs[keep]


def records_of(runs: pandas.DataFrame, cell: dict[str, Any]) -> dict[int, str]:
    """block → path of the record, of the ok repeats of a cell."""
    good = rows_of(runs, cell)
    good = good[good.status == "ok"]
    return {int(block): record for block, record in zip(good.block, good.record, strict=True)}
