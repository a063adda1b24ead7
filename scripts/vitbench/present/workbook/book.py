"""The Excel workbook: the tables of `results/` with numbers as numbers, and charts that Excel draws itself.

`workbook_charts` draws; this module writes the sheets.
"""

from __future__ import annotations

import datetime
import io
import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from vitbench.files import write_atomically
from vitbench.present.workbook import charts as workbook_charts

WIDEST_PAGE = 320  # characters
LONGEST_TEXT = 32_000  # Excel holds 32,767 characters in a cell; the CSV file has them all

# Most telling first; Summary has them all, Sweep and Full the first half.
MEASURED = tuple(
    """framework variant device workers batch_size status repeats median low high cv throughput throughput_low
    throughput_high cold_median accuracy flags""".split()  # noqa: SIM905
)
CELLS = (
    "dataset", *MEASURED, "start_median", "load_median", "precision", "setting", "images", "effective_batch_size",
    "model", "machine", "protocol", "source",
)  # fmt: skip
SPEEDUP = tuple(
    """comparison candidate baseline speedup low high verdict blocks faster_blocks p_holm agreement candidate_throughput
    baseline_throughput images dataset reason""".split()  # noqa: SIM905
)
# Tables that only some sources have: sheet, heading, note; in the order of the sheets, those in LAST after Runs.
DERIVED = {
    "break_even": (
        "Break-even", "From how many images on what starts later, but is faster an image, is ahead",
        "full set; low and high: range over the blocks; where blocks_never counts any, late never catches up in those",
    ),
    "stages": (
        "Stages", "Where the time goes: seconds of a pass by stage, from profiling repeats",
        "full set; wall_seconds: median of the repeats without instruments; difference: of the sum from that",
    ),
    "physics": (
        "Physics", "Throughput as a share of what the machine can do",
        "peak: the highest GEMM rate of any library in use; own: of the library that this cell multiplies "
        "with, where it can be measured",
    ),
    "effective_batches": (
        "Batches", "The batches that the engines saw",
        "effective_batch_sizes and partition_rows: size:how many; wave_factor 1: no slot waits idle",
    ),
    "images": (
        "Images", "What the data sets hold: forms of the images used, and what was left out, for every framework alike",
        "first: the first of each; file by file it stands in the data set's manifest.csv",
    ),
    "time_budget": ("Time budget", "Where the time of the run went", "seconds, from the records"),
}  # fmt: skip
LAST = ("images", "time_budget")
SHARES = frozenset(
    """accuracy agreement baseline_accuracy candidate_accuracy cv steal_share foreign_cpu_share share difference
    share_of_peak""".split()  # noqa: SIM905
)
COUNTS = frozenset(
    """images workers batch_size effective_batch_size repeat repeats protocol block order timed_passes threads slots
    warm_up_images last_change partitions kept blocks faster_blocks compared duplicated waves attempts set_aside
    alike blocks_never measured_images""".split()  # noqa: SIM905
)
FIRST_ROW = 3  # of the tables, counted from 0: answer, machine, an empty row above


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
    sheets = Sheets(book)

    summary = summary.reindex(columns=[*CELLS, *(column for column in summary if column not in CELLS)])
    speedup = speedup.reindex(columns=[*SPEEDUP, *(column for column in speedup if column not in SPEEDUP)])
    sample, full = (_sorted(summary[summary["dataset"] == role]) for role in ("sample", "full"))
    if "picked" in full:  # published: the full set, too, was run at several batch sizes
        full = full[full["picked"] == "True"].reset_index(drop=True)
    measured = [*MEASURED, *(["machine"] if summary["machine"].nunique() > 1 else [])]
    where = f"{context['machine_text']} · {context['model']} · {context['date']} · protocol {context['protocol']}"

    sheets.table("Summary", context["answer"], where, summary)
    sheet = sheets.table("Sweep", "Batch sweep on the sample", _dataset(context, "sample"), sample[measured])
    workbook_charts.sweep(sheets, sheet, sample, sheets.below(sample))
    sheet = sheets.table("Full", "Full run, each variant at its best batch size", _dataset(context, "full"),
                         full[measured])  # fmt: skip
    row = workbook_charts.wall_time(sheets, sheet, full, sheets.below(full))
    sheet.write_string(row, 0, "Best batch size: what the sweep says now, and what the full run kept", sheets.note)
    sheets.block(sheet, row + 1, 0, best)
    sheet = sheets.table(
        "Speedup", "Ratio of median wall times, baseline / candidate: above 1 the candidate is faster",
        "low and high: 95% interval; where the verdict is \"too few repeats\", the range of the block ratios", speedup,
    )  # fmt: skip
    workbook_charts.speedup(sheets, sheet, speedup, sheets.below(speedup))
    _derived(sheets, {name: frame for name, frame in (derived or {}).items() if name not in LAST})
    note = " · ".join(filter(None, ["image by image, top-1", context.get("label_note")]))
    sheets.table("Parity", "Do baseline and candidate give the same labels?", note, parity)
    sheets.table("Runs", "One row a repeat (a fresh process); everything else follows from these", where, runs)
    _derived(sheets, {name: frame for name, frame in (derived or {}).items() if name in LAST})
    for name, (heading, frame) in (more or {}).items():
        sheets.table(name, heading, where, frame)
    facts = pd.DataFrame(list(_flat(context)), columns=["key", "value"])
    sheets.table("Environment", "What was measured, where and with what", where, facts)
    book.close()
    write_atomically(Path(path), content.getvalue())


