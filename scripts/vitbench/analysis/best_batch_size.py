"""The best batch size of each variant."""

from __future__ import annotations

from typing import Any

import numpy
import pandas

from vitbench.analysis.looks import Rule
from vitbench.analysis.statistics import compare
from vitbench.analysis.summary import seconds_by_block, whole
from vitbench.cells import CONTROL, LEAST_BLOCKS, NAME_COLUMNS, VARIANT
from vitbench.verdicts import EQUIVALENT, FASTER


def choose_batch_size(sweep: pandas.DataFrame, margin: float | None = None) -> dict[str, Any]:
    """The best batch size of one variant: the fastest, or a smaller one that a test shows to be equivalent to it.

    The fastest has the least mean of log seconds over the blocks that all sizes have. What a test cannot tell from the
    fastest is not thereby as good: a noisy size stays out. Below LEAST_BLOCKS there is no test, and the fastest is
    best. Batch sizes that came to the same effective batch size are repeats of one cell and stand or fall together: the
    smallest of them is the one that counts.

    Args:
        sweep: rows of the runs table: one variant, device and number of workers on the sample.
        margin: share within which two sizes are as good as equal; None: the usual one.
    Returns:
        batch_size (None if no batch size worked), median (seconds), reason.
    """
    answered = sweep[whole(sweep)]
    if (answered.status == "ok").any():
        sweep = answered
    cells = {int(size): seconds_by_block(group) for size, group in sweep.groupby("batch_size")}
    cells = {size: blocks for size, blocks in cells.items() if blocks}
    if not cells:
        return {"batch_size": None, "median": None, "reason": "no batch size of the sweep worked"}
    effective = sweep[sweep.status == "ok"].groupby("batch_size").effective_batch_size.first()
    distinct: dict[Any, int] = {}
    for size in sorted(cells):
        seen = effective.get(size)
        distinct.setdefault(size if pandas.isna(seen) else seen, size)
    candidates = {size: cells[size] for size in distinct.values()}
    best, reason = _choose(candidates, Rule() if margin is None else Rule(margin))
    if aside := sorted({int(size) for size in sweep["batch_size"].dropna()} - cells.keys()):
        reason += f"; without a usable repeat: {', '.join(map(str, aside))}"
    if len(distinct) < len(cells):
        collapsed = sorted(cells.keys() - set(distinct.values()))
        reason += f"; the same batches as a smaller one: {', '.join(map(str, collapsed))}"
    return {"batch_size": best, "median": float(pandas.Series(cells[best].values()).median()), "reason": reason}


def _choose(cells: dict[int, dict[int, float]], rule: Rule) -> tuple[int, str]:
    """The best of these sizes (size → block → seconds), and why."""
    common = set.intersection(*(set(blocks) for blocks in cells.values()))

    def mean(size: int) -> float:
        blocks = cells[size]
        return float(numpy.mean(numpy.log([blocks[block] for block in common or blocks])))

    fastest = min(cells, key=mean)
    against = {
        size: compare(blocks, cells[fastest], rule)
        for size, blocks in cells.items()
        if size != fastest and blocks.keys() & cells[fastest].keys()
    }
    apart = [str(size) for size in sorted(cells) if size != fastest and size not in against]
    equivalent = [size for size, found in against.items() if found.verdict == EQUIVALENT and size < fastest]
    if equivalent:
        return min(equivalent), f"equivalent to the fastest, {fastest}, by test, and smaller"
    if any(found.blocks < LEAST_BLOCKS for found in against.values()):
        return fastest, f"fastest, too few repeats to confirm it (below {LEAST_BLOCKS})"
    open_ones = [str(size) for size, found in against.items() if found.verdict != FASTER]
    if apart:
        return fastest, f"fastest, but without a common block with {', '.join(apart)}"
    if open_ones:
        return fastest, f"fastest, but not shown to be faster than {', '.join(open_ones)}"
    return fastest, "fastest, confirmed" if against else "the only one"


def best_batch_sizes(runs: pandas.DataFrame, margin: float | None = None) -> pandas.DataFrame:
    """A row a variant: what the sweep says now, and `kept`, the batch size that its full runs used."""
    rows = []
    tried = runs[(runs.status != "skipped") & ~runs.variant.str.endswith(CONTROL)]  # the control keeps another's choice
    for key, group in tried.groupby(VARIANT, sort=False):
        sweep, full = group[group.dataset == "sample"], group[group.dataset == "full"]
        nothing = {"batch_size": None, "median": None, "reason": "no sweep"}
        now = choose_batch_size(sweep, margin) if len(sweep) else nothing
        kept = full.batch_size.dropna().iloc[0] if full.batch_size.notna().any() else None
        if kept is not None and now["batch_size"] not in (None, kept):
            now["reason"] += f"; the full run keeps {kept:g}, chosen when it was first measured"
        rows.append(dict(zip(VARIANT, key, strict=True)) | now | {"kept": kept})
    return pandas.DataFrame(rows, columns=[*NAME_COLUMNS, "median", "kept", "reason"])
