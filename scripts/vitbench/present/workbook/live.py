"""What the workbook computes itself: tables with the workflow's values and, column by column, the formula of each.

All formulas come down to the sheet Runs. They join by numbers: each cell of the summary has one, its row on the sheet
Blocks, so that tables may be sorted and no name from the data stands in a formula. Only functions that Excel 2010 and
LibreOffice both know, and array formulas for what has a condition: MEDIAN(IF(…)). Their IF always has an else of "",
since LibreOffice would count a FALSE as 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from vitbench.analysis.break_even import line
from vitbench.analysis.looks import ALPHA, MARGIN, Rule
from vitbench.analysis.statistics import compare
from vitbench.analysis.summary import LOST, NOT_FOR_CLAIMS, usable, whole
from vitbench.cells import CELL, LEAST_BLOCKS, VARIANT, cell_name
from vitbench.present.workbook.sheets import Formula, Row

SECONDS, COMMON = "seconds in block ", "common in block "  # with a number behind: columns
# Verdicts of the workflow that forbid a ratio.
GATES = ("parity failed", "impossible")
PAIR = 100_000  # number of a pair: the baseline's cell times this, plus the candidate's
SAME = 1e-9  # largest relative difference that calculating in another order makes

MEANINGS = {
    "cell": "number of the cell, the same on every sheet",
    "usable": "1 where the repeat may carry a claim: ok, on a quiet machine, steady",
    "counted": "1 where it counts in the numbers of its cell: usable, or ok where no repeat of the cell is usable",
    "choosing": "1 where it may choose a batch size: usable, and no image was lost",
    "answered": "images with exactly one valid prediction",
    "name": "the cell, framework/variant/device/wN/bsN",
    "baseline_cell": "number of the baseline's cell",
    "candidate_cell": "number of the candidate's cell",
    "early_cell": "number of the cell that starts earlier",
    "late_cell": "number of the cell that starts later",
    "pair": f"number of the pair: the baseline's cell x {PAIR} + the candidate's",
    "choice": "number of the variant on its hardware",
    "stands": "0 where a smaller size came to the same batches and stands for both",
    "blocks": "blocks with a usable repeat",
    "alive": "1 where the size may be chosen",
    "mean_ln": "mean of the logarithm of its seconds, over the blocks that all sizes have",
    "fastest": "batch size of the variant with the least mean",
    "fastest_row": "its row in this table",
    "against_blocks": "blocks that both have",
    "against_ln": "mean of the logarithm of seconds / seconds of the fastest",
    "against_spread": "standard deviation of these",
    "equivalent": "1 where two one-sided tests show it to be equivalent to the fastest",
    "fixed_seconds": "seconds until the first image, on each machine: start, load, what the cold pass takes longer",
    "seconds_an_image": "median seconds an image, warm",
    "figure": "what was computed",
    "recalculated": "what the formulas of this workbook say now",
    "workflow": "what the workflow wrote into its tables",
    "relative_difference": "recalculated / workflow - 1, without its sign; 1 where there is no number any more",
    "pass": "number of the pass; 0 is the cold one",
    "milliseconds": "median over the usable repeats, milliseconds an image",
}


@dataclass(frozen=True)
class Table:
    """A frame of values, and formulas for some of its columns."""

    frame: pd.DataFrame
    formulas: Mapping[str, Formula] = field(default_factory=dict)


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
    rows = frame[CELL].itertuples(index=False, name=None)
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
        return f'=IF(AND({row["usable"]}=1,ISERROR(FIND("{LOST}",{row["flags"]}))),1,0)'

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


def _in_block(row: Row, column: str, use: str) -> str:
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
        formulas[column] = lambda row, column=column: _in_block(row, column, "usable")
    return Table(frame, formulas)


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
        found = [_find(numbered, *name) for name in names]
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


def look_up(table: str, column: str, number: str | int, by: str = "cell") -> str:
    """What a table's row with this number has in a column."""
    return f"INDEX({table}_{column},MATCH({number},{table}_{by},0))"


def _find(numbered: pd.DataFrame, dataset: str, name: str, throughput: float = math.nan) -> int | None:
    """Number of the cell of this name; where several machines have it, of the one with this throughput."""
    plain = numbered["name"].str.split(" on ").str[0]
    same = numbered[(numbered["dataset"] == dataset) & (plain == name)]
    if len(same) > 1:
        same = same[(same["throughput"] / throughput - 1).abs() < SAME]
    return int(same["cell"].iloc[0]) if len(same) else None


