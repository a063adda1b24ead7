"""The best batch size of each variant."""

from __future__ import annotations

from typing import Any

import pandas

from vitbench.analysis.statistics import within_noise
from vitbench.analysis.summary import seconds_by_block
from vitbench.cells import CONTROL, VARIANT


def choose_batch_size(sweep: pandas.DataFrame) -> dict[str, Any]:
    """The best batch size of one variant: the smallest that cannot be told from the fastest.

    Batch sizes that came to the same effective batch size are repeats of one cell and stand or fall together: the
    smallest of them is the one that counts.

    Args:
        sweep: rows of the runs table: one variant, device and number of workers on the sample.
    Returns:
        batch_size (None if no batch size worked), median (seconds), reason.
    """
    whole = sweep[~sweep["flags"].fillna("").str.contains("images lost")]
    if (whole.status == "ok").any():  # what loses images is fast for the wrong reason
        sweep = whole
    cells = {int(size): seconds_by_block(group) for size, group in sweep.groupby("batch_size")}
    cells = {size: blocks for size, blocks in cells.items() if blocks}
    if not cells:
        return {"batch_size": None, "median": None, "reason": "no batch size of the sweep worked"}
    effective = sweep[sweep.status == "ok"].groupby("batch_size").effective_batch_size.first()
    distinct: dict[Any, int] = {}
    for size in sorted(cells):
        seen = effective.get(size)
        distinct.setdefault(size if pandas.isna(seen) else seen, size)
    medians = {size: float(pandas.Series(cells[size].values()).median()) for size in distinct.values()}
    fastest = min(medians, key=medians.__getitem__)
    comparable = [size for size in medians if cells[size].keys() & cells[fastest].keys()]
    best = min(size for size in comparable if within_noise(cells[fastest], cells[size]))
    reason = "fastest" if best == fastest else f"smallest within noise of the fastest, {fastest}"
    if len(distinct) < len(cells):
        collapsed = sorted(cells.keys() - set(distinct.values()))
        reason += f"; the same batches as a smaller one: {', '.join(map(str, collapsed))}"
    return {"batch_size": best, "median": medians[best], "reason": reason}


def best_batch_sizes(runs: pandas.DataFrame) -> pandas.DataFrame:
    """A row a variant: what the sweep says now, and `kept`, the batch size that its full runs used."""
    rows = []
    tried = runs[(runs.status != "skipped") & ~runs.variant.str.endswith(CONTROL)]  # the control keeps another's choice
    for key, group in tried.groupby(VARIANT, sort=False):
        sweep, full = group[group.dataset == "sample"], group[group.dataset == "full"]
        now = choose_batch_size(sweep) if len(sweep) else {"batch_size": None, "median": None, "reason": "no sweep"}
        kept = full.batch_size.dropna().iloc[0] if full.batch_size.notna().any() else None
        if kept is not None and now["batch_size"] not in (None, kept):
            now["reason"] += f"; the full run keeps {kept:g}, chosen when it was first measured"
        rows.append(dict(zip(VARIANT, key, strict=True)) | now | {"kept": kept})
    return pandas.DataFrame(rows, columns=[*VARIANT, "batch_size", "median", "kept", "reason"])
