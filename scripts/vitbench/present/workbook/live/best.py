"""The sheets Best batch and Sizes: the batch size that is best, and the sizes that it is chosen from."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from vitbench.analysis.looks import ALPHA, MARGIN, Rule
from vitbench.analysis.statistics import compare
from vitbench.analysis.summary import whole
from vitbench.cells import LEAST_BLOCKS, VARIANT
from vitbench.present.workbook.live.repeats import block_numbers, by_block, in_block
from vitbench.present.workbook.live.table import COMMON, SECONDS, Table, look_up, place_where
from vitbench.present.workbook.sheets import Formula, Row
from vitbench.verdicts import EQUIVALENT


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
        place = place_where("sizes", choice=row["choice"], batch_size=row["batch_size"])
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
            row |= {"against_spread": found.spread, "equivalent": int(found.verdict == EQUIVALENT)}
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
        place = place_where("sizes", choice=row["choice"], batch_size=row["fastest"])
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
        formulas[column] = lambda row, column=column: in_block(row, column, uses[row.place])
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