def _derived(sheets: Sheets, tables: dict[str, pd.DataFrame]) -> None:
    """A sheet for each of these tables, in the order of DERIVED; under the stages their chart."""
    for name, (title, heading, note) in DERIVED.items():
        if name in tables:
            sheet = sheets.table(title, heading, note, tables[name])
            if name == "stages":
                workbook_charts.stages(sheets, sheet, tables[name], sheets.below(tables[name]))


class Sheets:
    """Writes tables in one style: heading, frozen header row, filter, widths, number formats."""

    def __init__(self, book: xlsxwriter.Workbook):
        self.book = book
        self.widths: dict[str, list[float]] = {}
        self.heading = book.add_format({"bold": True, "font_size": 14})
        self.note = book.add_format({"font_color": "#505050"})
        header = {"bold": True, "bg_color": "#DDE6ED", "bottom": 1, "valign": "top", "text_wrap": True}
        self.header = book.add_format(header | {"align": "left", "indent": 1})
        self.number_header = book.add_format(header | {"align": "right"})
        self.label = book.add_format({"valign": "top", "align": "left", "indent": 1, "text_wrap": True})
        self.text = book.add_format({"valign": "top", "align": "left", "indent": 1})
        # Excel writes the word by itself, LibreOffice would write 1 and 0.
        self.truth = book.add_format({"valign": "top", "align": "left", "indent": 1,
                                      "num_format": '"TRUE";"TRUE";"FALSE"'})  # fmt: skip
        self.wrong = book.add_format({"valign": "top", "align": "left", "indent": 1, "bg_color": "#FBE3D6"})
        self.count = book.add_format({"num_format": "0", "valign": "top"})
        self.share = book.add_format({"num_format": "0.0%", "valign": "top"})
        self.measure = book.add_format({"num_format": "0.00", "valign": "top"})

    @staticmethod
    def below(frame: pd.DataFrame) -> int:
        """The row where a chart under the sheet's table begins."""
        return FIRST_ROW + len(frame) + 2

    def table(self, name: str, heading: str, note: str, frame: pd.DataFrame) -> Worksheet:
        """A sheet with `frame` under two lines of words."""
        sheet = self.book.add_worksheet(name)
        sheet.write_string(0, 0, heading, self.heading)
        sheet.write_string(1, 0, note, self.note)
        widths = [self._width(column, frame[column]) for column in frame]
        for place, width in enumerate(widths):
            sheet.set_column(place, place, width)
        self.widths[name] = widths
        self.block(sheet, FIRST_ROW, 0, frame)
        sheet.freeze_panes(FIRST_ROW + 1, 0)
        sheet.autofilter(FIRST_ROW, 0, FIRST_ROW + len(frame), len(frame.columns) - 1)
        sheet.set_landscape()
        if sum(widths) <= WIDEST_PAGE:
            sheet.fit_to_pages(1, 0)
        else:  # fitted to one page it could not be read
            sheet.set_print_scale(60)
        sheet.repeat_rows(FIRST_ROW)
        sheet.hide_gridlines(1)
        return sheet

    def block(self, sheet: Worksheet, row: int, left: int, frame: pd.DataFrame) -> None:
        """Write header and values at `row`, `left`; long headers and labels take the lines that they need."""
        widths = self.widths[sheet.name][left:]
        self._grow(sheet, row, zip(frame, widths, strict=False))
        if "label" in frame:
            for down, label in enumerate(frame["label"], start=row + 1):
                self._grow(sheet, down, [(label, widths[list(frame).index("label")])])
        for place, column in enumerate(frame, start=left):
            is_number = pd.api.types.is_float_dtype(frame[column])
            sheet.write_string(row, place, column, self.number_header if is_number else self.header)
            for down, value in enumerate(frame[column], start=row + 1):
                self._cell(sheet, down, place, column, value)

    @staticmethod
    def _grow(sheet: Worksheet, row: int, texts: Iterable[tuple[str, float]]) -> None:
        # - 4: a line ends before the word that does not fit
        fits = [(len(text), width - 1, width - 4) for text, width in texts]
        lines = max(1 if length <= whole else math.ceil(length / part) for length, whole, part in fits)
        if lines > 1:
            sheet.set_row(row, 15 * lines)

    def _cell(self, sheet: Worksheet, row: int, place: int, column: str, value: object) -> None:
        if isinstance(value, bool) or hasattr(value, "dtype") and value.dtype == bool:
            sheet.write_boolean(row, place, bool(value), self.truth)
        elif isinstance(value, str):
            if value:
                wrong = column == "status" and value != "ok"
                text = value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "…"
                kind = self.wrong if wrong else self.label if column == "label" else self.text
                sheet.write_string(row, place, text, kind)
        elif value is not None and math.isfinite(value):
            kind = self.count if column in COUNTS else self.share if column in SHARES else self.measure
            if column == "value" and float(value).is_integer():
                kind = self.count
            sheet.write_number(row, place, value, kind)

    @staticmethod
    def _width(column: str, values: Iterable) -> float:
        longest = max([0, *(len(value) if isinstance(value, str) else 6 for value in values)])
        return min(max(len(column) + 5, longest + 3, 12), 48)  # + 5: the filter's button covers the end of the header


def _sorted(cells: pd.DataFrame) -> pd.DataFrame:
    """Rows of one variant stand together, so that a chart's series is one range."""
    order = cells[["machine", "framework", "variant", "device", "workers"]].apply(tuple, axis=1) if len(cells) else []
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
