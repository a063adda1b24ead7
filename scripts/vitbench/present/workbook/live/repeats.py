"""The sheets Runs, Cells and Blocks: the repeats, and what is counted of them for a cell and in a block."""

from __future__ import annotations

import math

import pandas as pd

from vitbench.analysis.summary import usable, whole
from vitbench.cells import CELL_COLUMNS, cell_name
from vitbench.flags import IMAGES_LOST, NOT_FOR_CLAIMS
from vitbench.present.workbook.live.table import SECONDS, Table
from vitbench.present.workbook.sheets import Formula, Row


def cells(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary with the number and the name of each cell first; the machine is in the name where there are more."""
    several = summary["machine"].nunique() > 1
    names = [
        cell_name(row) + (f" on {row['machine']}" if several else "") for row in summary.to_dict("records")
    ]  # fmt: skip
    frame = summary.reset_index(drop=True)
    frame.insert(0, "cell", range(1, len(frame) + 1))
    frame.insert(1, "name", pd.Series(names, dtype=str))
    return frame


def of_cells(frame: pd.DataFrame) -> Table:
    """Rows of `cells`, their numbers as formulas over the repeats of each."""

    def over(function: str, column: str) -> Formula:
        return lambda row: f"{{={_over(function, column, row['cell'])}}}"

    def counted(row: Row) -> str:
        return f"=COUNTIFS(runs_cell,{row['cell']},runs_usable,1)"

    def aside(row: Row) -> str:
        cell = row["cell"]
        return f'=COUNTIFS(runs_cell,{cell},runs_status,"ok")-COUNTIFS(runs_cell,{cell},runs_usable,1)'

    def variation(row: Row) -> str:
        cell = row["cell"]
        return f"{{={_over('STDEV', 'wall_seconds', cell)}/{_over('AVERAGE', 'wall_seconds', cell)}}}"

    formulas = {
        "repeats": counted,
        "set_aside": aside,
        "median": over("MEDIAN", "wall_seconds"),
        "low": over("MIN", "wall_seconds"),
        "high": over("MAX", "wall_seconds"),
        "cv": variation,
        "throughput": over("MEDIAN", "throughput"),
        "throughput_low": over("MIN", "throughput"),
        "throughput_high": over("MAX", "throughput"),
        "cold_median": over("MEDIAN", "cold_seconds"),
        "start_median": over("MEDIAN", "start_seconds"),
        "load_median": over("MEDIAN", "load_seconds"),
        "accuracy": over("MIN", "accuracy"),
    }
    return Table(frame, {column: formula for column, formula in formulas.items() if column in frame})


def _over(function: str, column: str, cell: str) -> str:
    """A function of the numbers that the counted repeats of a cell have in a column of Runs."""
    named = f"runs_{column}"
    return f'{function}(IF((runs_cell={cell})*(runs_counted=1)*ISNUMBER({named}),{named},""))'


def _keys(frame: pd.DataFrame) -> list[tuple]:
    """What identifies the cell of each row."""
    rows = frame[CELL_COLUMNS].itertuples(index=False, name=None)
    return [tuple(None if pd.isna(value) else value for value in row) for row in rows]


def of_runs(runs: pd.DataFrame, numbered: pd.DataFrame) -> Table:
    """The runs table with the number of each repeat's cell, and what it may be used for.

    The throughput is the images answered over the wall time, so that a changed time changes it.

    Args:
        numbered: see `cells`.
    """
    known = dict(zip(_keys(numbered), numbered["cell"], strict=True))
    frame = runs.reset_index(drop=True)
    number = pd.Series([known.get(key) for key in _keys(frame)], dtype="float64")
    ok = (frame["status"] == "ok").astype(bool)
    may = usable(frame).astype(bool) if len(frame) else ok
    answered = frame["throughput"] * frame["wall_seconds"]
    rounded = answered.round()
    columns = {
        "cell": number,
        "usable": may.astype("int64"),
        "counted": (may | (ok & ~number.isin(number[may]))).astype("int64"),
        "choosing": (may & whole(frame)).astype("int64"),
        "answered": rounded.where((answered - rounded).abs() < 1e-6, answered),
    }
    for place, (name, values) in enumerate(columns.items()):
        frame.insert(place, name, values)

    def may_carry(row: Row) -> str:
        flagged = "".join(f',ISERROR(FIND(";{flag};",";"&{row["flags"]}&";"))' for flag in NOT_FOR_CLAIMS)
        return f'=IF(AND({row["status"]}="ok"{flagged}),1,0)'

    def counts(row: Row) -> str:
        alone = f"COUNTIFS(runs_cell,{row['cell']},runs_usable,1)=0"
        return f'=IF({row["status"]}<>"ok",0,IF(OR({row["usable"]}=1,{alone}),1,0))'

    def may_choose(row: Row) -> str:
        return f'=IF(AND({row["usable"]}=1,ISERROR(FIND("{IMAGES_LOST}",{row["flags"]}))),1,0)'

    def rate(row: Row) -> str:
        return f"={row['answered']}/{row['wall_seconds']}"

    formulas = {"usable": may_carry, "counted": counts, "choosing": may_choose, "throughput": rate}
    return Table(frame, formulas)


def by_block(runs: pd.DataFrame, use: str = "usable") -> dict[int, dict[int, float]]:
    """Number of the cell → block → seconds of its repeat there, of those that `use` allows."""
    good = runs[(runs[use] == 1) & runs["cell"].notna() & runs["block"].notna()]
    found: dict[int, dict[int, float]] = {}
    for row in good.itertuples(index=False):
        found.setdefault(int(row.cell), {})[int(row.block)] = float(row.wall_seconds)
    return found


def block_numbers(runs: pd.DataFrame) -> list[int]:
    """The blocks that there are, in their order."""
    return sorted({int(block) for block in runs["block"].dropna()})


def in_block(row: Row, column: str, use: str) -> str:
    """Formula of the seconds of a row's cell in a column's block, by the repeats that `use` allows; else empty."""
    which = f"runs_cell,{row['cell']},runs_block,{row.header(column)},runs_{use},1"
    return f'=IF(COUNTIFS({which})=0,"",AVERAGEIFS(runs_wall_seconds,{which}))'


def of_blocks(numbered: pd.DataFrame, runs: pd.DataFrame) -> Table:
    """A row a cell, in the order of their numbers; a column a block: the seconds of the usable repeat.

    Args:
        numbered: see `cells`.
        runs: the frame of `of_runs`.
    """
    frame = numbered[["cell", "dataset", "name"]].reset_index(drop=True)
    seconds, formulas = by_block(runs), {}
    for block in block_numbers(runs):
        column = f"{SECONDS}{block}"
        frame[column] = [seconds.get(cell, {}).get(block, math.nan) for cell in frame["cell"]]
        formulas[column] = lambda row, column=column: in_block(row, column, "usable")
    return Table(frame, formulas)
