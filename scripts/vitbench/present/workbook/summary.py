"""The sheet Summary: the answer, what a reader may type, and a row a variant of the full run that follows from both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from xlsxwriter.utility import xl_rowcol_to_cell
from xlsxwriter.worksheet import Worksheet

from vitbench.cells import VARIANT, variant_in
from vitbench.present.projection import DEADLINE, IMAGES, machines
from vitbench.present.workbook import live
from vitbench.present.workbook.live import PAIR, SAME, Table, look_up, ratio, ratio_formula
from vitbench.present.workbook.sheets import Explained, Formula, Row, Sheets
from vitbench.verdicts import PARITY_FAILED, WITHOUT_RATIO

NAME = "Summary"
INPUTS = 5  # row of the first one
HEADER = 13  # row of the table's header
NOTHING = "–"
NO_BLOCK, NOT_COMPARED, BASELINE, ELSEWHERE = "no common block", "not compared", "baseline", "another machine"
SHOWN = tuple(
    """framework variant device workers precision batch_size best_batch_size repeats median throughput speedup low high
    verdict agreement hours machines cost""".split()  # noqa: SIM905
)
HELPERS = ("cell", "choice", "no_ratio", "place", "pair_row", "fixed_seconds", "seconds_an_image", "together", "name")
COMPUTED = ("low", "high", "verdict", "agreement", "no_ratio")

MEANINGS = live.MEANINGS | {
    "best_batch_size": "what the sweep gives now (sheet Best batch); batch_size is what the full run was made with",
    "speedup.speedup": "how many times as fast as the chosen baseline: paired geometric mean of the blocks' ratios",
    "speedup.low": "lower end of the interval that the workflow computed for this pair; below 5 blocks that of a range",
    "speedup.high": "upper end, likewise",
    "speedup.verdict": "what the workflow says of this pair",
    "speedup.agreement": "share of images to which both give the same label, as the workflow found",
    "hours": "hours that one machine, or one cluster, takes for the images typed above, start included",
    "machines": "machines that are done before the deadline typed above, each of which starts once; of clusters all",
    "together": "machines of the cluster that it was measured on; 1 elsewhere",
    "cost": "what these machines cost at the price typed above; empty without a price",
    "no_ratio": "why the workflow gives no ratio of this cell",
    "place": "number of the machine; across machines there is a ratio only where the workflow gave one",
    "pair_row": "row of this pair on the sheet Speedup; 0 where there is none",
    "name": "name for the lists of baselines and candidates",
}


@dataclass(frozen=True)
class Input:
    """One cell that a reader may change."""

    title: str
    name: str
    """of the cell, in formulas"""
    value: str | float | None
    note: str
    form: str = "General"
    listed: bool = False
    """whether it is one of the names in the table"""


def frame(full: pd.DataFrame, best: pd.DataFrame, speedup: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The table's rows: those of the sheet Full, with what joins them to the other sheets.

    Args:
        full, best, speedup, runs: frames of `live.of_full`, `live.of_best`, `live.of_speedup` and `live.of_runs`.
    """
    rows = full.reset_index(drop=True)
    choices = best[best["dataset"] == "full"] if "dataset" in best else best
    keys = [column for column in ("machine", *VARIANT) if column in best]
    known = {tuple(row[key] for key in keys): row for row in choices.to_dict("records")}
    found = [known.get(tuple(row[key] for key in keys), {}) for row in rows.to_dict("records")]
    without = speedup[(speedup["dataset"] == "full") & speedup["verdict"].isin(WITHOUT_RATIO)]
    # Other labels than its own on other hardware are no reason beside the baseline, where it is held against that.
    itself = speedup["baseline"].map(variant_in) == speedup["candidate"].map(variant_in)
    held = without["candidate_cell"].isin(speedup.loc[~itself, "candidate_cell"])
    beside = without[~(itself[without.index] & held & (without["verdict"] == PARITY_FAILED))]
    verdicts = dict(zip(beside["candidate_cell"], beside["verdict"], strict=True))
    return rows.assign(
        best_batch_size=pd.Series([row.get("batch_size", math.nan) for row in found], dtype="float64"),
        choice=pd.Series([row.get("choice", math.nan) for row in found], dtype="float64"),
        no_ratio=pd.Series([verdicts.get(cell, "") for cell in rows["cell"]], dtype=str),
        place=pd.factorize(rows["machine"])[0] + 1,
        together=pd.Series([_together(runs[runs["cell"] == cell]) for cell in rows["cell"]], dtype="float64"),
    )