def of_best(best: pd.DataFrame, speedup: pd.DataFrame, runs: pd.DataFrame) -> tuple[Table, Table]:
    """The best batch sizes, and the sizes that they are chosen from, as `vitbench.analysis.best_batch_size` chooses.

    Of the published series, whose batch sizes were run on both data sets, the fastest size is best.

    Args:
        runs: the frame of `of_runs`.
    """
    margins = speedup["margin"].dropna()
    margin = float(margins.iloc[0]) if len(margins) else MARGIN
    sets = "dataset" in best
    blocks = block_numbers(runs)
    frame = best.reset_index(drop=True)
    frame.insert(0, "choice", range(1, len(frame) + 1))
    rows: list[dict[str, Any]] = []
    uses: list[str] = []
    for one in frame.to_dict("records"):
        sweep = runs[(runs["status"] != "skipped") & runs["batch_size"].notna() & runs["cell"].notna()]
        for column in [column for column in ("machine", "dataset", *VARIANT) if column in one]:
            sweep = sweep[sweep[column] == one[column]]
        if not sets:
            sweep = sweep[sweep["dataset"] == "sample"]
        sized, use = _sizes(sweep, one["choice"], margin, blocks, collapse=not sets)
        for row in sized:
            row["fastest_row"] += len(rows)
        rows += sized
        uses += [use] * len(sized)
    first = ["choice", "cell", *VARIANT, "batch_size", "effective_batch_size", "margin", "stands"]
    seconds, common = ([f"{kind}{block}" for block in blocks] for kind in (SECONDS, COMMON))
    then = ["mean_ln", "fastest", "fastest_row", "against_blocks", "against_ln", "against_spread", "equivalent"]
    sizes = pd.DataFrame(rows, columns=[*first, *seconds, "blocks", "alive", *common, *then])

    def best_size(row: Row) -> str:
        mine = f"(sizes_choice={row['choice']})*(sizes_equivalent=1)"
        return f"{{=MIN(IF({mine},sizes_batch_size,{look_up('sizes', 'fastest', row['choice'], 'choice')}))}}"

    stated = frame["batch_size"].notna().to_list()

    def its_median(row: Row) -> str:
        if not stated[row.place]:  # there is no size to look up
            return ""
        place = f"MATCH(1,(sizes_choice={row['choice']})*(sizes_batch_size={row['batch_size']}),0)"
        return f"{{=MEDIAN(INDEX(sizes_seconds,{place},0))}}"

    return Table(frame, {"batch_size": best_size, "median": its_median}), Table(sizes, _size_formulas(blocks, uses))


def _sizes(
    sweep: pd.DataFrame, choice: int, margin: float, blocks: list[int], collapse: bool
) -> tuple[list[dict[str, Any]], str]:
    """A row a batch size of one variant, with what is known of it; and which repeats may choose."""
    answered = sweep[whole(sweep)]
    use, considered = ("choosing", answered) if (answered["status"] == "ok").any() else ("usable", sweep)
    known = by_block(sweep, use)
    numbers = sweep.groupby("batch_size")["cell"].first().astype(int).to_dict()
    seconds = {size: known.get(cell, {}) for size, cell in numbers.items()}
    got = considered[considered["status"] == "ok"].groupby("batch_size")["effective_batch_size"].first()
    stands: dict[Any, float] = {}
    for size in sorted(size for size in seconds if seconds[size]):
        effective = got.get(size, math.nan)
        stands.setdefault(size if pd.isna(effective) or not collapse else effective, size)
    alive = sorted(stands.values())
    common = set.intersection(*(set(seconds[size]) for size in alive)) if alive else set()

    def mean(size: float) -> float:
        logs = [math.log(seconds[size][block]) for block in common or seconds[size]]
        return sum(logs) / len(logs)

    fastest = min(alive, key=mean) if alive else math.nan
    order = list(seconds)
    rows = []
    for size, cell in numbers.items():
        of = sweep[sweep["cell"] == cell].iloc[0]
        row: dict[str, Any] = {"choice": choice, "cell": cell, "batch_size": size, "margin": margin}
        row |= {column: of[column] for column in VARIANT}
        row |= {"effective_batch_size": got.get(size, math.nan), "stands": int(size in alive or not seconds[size])}
        row |= {f"{SECONDS}{block}": seconds[size].get(block, math.nan) for block in blocks}
        row |= {f"{COMMON}{block}": int(block in common or not alive) for block in blocks}
        row |= {"blocks": len(seconds[size]), "alive": int(size in alive), "fastest": fastest}
        row |= {"mean_ln": mean(size) if size in alive else math.nan, "against_blocks": 0, "equivalent": 0}
        row["fastest_row"] = order.index(fastest) + 1 if alive else math.nan
        if size in alive and seconds[size].keys() & seconds[fastest].keys():
            found = compare(seconds[size], seconds[fastest], Rule(margin))
            row |= {"against_blocks": found.blocks, "against_ln": math.log(found.ratio)}
            row |= {"against_spread": found.spread, "equivalent": int(found.verdict == "equivalent")}
        rows.append(row)
    return rows, use


