"""On which terms two cells are compared: one label a comparison, by what both variants declare and their records say.

Both sides of every comparison read the same files: tables of two manifests are refused (`records.mixing`). The label
says what else is equal. It depends on the two sides alone, so that no other variant changes it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import pandas

from vitbench.cells import CONTROL, VARIANT
from vitbench.frameworks import ENGINE_ALONE, HELPERS, OF_ARTICLE

ARTICLE = "as in the article"
EQUAL = "equal input, precision and threads"
BEST = "each at its best after the same number of trials"
ANY_PRECISION = "any precision"
ENGINE = "engine without framework"
UNEQUAL = "not on equal terms"
# What a reader wants to see first.
LABELS = (EQUAL, ARTICLE, BEST, ANY_PRECISION, ENGINE, UNEQUAL)
# Fewer settings tried are no search for the best.
LEAST_TRIALS = 2


class Terms(NamedTuple):
    """What of a side decides on which terms it is compared."""

    framework: str
    hardware: tuple[Any, ...]
    """see `hardware_of`"""
    declared: frozenset[str]
    """of `vitbench.frameworks.terms`"""
    precision: str
    """of the matrix products, "" where it is not known"""
    threads: float
    """that compute at a time: threads × slots; NaN where the framework does not tell"""

    @classmethod
    def of(cls, repeats: pandas.DataFrame) -> Terms:
        """The terms of a cell, from its rows of the runs table: of those that are ok where there are any."""
        good = repeats[repeats.status == "ok"]
        first = (good if len(good) else repeats).iloc[0]
        return cls(
            first.framework,
            hardware_of(first),
            frozenset(filter(None, first.declared.split(";"))),
            first.product_precision,
            first.threads * first.slots,
        )


def hardware_of(row: Any) -> tuple[Any, ...]:
    """What a row of the runs table ran on: device, cores that it could use, machines. Cells are compared like with like
    where it is the same: one worker with half of a machine's cores is not, two of them are.

    Where nobody wrote the cores down, the number of workers stands for them.
    """
    cores = ("workers", row.workers) if pandas.isna(row.cores) else row.cores
    return row.device, cores, 1 if pandas.isna(row.machines) else row.machines


def label(one: Terms, other: Terms, trials: tuple[float, float] | None) -> str:
    """The terms of a comparison, one of LABELS; the first of these that holds:

    - UNEQUAL: on other hardware, or with another way in or out.
    - ENGINE: one side is an engine alone, and the other is not.
    - ARTICLE: two frameworks, each with the article's settings.
    - EQUAL: products in the same precision by the same number of threads, with as many processes beside them.
    - ANY_PRECISION: products in two precisions.
    - BEST: each setting the best of as many trials.
    - UNEQUAL: all else.

    Args:
        trials: settings from which each side's was chosen; None where the two were not chosen as the best of any.
    """
    if one.hardware != other.hardware or ways(one) != ways(other):
        return UNEQUAL
    if (ENGINE_ALONE in one.declared) != (ENGINE_ALONE in other.declared):
        return ENGINE
    if one.framework != other.framework and OF_ARTICLE in one.declared & other.declared:
        return ARTICLE
    if not one.precision or not other.precision:
        return UNEQUAL
    if one.precision != other.precision:
        return ANY_PRECISION
    # NaN equals nothing: threads that nobody knows are not equal.
    if one.threads == other.threads and helpers(one) == helpers(other):
        return EQUAL
    if trials is not None and trials[0] == trials[1] >= LEAST_TRIALS:
        return BEST
    return UNEQUAL


def ways(one: Terms) -> frozenset[str]:
    """How images come in and answers go out, where that is not by files and into the driver."""
    return one.declared - {OF_ARTICLE, ENGINE_ALONE} - helpers(one)


def helpers(one: Terms) -> frozenset[str]:
    """How many processes work beside the threads, where there are any."""
    return frozenset(declared for declared in one.declared if declared.startswith(HELPERS))


def trials_of(runs: pandas.DataFrame, declared: Mapping[str, int] | None = None) -> dict[tuple[Any, ...], float]:
    """(framework, variant, device, workers) → settings among which this variant's was chosen.

    That is the number of batch sizes that its sweep tried, or what a search declares (`framework/variant` → number),
    which chose the variant itself. A control's are those of the variant whose second name it is.
    """
    sweep = runs[(runs.dataset == "sample") & (runs.status != "skipped")]
    found = sweep.groupby(VARIANT, sort=False).batch_size.nunique().to_dict()
    for key in map(tuple, runs[VARIANT].drop_duplicates().to_numpy().tolist()):
        framework, variant, *hardware = key
        single = (framework, variant.removesuffix(CONTROL), *hardware)
        chosen = (declared or {}).get(f"{framework}/{single[1]}")
        found[key] = float(found.get(single, math.nan) if chosen is None else chosen)
    return found


def rank(labels: Collection[str]) -> list[int]:
    """The place in LABELS of each of these labels; of one that is none of them, as of published ratios, the last."""
    return [LABELS.index(one) if one in LABELS else len(LABELS) for one in labels]