def _together(repeats: pd.DataFrame) -> float:
    """Machines that a cell ran on at a time. Nobody states those of a published run: a worker was one."""
    known = repeats["machines"].fillna(repeats["workers"].where(repeats["source"] == "published"))
    return known.max() if known.notna().any() else 1.0


def first_pair(rows: pd.DataFrame, speedup: pd.DataFrame, row: Any) -> tuple[int, int]:
    """Places in the table of the baseline and the candidate that the answer is about, or of the first two rows.

    Args:
        row: of the table `speedup`, with the numbers of both cells; None where there is none.
    """
    places = {cell: place for place, cell in enumerate(rows["cell"])}
    if row is not None and row["baseline_cell"] in places and row["candidate_cell"] in places:
        return places[row["baseline_cell"]], places[row["candidate_cell"]]
    return 0, min(1, len(rows) - 1)


def table(rows: pd.DataFrame, speedup: pd.DataFrame, seconds: dict[int, dict[int, float]], baseline: int) -> Table:
    """The table with the values that belong to the first baseline and the first inputs, and its formulas.

    Args:
        rows: see `frame`.
        seconds: cell → block → seconds.
        baseline: place of the baseline in the table.
    """
    base = rows.iloc[baseline] if len(rows) else None
    pairs = {int(pair): place for place, pair in enumerate(speedup["pair"]) if pd.notna(pair)}
    values: dict[str, list[Any]] = {name: [] for name in ("speedup", *COMPUTED[:4], "pair_row", "hours", "machines")}
    for row in rows.to_dict("records"):
        place = pairs.get(int(base["cell"]) * PAIR + int(row["cell"]))
        pair = speedup.iloc[place] if place is not None else {}
        times = ratio(seconds.get(int(base["cell"]), {}), seconds.get(int(row["cell"]), {}))
        no_ratio = base["no_ratio"] or row["no_ratio"]
        no_ratio = no_ratio or (ELSEWHERE if place is None and row["place"] != base["place"] else "")
        no_ratio = no_ratio or (NO_BLOCK if math.isnan(times) else "")
        values["speedup"].append(no_ratio or times)
        values["low"].append(pair.get("low", math.nan))
        values["high"].append(pair.get("high", math.nan))
        verdict = BASELINE if row["cell"] == base["cell"] else pair.get("verdict", NOT_COMPARED)
        values["verdict"].append(verdict)
        values["agreement"].append(pair.get("agreement", math.nan))
        values["pair_row"].append(0 if place is None else place + 1)
        fixed, each = row["fixed_seconds"], row["seconds_an_image"]
        fixed = 0.0 if math.isnan(fixed) else fixed
        values["hours"].append((IMAGES * each + fixed) / 3600)
        needed = machines(IMAGES, fixed, each, DEADLINE) if math.isfinite(each) else math.nan
        values["machines"].append(NOTHING if needed is None else needed * row["together"])
    shown = rows.assign(**values, cost="")[[*SHOWN, *HELPERS]]
    return Table(shown, _formulas(shown))


