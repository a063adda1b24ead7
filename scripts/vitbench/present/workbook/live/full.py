"""The sheets Full, Break-even and Passes: what more images take, from how many on one is ahead, each pass."""

from __future__ import annotations

import math

import pandas as pd

from vitbench.analysis.break_even import line
from vitbench.cells import VARIANT
from vitbench.present.workbook.live.repeats import of_cells
from vitbench.present.workbook.live.table import Table, find, look_up
from vitbench.present.workbook.sheets import Formula, Row
from vitbench.verdicts import WITHOUT_RATIO


def of_full(full: pd.DataFrame, runs: pd.DataFrame) -> Table:
    """Cells of the full set (rows of `cells`), with what they need for more images last.

    Args:
        runs: the frame of `of_runs`.
    """
    frame = full.reset_index(drop=True)
    fixed, each, started = [], [], []
    for cell in frame["cell"]:
        good = runs[(runs["cell"] == cell) & (runs["usable"] == 1)]
        whole = good.dropna(subset=["start_seconds", "load_seconds", "cold_seconds", "wall_seconds"])
        cost = line(whole) if len(whole) else None
        started.append(cost is not None)
        fixed.append(cost.fixed if cost else math.nan)
        each.append(cost.each if cost else (good["wall_seconds"] / good["images"]).median())
    frame["fixed_seconds"] = pd.Series(fixed, dtype="float64")
    frame["seconds_an_image"] = pd.Series(each, dtype="float64")

    def good(row: Row) -> str:
        known = "*ISNUMBER(runs_start_seconds)*ISNUMBER(runs_load_seconds)*ISNUMBER(runs_cold_seconds)"
        return f"(runs_cell={row['cell']})*(runs_usable=1)" + (known if started[row.place] else "")

    def until_first(row: Row) -> str:
        begin = f'MEDIAN(IF({good(row)},runs_start_seconds+runs_load_seconds,""))'
        return f'{{={begin}+MEDIAN(IF({good(row)},runs_cold_seconds-runs_wall_seconds,""))}}'

    def an_image(row: Row) -> str:
        return f'{{=MEDIAN(IF({good(row)},runs_wall_seconds/runs_images,""))}}'

    table = of_cells(frame)
    return Table(frame, dict(table.formulas) | {"fixed_seconds": until_first, "seconds_an_image": an_image})


def of_break_even(table: pd.DataFrame, full: pd.DataFrame) -> Table:
    """The table `break_even`, with the numbers of both cells last; from how many images on follows from both lines.

    Args:
        full: the frame of `of_full`.
    """
    frame = table.reset_index(drop=True)
    for side in ("early", "late"):
        frame[f"{side}_cell"] = pd.Series([find(full, "full", name) for name in frame[side]], dtype="float64")
    told = ~frame["verdict"].isin(WITHOUT_RATIO)
    known = (frame[["early_cell", "late_cell"]].notna().all(axis=1) & told).to_list()

    def of_side(side: str, column: str) -> Formula:
        return lambda row: f"={look_up('full', column, row[f'{side}_cell'])}" if known[row.place] else ""

    def meeting(row: Row) -> str:
        if not known[row.place]:
            return ""
        early, late = row["early_seconds_an_image"], row["late_seconds_an_image"]
        found = f"({row['late_fixed_seconds']}-{row['early_fixed_seconds']})/({early}-{late})"
        return f'=IF({late}>={early},"never",MAX(0,{found}))'

    formulas = {f"{side}_{column}": of_side(side, column) for side in ("early", "late")
                for column in ("fixed_seconds", "seconds_an_image")}  # fmt: skip
    return Table(frame, formulas | {"break_even": meeting})


def of_passes(runs: pd.DataFrame) -> pd.DataFrame:
    """A row a cell and pass: the median over the usable repeats, in milliseconds an image; of the full set if it ran.

    Args:
        runs: the frame of `of_runs`.
    """
    timed = runs[(runs["usable"] == 1) & (runs["pass_seconds"].fillna("") != "")]
    if (timed["dataset"] == "full").any():
        timed = timed[timed["dataset"] == "full"]
    rows = []
    for row in timed.to_dict("records"):
        each = [float(seconds) / row["images"] * 1000 for seconds in row["pass_seconds"].split(";")]
        who = {column: row[column] for column in ("machine", *VARIANT, "batch_size", "cell")}
        rows += [who | {"pass": number, "milliseconds": value} for number, value in enumerate(each)]
    shown = ["machine", *VARIANT, "batch_size", "cell", "pass", "repeats", "milliseconds"]
    if not rows:
        return pd.DataFrame(columns=shown)
    groups = pd.DataFrame(rows).groupby(["machine", *VARIANT, "batch_size", "cell", "pass"], sort=False, dropna=False)
    found = groups["milliseconds"].agg(repeats="count", milliseconds="median").reset_index()
    return found.reindex(columns=shown).sort_values(["cell", "pass"], kind="stable").reset_index(drop=True)