def _size_formulas(blocks: list[int], uses: list[str]) -> dict[str, Formula]:
    """Formulas of the sheet Sizes: per row the seconds in each block, and from them what makes a size the best."""
    formulas: dict[str, Formula] = {}
    if not blocks:
        return formulas
    seconds, common = ([f"{kind}{block}" for block in blocks] for kind in (SECONDS, COMMON))

    def mine(row: Row) -> str:
        return f"(sizes_choice={row['choice']})*(sizes_alive=1)"

    def times(row: Row) -> str:
        return row.span(seconds[0], seconds[-1])

    def against(row: Row) -> tuple[str, str]:
        fastest = f"INDEX(sizes_seconds,{row['fastest_row']},0)"
        both = f"ISNUMBER({times(row)})*ISNUMBER({fastest})"
        return both, f'IF({both},LN({times(row)}/{fastest}),"")'

    def shared(row: Row, column: str) -> str:
        have = f"SUMPRODUCT({mine(row)}*ISNUMBER({row.all(column)}))"
        return f"=IF({have}=SUMPRODUCT({mine(row)}),1,0)"

    def mean(row: Row) -> str:
        own, together = times(row), row.span(common[0], common[-1])
        alone = f'AVERAGE(IF(ISNUMBER({own}),LN({own}),""))'
        return f'{{=IF({row["alive"]}=0,"",IF(SUM({together})=0,{alone},AVERAGE(IF({together}=1,LN({own}),""))))}}'

    def fastest(row: Row) -> str:
        least = f'MIN(IF({mine(row)},sizes_mean_ln,""))'
        found = f'MIN(IF({mine(row)}*(sizes_mean_ln={least}),sizes_batch_size,""))'
        return f'{{=IF(SUM({mine(row)})=0,"",{found})}}'

    def fastest_row(row: Row) -> str:
        place = f"MATCH(1,(sizes_choice={row['choice']})*(sizes_batch_size={row['fastest']}),0)"
        return f'{{=IF(ISNUMBER({row["fastest"]}),{place},"")}}'

    def against_blocks(row: Row) -> str:
        return f"=IF(AND({row['alive']}=1,ISNUMBER({row['fastest_row']})),SUMPRODUCT({against(row)[0]}),0)"

    def against_ln(row: Row) -> str:
        return f'{{=IF({row["against_blocks"]}=0,"",AVERAGE({against(row)[1]}))}}'

    def against_spread(row: Row) -> str:
        return f'{{=IF({row["against_blocks"]}<2,"",STDEV({against(row)[1]}))}}'

    def equivalent(row: Row) -> str:
        blocks, spread = row["against_blocks"], row["against_spread"]
        half = f"TINV({2 * ALPHA},{blocks}-1)*IF({spread}<0.000000000001,0,{spread})/SQRT({blocks})"
        inside = f"ABS({row['against_ln']})+{half}<=LN(1+{row['margin']})"
        return f"=IF({blocks}<{LEAST_BLOCKS},0,IF({inside},1,0))"

    for column, together in zip(seconds, common, strict=True):
        formulas[column] = lambda row, column=column: _in_block(row, column, uses[row.place])
        formulas[together] = lambda row, column=column: shared(row, column)
    formulas["blocks"] = lambda row: f"=COUNT({times(row)})"
    formulas["alive"] = lambda row: f"=IF(AND({row['stands']}=1,{row['blocks']}>0),1,0)"
    return formulas | {
        "mean_ln": mean,
        "fastest": fastest,
        "fastest_row": fastest_row,
        "against_blocks": against_blocks,
        "against_ln": against_ln,
        "against_spread": against_spread,
        "equivalent": equivalent,
    }


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
        frame[f"{side}_cell"] = pd.Series([_find(full, "full", name) for name in frame[side]], dtype="float64")
    known = frame[["early_cell", "late_cell"]].notna().all(axis=1).to_list()

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
        name = f"{row['framework']}/{row['variant']}/{row['device']}/w{row['workers']:.0f} {of}".strip()
        for column in ("batch_size", "median") if pd.notna(row["batch_size"]) else ():
            rows.append((f"best {column}, {name}", row[column], look_up("best", column, row["choice"], "choice")))
    for place, row in enumerate(even.to_dict("records"), start=1):
        if pd.notna(row["early_cell"]) and pd.notna(row["late_cell"]):
            both = f"MATCH(1,(even_early_cell={row['early_cell']:.0f})*(even_late_cell={row['late_cell']:.0f}),0)"
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