def _formulas(shown: pd.DataFrame) -> dict[str, Formula]:
    """The formulas of the table; a cell without repeats has none."""
    measured = shown["seconds_an_image"].notna().to_list()

    def where_measured(formula: Formula) -> Formula:
        return lambda row: formula(row) if measured[row.place] else ""

    def times(row: Row) -> str:
        mean, count, _ = ratio_formula("baseline_cell", row["cell"])
        found = f'IF({count}=0,"{NO_BLOCK}",{mean})'
        found = f'IF(AND({row["pair_row"]}=0,{row["place"]}<>baseline_place),"{ELSEWHERE}",{found})'
        return f'{{=IF(baseline_no_ratio<>"",baseline_no_ratio,IF({row["no_ratio"]}<>"",{row["no_ratio"]},{found}))}}'

    def of_pair(column: str) -> Formula:
        def formula(row: Row) -> str:
            found = f"INDEX(speedup_{column},{row['pair_row']})"
            return f'=IF({row["pair_row"]}=0,"",IF(ISNUMBER({found}),{found},""))'

        return formula

    def verdict(row: Row) -> str:
        found = f"INDEX(speedup_verdict,{row['pair_row']})"
        other = f'IF({row["pair_row"]}=0,"{NOT_COMPARED}",{found})'
        return f'=IF({row["cell"]}=baseline_cell,"{BASELINE}",{other})'

    def pair_row(row: Row) -> str:
        return f"=IFERROR(MATCH(baseline_cell*{PAIR}+{row['cell']},speedup_pair,0),0)"

    def start(row: Row) -> str:
        return f"(N({row['fixed_seconds']})+60*start_minutes)"

    def hours(row: Row) -> str:
        return f"=(images_asked*{row['seconds_an_image']}+{start(row)})/3600"

    def needed(row: Row) -> str:
        left = f"(deadline_hours*3600-{start(row)})"
        whole = f"ROUNDUP(images_asked*{row['seconds_an_image']}/{left}-0.000000001,0)"
        return f'=IF({left}>0,{row["together"]}*MAX(1,{whole}),"{NOTHING}")'

    def cost(row: Row) -> str:
        work = f"{row['machines']}*{start(row)}+{row['together']}*images_asked*{row['seconds_an_image']}"
        known = f"AND(ISNUMBER(price_an_hour),ISNUMBER({row['machines']}))"
        return f'=IF({known},price_an_hour*({work})/3600,"")'

    cells = live.of_cells(shown).formulas
    return {
        "best_batch_size": lambda row: f"={look_up('best', 'batch_size', row['choice'], 'choice')}",
        "repeats": cells["repeats"],
        "median": cells["median"],
        "throughput": cells["throughput"],
        "speedup": where_measured(times),
        "low": of_pair("low"),
        "high": of_pair("high"),
        "verdict": verdict,
        "agreement": of_pair("agreement"),
        "pair_row": pair_row,
        "fixed_seconds": lambda row: f"={look_up('full', 'fixed_seconds', row['cell'])}",
        "seconds_an_image": lambda row: f"={look_up('full', 'seconds_an_image', row['cell'])}",
        "hours": where_measured(hours),
        "machines": where_measured(needed),
        "cost": where_measured(cost),
    }


def write(
    sheets: Sheets, sheet: Worksheet, context: Mapping[str, Any], where: str, made: Table, pair: tuple[int, int],
    figures: int,
) -> None:  # fmt: skip
    """Fill the sheet: the answer, a live sentence, the inputs, the check, the table.

    Args:
        made: see `table`.
        pair: see `first_pair`.
        figures: how many figures the sheet Check has.
    """
    rows = made.frame
    # Which pair is looked up depends on the inputs: what has no value now may have one for another baseline.
    sheets.table(NAME, context["answer"], where, rows, of="speedup", formulas=made.formulas, computed=COMPUTED,
                 named="summary", meanings=MEANINGS, always=("low", "high", "agreement", "cost"), sheet=sheet,
                 top=HEADER)  # fmt: skip
    longest = max([20, *map(len, rows["name"])])
    for place, least in ((0, 34), (1, min(longest + 4, 70))):
        sheets.widths[NAME][place] = max(least, sheets.widths[NAME][place])
        sheet.set_column(place, place, sheets.widths[NAME][place])
    left = list(rows).index(HELPERS[0])
    sheet.set_column(left, left + len(HELPERS) - 1, 12, None, {"level": 1, "hidden": True})
    sheet.fit_to_pages(1, 0)
    sheet.set_column(left + len(HELPERS), left + len(HELPERS), None, None, {"collapsed": True})
    sheet.write_string(INPUTS - 1, 0, "Yellow cells are yours: what is below follows.", sheets.note)
    names = rows["name"].to_list() if len(rows) else ["", ""]
    inputs = (
        Input("baseline", "baseline_name", names[pair[0]], "choose from the list", listed=True),
        Input("candidate", "candidate_name", names[pair[1]], "choose from the list", listed=True),
        Input("images", "images_asked", IMAGES, "how many you have to classify", "#,##0"),
        Input("price of a machine an hour", "price_an_hour", None, "type one, in any currency, and there is a cost",
              "#,##0.00##"),
        Input("minutes until a machine starts", "start_minutes", 0, "of each machine, before what is measured begins",
              "0.0"),
        Input("deadline, hours", "deadline_hours", DEADLINE, "hours until all machines together must be done", "0.0"),
    )  # fmt: skip
    yellow = {"bg_color": "#FFF2B3", "border": 1, "border_color": "#C9B458", "align": "left", "indent": 1}
    for row, one in enumerate(inputs, start=INPUTS):
        form = sheets.book.add_format(yellow | {"num_format": one.form})
        sheet.write_string(row, 0, one.title, sheets.bold)
        if isinstance(one.value, str):
            sheet.write_string(row, 1, one.value, form)
        elif one.value is None:
            sheet.write_blank(row, 1, None, form)
        else:
            sheet.write_number(row, 1, one.value, form)
        sheet.write_string(row, 2, one.note, sheets.note)
        sheets.name(one.name, sheet, row, 1, row, 1)
        if len(rows):
            sheet.data_validation(row, 1, row, 1, _allowed(one))
        sheets.explained.append(Explained(NAME, one.title, "yours", one.note))
    if len(rows):
        _live_lines(sheets, sheet, made, pair, figures, left)


