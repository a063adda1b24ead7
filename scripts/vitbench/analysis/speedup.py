"""Speedup: how many times as fast one cell is as another, with its interval and verdict."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas

from vitbench import tables
from vitbench.analysis.pairs import CONTROL_GROUP, comparisons, rows_of
from vitbench.analysis.statistics import ALPHA, FLOOR, Comparison, compare, holm, noise_floor
from vitbench.analysis.summary import seconds_by_block, usable
from vitbench.cells import cell_name


def speedup(
    runs: pandas.DataFrame,
    baseline: str,
    gate: pandas.DataFrame,
    impossible: Collection[tuple[str, str]] = (),
) -> pandas.DataFrame:
    """A row a pair of `comparisons`: ratio of median wall seconds, interval or range, verdict.

    There is no ratio if parity failed or a side is faster than the machine can be.

    `floor` is the ratio beyond which a difference counts: what the A/A control of that device could not tell apart, at
    least 1 + FLOOR. `p_holm` is the p value of the paired t test of the log ratios, adjusted for all comparisons of the
    table but the control's.

    Args:
        gate: the table of `parity` for the same runs and baseline.
        impossible: (dataset, cell name) of cells above the machine's peak.
    """
    passed = {(row.dataset, row.baseline, row.candidate): row for row in gate.itertuples()}
    rows = []
    pairs = comparisons(runs, baseline)
    floors = _floors(runs, pairs)
    for one, other, group in pairs:
        first, second = rows_of(runs, one), rows_of(runs, other)
        row = {"baseline": cell_name(one), "candidate": cell_name(other), "dataset": one["dataset"]}
        # The control is judged by the least floor, for its own would make any difference a tie.
        floor = 1 + FLOOR if group == CONTROL_GROUP else floors.get(other["device"], 1 + FLOOR)
        row |= {"images": first.images.iloc[0], "comparison": group, "floor": floor}
        blocks = seconds_by_block(first), seconds_by_block(second)
        checked = passed[(row["dataset"], row["baseline"], row["candidate"])]
        if not blocks[0].keys() & blocks[1].keys():
            failed = [rows.status.iloc[0] for rows in (first, second) if not (rows.status == "ok").any()]
            reason = f"no repeat worked: {failed[0]}" if failed else "no block in which both were usable"
            row |= {"verdict": "too few repeats", "blocks": 0, "reason": reason}
        elif above := [name for name in (row["baseline"], row["candidate"]) if (row["dataset"], name) in impossible]:
            row |= {"verdict": "impossible", "reason": f"{' and '.join(above)}: faster than this machine can multiply"}
        elif not checked.passed:
            row |= {"verdict": "parity failed", "reason": checked.reason, "agreement": checked.agreement}
        else:
            row |= _shown(compare(*blocks, floor)) | {"agreement": checked.agreement}
            row["baseline_throughput"] = first[usable(first)].throughput.median()
            row["candidate_throughput"] = second[usable(second)].throughput.median()
        rows.append(row)
    _correct_for_many(rows)
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["speedup"]))


def _floors(runs: pandas.DataFrame, pairs: list[tuple[dict[str, Any], dict[str, Any], str]]) -> dict[str, float]:
    """device → noise floor, where its A/A control has blocks."""
    floors = {}
    for one, other, group in pairs:
        blocks = seconds_by_block(rows_of(runs, one)), seconds_by_block(rows_of(runs, other))
        if group == CONTROL_GROUP and blocks[0].keys() & blocks[1].keys():
            floors[other["device"]] = noise_floor(compare(*blocks))
    return floors


def _correct_for_many(rows: list[dict[str, Any]]) -> None:
    """Adjust the p values of a table of comparisons; a difference that many comparisons explain by chance is a tie."""
    tested = [row for row in rows if row.get("p_holm") is not None and row["comparison"] != CONTROL_GROUP]
    for row, adjusted in zip(tested, holm([row["p_holm"] for row in tested]), strict=True):
        row["p_holm"] = adjusted
        if row["verdict"] in ("faster", "slower") and adjusted >= ALPHA:
            row["verdict"] = "tie"
            row["reason"] = f"not certain among {len(tested)} comparisons (Holm: p = {adjusted:.2f})"


def _shown(comparison: Comparison) -> dict[str, Any]:
    return {
        "speedup": comparison.ratio,
        "low": comparison.low,
        "high": comparison.high,
        "verdict": comparison.verdict,
        "blocks": comparison.blocks,
        "faster_blocks": comparison.faster_blocks,
        "p_holm": comparison.p,
    }
