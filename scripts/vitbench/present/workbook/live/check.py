"""The sheet Check: whether the formulas come to what the workflow wrote."""

from __future__ import annotations

import math

import pandas as pd

from vitbench.cells import variant_key
from vitbench.present.workbook.live.table import Table, look_up, place_where
from vitbench.present.workbook.sheets import Row


def of_check(numbered: pd.DataFrame, speedup: pd.DataFrame, best: pd.DataFrame, even: pd.DataFrame) -> Table:
    """A row a headline figure: what the workflow wrote, what the formulas say, and how far that is.

    Args:
        numbered, speedup, best, even: frames of `cells`, `of_speedup`, `of_best` and `of_break_even`.
    """
    rows: list[tuple[str, float, str]] = []
    for row in numbered.to_dict("records"):
        for column in ("median", "throughput"):
            figure = f"{column}, {row['dataset']}, {row['name']}"
            rows.append((figure, row[column], look_up("cells", column, row["cell"])))
    for row in speedup[speedup["pair"].notna()].to_dict("records"):
        figure = f"speedup, {row['dataset']}, {row['candidate']} over {row['baseline']}"
        rows.append((figure, row["speedup"], look_up("speedup", "speedup", f"{row['pair']:.0f}", "pair")))
    for row in best.to_dict("records"):
        of = " ".join(str(row[column]) for column in ("machine", "dataset") if column in row)
        name = f"{variant_key(row)}/{row['device']}/w{row['workers']:.0f} {of}".strip()
        for column in ("batch_size", "median") if pd.notna(row["batch_size"]) else ():
            rows.append((f"best {column}, {name}", row[column], look_up("best", column, row["choice"], "choice")))
    for place, row in enumerate(even.to_dict("records"), start=1):
        if pd.notna(row["early_cell"]) and pd.notna(row["late_cell"]):
            both = place_where("even", early_cell=f"{row['early_cell']:.0f}", late_cell=f"{row['late_cell']:.0f}")
            figure = f"break-even {place}, {row['early']} and {row['late']}"
            rows.append((figure, row["break_even"], f"INDEX(even_break_even,{both})"))
    rows = [row for row in rows if math.isfinite(row[1])]
    texts = [text for _, _, text in rows]
    written = [value for _, value, _ in rows]
    frame = pd.DataFrame({"figure": pd.Series([row[0] for row in rows], dtype=str), "workflow": written})
    frame = frame.assign(recalculated=frame["workflow"], relative_difference=0.0)

    def now(row: Row) -> str:
        return f"{{={texts[row.place]}}}" if "even_early_cell" in texts[row.place] else f"={texts[row.place]}"

    def difference(row: Row) -> str:
        now, then = row["recalculated"], row["workflow"]
        return f"=IF(ISNUMBER({now}),IF({then}=0,ABS({now}),ABS({now}/{then}-1)),1)"

    return Table(frame, {"recalculated": now, "relative_difference": difference})