def _allowed(one: Input) -> dict[str, Any]:
    """What may be typed into an input."""
    if one.listed:
        wrong = {"error_title": one.title, "error_message": "Choose one of the names in the list."}
        return {"validate": "list", "source": "=summary_name"} | wrong
    wrong = {"error_title": one.title, "error_message": "A number, not below zero."}
    return {"validate": "decimal", "criteria": ">=", "value": 0} | wrong


def _live_lines(
    sheets: Sheets, sheet: Worksheet, made: Table, pair: tuple[int, int], figures: int, left: int
) -> None:  # fmt: skip
    """The sentence about the chosen pair, the check, and the cells that formulas of the table read."""
    rows = made.frame
    base, other = (rows.iloc[place] for place in pair)
    for row, who, of in ((INPUTS, "baseline", base), (INPUTS + 1, "candidate", other)):
        where = f"=INDEX(summary_cell,MATCH({who}_name,summary_name,0))"
        sheet.write_formula(row, left, where, sheets.number("0"), int(of["cell"]))
        sheets.name(f"{who}_cell", sheet, row, left, row, left)
    no_ratio, place = (look_up("summary", column, "baseline_cell") for column in ("no_ratio", "place"))
    sheet.write_formula(INPUTS, left + 2, f'={no_ratio}&""', sheets.text, base["no_ratio"])
    sheet.write_formula(INPUTS, left + 3, f"={place}", sheets.number("0"), int(base["place"]))
    sheets.name("baseline_no_ratio", sheet, INPUTS, left + 2, INPUTS, left + 2)
    sheets.name("baseline_place", sheet, INPUTS, left + 3, INPUTS, left + 3)

    times = look_up("summary", "speedup", "candidate_cell")
    found = other["speedup"]
    said = f'candidate_name&" is "&FIXED({times},2)&" times as fast as "&baseline_name'
    sentence = f'=IF(ISNUMBER({times}),{said},"No ratio of "&candidate_name&" to "&baseline_name&": "&{times})'
    value = (
        f"No ratio of {other['name']} to {base['name']}: {found}"
        if isinstance(found, str)
        else f"{other['name']} is {found:.2f} times as fast as {base['name']}"
    )
    sheet.write_formula(2, 0, sentence, sheets.bold, value)

    row = INPUTS + 6
    sheet.write_string(row, 0, "check", sheets.bold)
    if not figures:
        sheet.write_string(row, 1, "nothing was measured that could be checked", sheets.text)
        return
    fine = f"OK: all {figures} figures are those that the workflow wrote"
    worst = "INDEX(check_figure,MATCH(MAX(check_relative_difference),check_relative_difference,0))"
    gone = '"No number any more, or another one: "'
    alike = '"OK: all "&ROWS(check_figure)&" figures are those that the workflow wrote"'
    check = f"=IF(MAX(check_relative_difference)<={SAME:.9f},{alike},{gone}&{worst})"
    sheet.write_formula(row, 1, check, sheets.text, fine)
    cell = xl_rowcol_to_cell(row, 1, row_abs=True, col_abs=True)
    for criteria, color in ((f'=LEFT({cell},2)="OK"', "#DCEFDC"), (f'=LEFT({cell},2)<>"OK"', "#F7C6C0")):
        form = sheets.book.add_format({"bg_color": color})
        sheet.conditional_format(row, 1, row, 1, {"type": "formula", "criteria": criteria, "format": form})
    sheets.name("check_said", sheet, row, 1, row, 1)
