"""The Excel workbook: which sheets it has, in which order, and what stands on each.

`sheets` writes tables, `live` has what the workbook computes itself, `summary` the first sheet, `charts` draws, `guide`
explains.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xlsxwriter

from vitbench.files import write_atomically
from vitbench.present import answer
from vitbench.present.workbook import charts, guide, live, summary
from vitbench.present.workbook.sheets import FIRST_ROW, Sheets

# Most telling first; Cells has them all, Sweep and Full the first half.
MEASURED = tuple(
    """framework variant device workers batch_size status repeats median low high cv throughput throughput_low
    throughput_high cold_median accuracy flags""".split()  # noqa: SIM905
)
CELLS = (
    "dataset", *MEASURED, "set_aside", "start_median", "load_median", "precision", "setting", "images",
    "effective_batch_size", "model", "machine", "protocol", "source",
)  # fmt: skip
SPEEDUP = tuple(
    """family fairness comparison candidate baseline speedup low high verdict blocks faster_blocks p_holm
    smallest_detectable blocks_needed hours_needed agreement candidate_throughput baseline_throughput images dataset
    margin floor floor_low floor_high baseline_trials candidate_trials reason""".split()  # noqa: SIM905
)
# Columns that the workflow computed by methods that no formula repeats, by table.
COMPUTED = {
    "speedup": """low high verdict p_holm smallest_detectable blocks_needed hours_needed agreement floor floor_low
        floor_high fairness baseline_trials candidate_trials reason""".split(),  # noqa: SIM905
    "best_batch_size": ["kept", "reason"],
    "data_set_sizes": """seconds_low seconds_high ratio ratio_low ratio_high verdict floor within_floor speedup
        speedup_low speedup_high speedup_verdict reason""".split(),  # noqa: SIM905
    "total_time": """fixed_seconds fixed_low fixed_high seconds_an_image each_low each_high hours hours_low hours_high
        departure departure_images lack_of_fit_p reason""".split(),  # noqa: SIM905
    "scaling": """base_workers wall_seconds throughput throughput_low throughput_high speedup speedup_low speedup_high
        efficiency efficiency_low efficiency_high reason""".split(),  # noqa: SIM905
    "scaling_fits": """one_seconds one_low one_high contention contention_low contention_high coherency coherency_low
        coherency_high peak_workers residual residual_workers residuals lack_of_fit_p reach reason""".split(),  # noqa: SIM905
    "cost": """hours hours_low hours_high machine_hours usd_per_hour usd usd_low usd_high least doubt
        reason""".split(),  # noqa: SIM905
    "break_even": "low high blocks blocks_never verdict extrapolated reason".split(),  # noqa: SIM905
    "replication": """published published_low published_high published_verdict ours ours_low ours_high our_verdict
        verdict reason""".split(),  # noqa: SIM905
    "replication_curves": """published published_low published_high ours ours_low ours_high verdict
        reason""".split(),  # noqa: SIM905
}


@dataclass(frozen=True)
class Derived:
    """A sheet of a table that only some sources have."""

    title: str
    heading: str
    note: str
    draw: Callable | None = None
    empty: bool = True
    """whether the sheet is there when the table has no row"""


DERIVED = {
    "break_even": Derived(
        "Break-even", "From how many images on what starts later, but is faster an image, is ahead",
        "full set; low and high: range over the blocks; where blocks_never counts any, late never catches up in those",
    ),
    "stages": Derived(
        "Stages", "Where the time goes: seconds of a pass by stage, from profiling repeats",
        "full set; wall_seconds: median of the repeats without instruments; difference: of the sum from that",
        charts.stages,
    ),
    "physics": Derived(
        "Physics", "Throughput as a share of what the machine can do",
        "peak: the highest GEMM rate of any library in use; own: of the library that this cell multiplies "
        "with, where it can be measured",
    ),
    "effective_batches": Derived(
        "Batches", "The batches that the engines got",
        "effective_batch_sizes and partition_rows: size:how many; batches: observed at the model, or computed"
        " from the rows of the partitions; wave_factor 1: no slot waits idle",
    ),
    "data_set_sizes": Derived(
        "Data set sizes", "Whether the size of the data set changes the answer", "grey: computed by the workflow",
        empty=False,
    ),
    "total_time": Derived(
        "Total time", "Total seconds as a line through data sets of several sizes, and hours for a million images",
        "grey: computed by the workflow; where there is such a line, the page projects by it, and Summary by one data"
        " set's pass, so that it follows a change in Runs", empty=False,
    ),
    "scaling": Derived(
        "Scaling", "What more workers bring, ours and the published clusters",
        "full set; efficiency: paired by block, 1 is perfect; start and load in neither; grey: computed by the"
        " workflow", empty=False,
    ),
    "scaling_fits": Derived(
        "Scaling laws", "The laws of Amdahl and Gunther through them, or why there is none",
        "grey: computed by the workflow; believed up to `reach` workers", empty=False,
    ),
    "cost": Derived(
        "Cost", "Hours and money for a million images, by the prices of resources/prices.tsv",
        "grey: computed by the workflow, a projection; Summary has the cost of as many images as you type, at the price"
        " that you type", empty=False,
    ),
    "disagreements": Derived(
        "Disagreements", "Images to which the two of a compared pair gave different labels",
        "label: what the image shows, as its manifest says", empty=False,
    ),
    "replication": Derived(
        "Replication", "What the series published, and the same comparison in our records",
        "grey: computed by the workflow; a ratio is baseline / candidate; of a curve it is the time relative to its"
        " best", empty=False,
    ),
    "replication_curves": Derived(
        "Replication curves", "Times by batch size, relative to the best one: theirs and ours",
        "grey: computed by the workflow", empty=False,
    ),
    "sustained": Derived(
        "Sustained", "Whether a rate holds: a row a minute of a long repeat", "", empty=False,
    ),
    "images": Derived(
        "Images", "What the data sets hold: forms of the images used, and what was left out, for every framework alike",
        "first: the first of each; file by file it stands in the data set's manifest.csv",
    ),
    "time_budget": Derived("Time budget", "Where the time of the run went", "seconds, from the records"),
}  # fmt: skip
BEFORE = ("data_set_sizes", "total_time", "scaling", "scaling_fits", "cost", "stages", "physics", "effective_batches")
BETWEEN = ("disagreements", "replication", "replication_curves")
LAST = ("sustained", "images", "time_budget")


def write(
    path: str | Path, *, summary: pd.DataFrame, runs: pd.DataFrame, best: pd.DataFrame, parity: pd.DataFrame,
    speedup: pd.DataFrame, context: dict, derived: dict[str, pd.DataFrame] | None = None,
    more: dict[str, tuple[str, pd.DataFrame]] | None = None,
) -> None:  # fmt: skip
    """Write the workbook to `path`, whole or not at all; the same tables give the same bytes.

    Args:
        derived: tables of DERIVED, by their names.
        more: name of a further sheet → its heading and table.
    """
    content = io.BytesIO()
    book = xlsxwriter.Workbook(
        content,
        {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False},
    )
    day = datetime.date.fromisoformat(context["date"][:10])
    created = datetime.datetime(day.year, day.month, day.day)
    book.set_properties({"title": "vitbench", "comments": context["answer"], "created": created})
    _Book(Sheets(book), summary, runs, best, parity, speedup, context, derived or {}).write(more or {})
    book.close()
    write_atomically(Path(path), content.getvalue())


class _Book:
    """All sheets of one workbook, in their order."""

    def __init__(
        self, sheets: Sheets, summary: pd.DataFrame, runs: pd.DataFrame, best: pd.DataFrame, parity: pd.DataFrame,
        speedup: pd.DataFrame, context: dict, derived: dict[str, pd.DataFrame],
    ) -> None:  # fmt: skip
        self.sheets, self.parity, self.context, self.derived = sheets, parity, context, derived
        ordered = summary.reindex(columns=[*CELLS, *(column for column in summary if column not in CELLS)])
        self.cells = live.cells(ordered)
        self.runs = live.of_runs(runs, self.cells)
        ordered = speedup.reindex(columns=[*SPEEDUP, *(column for column in speedup if column not in SPEEDUP)])
        self.speedup = live.of_speedup(ordered, self.cells)
        self.best, self.sizes = live.of_best(best, speedup, self.runs.frame)
        self.blocks = live.of_blocks(self.cells, self.runs.frame)
        self.where = (
            f"{context['machine_text']} · {context['model']} · {context['date']} · protocol {context['protocol']}"
        )

    def write(self, more: dict[str, tuple[str, pd.DataFrame]]) -> None:
        """Every sheet; Summary and Read me stand first and are filled last."""
        first = self.sheets.book.add_worksheet(summary.NAME)
        read_me = self.sheets.book.add_worksheet(guide.NAME)
        lines = self._sweep()
        full = self._full()
        points = self._speedup()
        even = self._break_even(full.frame)
        self._passes()
        self._some(BEFORE)
        note = " · ".join(filter(None, ["image by image, top-1", self.context.get("label_note")]))
        self.sheets.table("Parity", "Do baseline and candidate give the same labels?", note, self.parity, of="parity")
        self._some(BETWEEN)
        check = live.of_check(self.cells, self.speedup.frame, self.best.frame, even)
        self._behind(check)
        self._some(LAST)
        for name, (heading, frame) in more.items():
            self.sheets.table(name, heading, self.where, frame, of=name.lower())
        facts = pd.DataFrame(list(_flat(self.context)), columns=["key", "value"])
        self.sheets.table(
            "Environment", "What was measured, where and with what", self.where, facts,
            meanings={"key": "name of the fact, parts joined by points", "value": "what it is"},
        )  # fmt: skip
        self._summary(first, full.frame, len(check.frame), [*points[:1], *lines[:1]])
        guide.write(self.sheets, read_me, {name: heading for name, (heading, _) in more.items()})

    def _summary(self, sheet: Any, full: pd.DataFrame, figures: int, drawn: list[charts.Drawing]) -> None:
        rows = summary.frame(full, self.best.frame, self.speedup.frame, self.runs.frame)
        chosen = answer.headline(self.speedup.frame)
        pair = summary.first_pair(rows, self.speedup.frame, chosen)
        made = summary.table(rows, self.speedup.frame, live.by_block(self.runs.frame), pair[0])
        summary.write(self.sheets, sheet, self.context, self.where, made, pair, figures)
        row, pixels = self.sheets.below(rows, summary.HEADER), 0
        for draw in drawn:
            chart = draw()
            sheet.insert_chart(row, self.sheets.right_of(summary.NAME, pixels), chart, {"object_position": 3})
            pixels += chart.width + 20

    def _sweep(self) -> list[charts.Drawing]:
        sample = _sorted(self.cells[self.cells["dataset"] == "sample"])
        table = live.of_cells(sample[[*self._measured(), "cell"]])
        sheet = self.sheets.table(
            "Sweep", "Batch sweep on the sample", _dataset(self.context, "sample"), table.frame, of="summary",
            formulas=table.formulas, meanings=live.MEANINGS,
        )  # fmt: skip
        lines = charts.sweep(self.sheets, sheet, sample, self.sheets.below(sample))
        self.sheets.table(
            "Best batch", "Best batch size: what the sweep says now, and what the full run kept",
            "the fastest size, or a smaller one that two one-sided tests show to be equivalent to it (sheet Sizes);"
            " grey: computed by the workflow", self.best.frame, of="best_batch_size", formulas=self.best.formulas,
            computed=COMPUTED["best_batch_size"], named="best", meanings=live.MEANINGS,
        )  # fmt: skip
        return lines

    def _full(self) -> live.Table:
        full = _sorted(self.cells[self.cells["dataset"] == "full"])
        if "picked" in full:  # published: the full set, too, was run at several batch sizes
            full = full[full["picked"] == "True"].reset_index(drop=True)
        table = live.of_full(full, self.runs.frame)
        shown = table.frame[[*self._measured(), "fixed_seconds", "seconds_an_image", "cell"]]
        sheet = self.sheets.table(
            "Full", "Full run, each variant at its best batch size", _dataset(self.context, "full"), shown,
            of="summary", formulas=table.formulas, named="full", meanings=live.MEANINGS,
        )  # fmt: skip
        charts.wall_time(self.sheets, sheet, full, self.sheets.below(full))
        return table

    def _speedup(self) -> list[charts.Drawing]:
        frame = self.speedup.frame
        sheet = self.sheets.table(
            "Speedup", "Ratio of wall times, baseline / candidate, paired by block: above 1 the candidate is faster",
            "grey: computed by the workflow · low and high: 95% interval; where the verdict is \"too few repeats\", the"
            " range of the block ratios · blocks_needed: for a verdict at this noise, if the ratio is the one found",
            frame, of="speedup",
            formulas=self.speedup.formulas, computed=COMPUTED["speedup"], named="speedup", meanings=live.MEANINGS,
        )  # fmt: skip
        return charts.speedup(self.sheets, sheet, frame, self.sheets.below(frame))

    def _break_even(self, full: pd.DataFrame) -> pd.DataFrame:
        if "break_even" not in self.derived:
            return pd.DataFrame(columns=["early", "late", "break_even", "early_cell", "late_cell"])
        table = live.of_break_even(self.derived["break_even"], full)
        about = DERIVED["break_even"]
        self.sheets.table(about.title, about.heading, about.note, table.frame, of="break_even",
                          formulas=table.formulas, computed=COMPUTED["break_even"], named="even",
                          meanings=live.MEANINGS)  # fmt: skip
        return table.frame

    def _passes(self) -> None:
        if not (self.runs.frame["pass_seconds"].fillna("") != "").any():
            return
        frame = live.of_passes(self.runs.frame)
        shown = frame if self.cells["machine"].nunique() > 1 else frame.drop(columns="machine")
        sheet = self.sheets.table(
            "Passes", "How a process warms up: milliseconds an image, pass by pass", "median over the usable repeats"
            " of the full run; pass 0 is cold, and the last ones are timed", shown, meanings=live.MEANINGS,
        )  # fmt: skip
        charts.passes(self.sheets, sheet, frame, self.sheets.below(frame) + 1)

    def _behind(self, check: live.Table) -> None:
        """The sheets that the others are computed from."""
        cells = live.of_cells(self.cells)
        self.sheets.table(
            "Cells", "Every cell that was measured", self.where, cells.frame, of="summary", formulas=cells.formulas,
            named="cells", meanings=live.MEANINGS,
        )  # fmt: skip
        self.sheets.table(
            "Runs", "One row a repeat (a fresh process); everything else follows from these", self.where,
            self.runs.frame, of="runs", formulas=self.runs.formulas, named="runs", meanings=live.MEANINGS,
        )  # fmt: skip
        self._matrix(
            "Blocks", "Seconds of each cell in each block, where its repeat is usable", self.blocks, "blocks",
            "row by row in the order of the cells' numbers: do not sort",
        )  # fmt: skip
        self._matrix(
            "Sizes", "How the best batch size is chosen", self.sizes, "sizes",
            "seconds in each block, then 1 where all sizes that may be chosen have that block; do not sort",
        )  # fmt: skip
        sheet = self.sheets.table(
            "Check", "Recalculated figures beside what the workflow wrote", "OK on Summary means that no figure differs"
            f" by more than {live.SAME:.0e} of itself", check.frame, formulas=check.formulas, named="check",
            computed=["workflow"], meanings=live.MEANINGS,
        )  # fmt: skip
        sheet.set_column(0, 0, 100)

    def _matrix(self, name: str, heading: str, table: live.Table, named: str, note: str) -> None:
        """A sheet whose rows formulas find by their place, with the name `…_seconds` for its columns of blocks."""
        sheet = self.sheets.table(
            name, heading, note, table.frame, formulas=table.formulas, named=named, meanings=live.MEANINGS, always=None,
            sortable=False,
        )  # fmt: skip
        places = [place for place, column in enumerate(table.frame) if column.startswith(live.SECONDS)]
        if places:
            last = FIRST_ROW + max(1, len(table.frame))
            self.sheets.name(f"{named}_seconds", sheet, FIRST_ROW + 1, places[0], last, places[-1])

    def _some(self, names: Collection[str]) -> None:
        """A sheet for each of these tables that there is; under it its chart."""
        for name in names:
            about, frame = DERIVED[name], self.derived.get(name)
            if frame is None or frame.empty and not about.empty:
                continue
            sheet = self.sheets.table(about.title, about.heading, about.note, frame, of=name,
                                      computed=COMPUTED.get(name, ()))  # fmt: skip
            if about.draw:
                about.draw(self.sheets, sheet, frame, self.sheets.below(frame))

    def _measured(self) -> list[str]:
        return [*MEASURED, *(["machine"] if self.cells["machine"].nunique() > 1 else [])]


def _sorted(cells: pd.DataFrame) -> pd.DataFrame:
    """Rows of one variant stand together, so that a chart's series is one range."""
    order = [tuple(row) for row in cells[["machine", "framework", "variant", "device", "workers"]].to_numpy()]
    first = {key: place for place, key in enumerate(dict.fromkeys(order))}
    return (
        cells.assign(_first=[first[key] for key in order])
        .sort_values(["_first", "batch_size"], kind="stable")
        .drop(columns="_first")
        .reset_index(drop=True)
    )


def _dataset(context: dict, role: str) -> str:
    dataset = context["datasets"].get(role)
    if not dataset:
        return role
    left_out = f", {dataset['left_out']} files left out" if dataset.get("left_out") else ""
    return f"{dataset['name']}, {dataset['images']} images{left_out} · {context['machine_text']}"


def _flat(value: object, key: str = "") -> Iterable[tuple[str, object]]:
    """Nested context as (dotted key, value); numbers stay numbers."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _flat(inner, f"{key}.{place}")
    else:
        yield key, "" if value is None else value
