"""The sheet Speedup: ratios over the blocks that two cells have in common."""

from __future__ import annotations

import math

import pandas as pd

from vitbench.analysis.statistics import compare
from vitbench.present.workbook.live.table import PAIR, Table, find, look_up
from vitbench.present.workbook.sheets import Formula, Row


def ratio(baseline: dict[int, float], candidate: dict[int, float]) -> float:
    """Geometric mean of the ratios of common blocks; NaN where there are none."""
    blocks = baseline.keys() & candidate.keys()
    return compare(baseline, candidate).ratio if blocks else math.nan


def ratio_formula(baseline: str, candidate: str) -> tuple[str, str, str]:
    """Of two cells' numbers: the mean ratio of their common blocks, how many there are, in how many it is above 1.

    Without the equals sign; the first is for an array formula.
    """
    one, other = (f"INDEX(blocks_seconds,{cell},0)" for cell in (baseline, candidate))
    both = f"ISNUMBER({one})*ISNUMBER({other})"
    mean = f'EXP(AVERAGE(IF({both},LN({one}/{other}),"")))'
    return mean, f"SUMPRODUCT({both})", f"SUMPRODUCT({both}*({one}>{other}))"


def of_speedup(speedup: pd.DataFrame, numbered: pd.DataFrame) -> Table:
    """The table `speedup` with the numbers of both cells, and of the pair, last; the ratio is a formula over Blocks.

    Args:
        numbered: see `cells`.
    """
    frame = speedup.reset_index(drop=True)
    for side in ("baseline", "candidate"):
        names = zip(frame["dataset"], frame[side], frame[f"{side}_throughput"], strict=True)
        found = [find(numbered, *name) for name in names]
        frame[f"{side}_cell"] = pd.Series(found, dtype="float64")
    frame["pair"] = frame["baseline_cell"] * PAIR + frame["candidate_cell"]
    known = frame["pair"].notna().to_list()

    def of_pair(which: int) -> Formula:
        def formula(row: Row) -> str:
            if not known[row.place]:
                return ""
            text = ratio_formula(row["baseline_cell"], row["candidate_cell"])[which]
            return f"={text}" if which else f"{{={text}}}"

        return formula

    def rate(side: str) -> Formula:
        return lambda row: f"={look_up('cells', 'throughput', row[f'{side}_cell'])}" if known[row.place] else ""

    formulas = {"speedup": of_pair(0), "blocks": of_pair(1), "faster_blocks": of_pair(2)}
    formulas |= {f"{side}_throughput": rate(side) for side in ("baseline", "candidate")}
    return Table(frame, formulas)
