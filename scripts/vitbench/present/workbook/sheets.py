"""Sheets in one style: words, a table with filter, frozen header, widths, number formats and units, live formulas.

A table is a frame of values, and formulas for some of its columns. Each formula is written with the frame's value, so
that whoever does not recalculate (previews, pandas) sees what the workflow found.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import xlsxwriter
from xlsxwriter.utility import xl_col_to_name, xl_range_abs
from xlsxwriter.worksheet import Worksheet

from vitbench import tables
from vitbench.present import columns

WIDEST_PAGE = 320  # characters
LONGEST_TEXT = 32_000  # Excel holds 32,767 characters in a cell; the CSV file has them all
FIRST_ROW = 3  # of the tables, counted from 0: heading, note, an empty row above
FACT = "value"  # the column of the sheet Environment with values of all kinds
# A column of one block; its header is the block's number, which formulas read.
OF_BLOCK = re.compile(r"(seconds|common) in block (\d+)")
WIDEST = 48  # a column, in letters
HEIGHT = 15  # of a line of text, points
PIXELS = 7  # of a letter's width

SHARES = frozenset(column.rpartition(".")[2] for column, unit in columns.UNITS.items() if unit == "%")
COUNTS = frozenset(
    """images workers batch_size effective_batch_size repeat repeats protocol block order timed_passes threads slots
    warm_up_images last_change partitions kept blocks blocks_needed faster_blocks compared waves attempts
    set_aside alike blocks_never measured_images cell usable counted choosing answered baseline_cell candidate_cell pair
    choice stands alive fastest fastest_row against_blocks equivalent best_batch_size place pass machines pair_row
    baseline_repeats candidate_repeats minute n nodes base_workers points fewest_workers most_workers residual_workers
    reach short_passes""".split()  # noqa: SIM905
)
# Number formats of other columns than counts, shares and quantities, by `table.column` or the column alone.
FORMS = {
    "break_even": "#,##0",
    "break_even.low": "#,##0",
    "break_even.high": "#,##0",
    "hours": "#,##0.0",
    "cost": "#,##0.00",
    "usd": "#,##0.00",
    "contention": "0.0000",
    "coherency": "0.000000",
    "seconds_an_image": "0.0000",
    "early_seconds_an_image": "0.0000",
    "late_seconds_an_image": "0.0000",
    "mean_ln": "0.0000",
    "against_ln": "0.0000",
    "against_spread": "0.0000",
    "p_holm": "[<0.0001]0.0E+00;0.0000",
    "relative_difference": "0.0E+00",
    "probability_difference": "0.0000",
}


@dataclass(frozen=True)
class Row:
    """A row of a table, as its formulas refer to it: by the names of its columns."""

    number: int
    """as spreadsheets count, from 1"""
    place: int
    """in the frame, from 0"""
    letters: Mapping[str, str]
    first: int
    """number of the table's first row"""
    last: int

    def __getitem__(self, column: str) -> str:
        """Address of a cell of this row; the column stays where the formula is copied to."""
        return f"${self.letters[column]}{self.number}"

    def span(self, first: str, last: str) -> str:
        """Address of the cells of this row from one column to another."""
        return f"${self.letters[first]}{self.number}:${self.letters[last]}{self.number}"

    def all(self, column: str) -> str:
        """Address of the whole column of the table."""
        letter = self.letters[column]
        return f"${letter}${self.first}:${letter}${self.last}"

    def header(self, column: str) -> str:
        """Address of the column's header."""
        return f"${self.letters[column]}${self.first - 1}"


# In braces where it is an array formula: "{=MEDIAN(IF(…))}".
Formula = Callable[[Row], str]


@dataclass(frozen=True)
class Explained:
    """A line of the sheet Read me: what a column is."""

    sheet: str
    column: str
    """its header"""
    kind: str
    meaning: str


@dataclass
class Sheets:
    """Writes tables in one style, and remembers what each of their columns is."""

    book: xlsxwriter.Workbook
    explained: list[Explained] = field(default_factory=list)
    widths: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        add = self.book.add_format
        self.heading = add({"bold": True, "font_size": 14})
        self.bold = add({"bold": True})
        self.note = add({"font_color": "#505050"})
        self.link = add({"font_color": "#0563C1", "underline": 1})
        self.paragraph = add({"text_wrap": True, "valign": "top"})
        header = {"bold": True, "bg_color": "#DDE6ED", "bottom": 1, "valign": "top", "text_wrap": True}
        self.header = add(header | {"align": "left", "indent": 1})
        self.number_header = add(header | {"align": "right"})
        self.block_header = {
            kind: add(header | {"align": "right", "num_format": f'"{words} "0'})
            for kind, words in (("seconds", "block"), ("common", "common"))
        }
        # In the middle: at the top, a program with larger letters draws the header's line through the first row.
        text = {"valign": "vcenter", "align": "left", "indent": 1}
        self.label = add(text | {"text_wrap": True})
        self.text = add(text)
        self.computed_text = add(text | {"font_color": "#6B6B6B", "italic": True})
        # Excel writes the word by itself, LibreOffice would write 1 and 0.
        self.truth = add(text | {"num_format": '"TRUE";"TRUE";"FALSE"'})
        self.wrong = add(text | {"bg_color": "#FBE3D6"})
        self._numbers: dict[tuple[str, bool, bool], Any] = {}

    def number(self, form: str, computed: bool = False, fact: bool = False) -> Any:
        """The format of a number; grey and slanted where the workflow computed it and no formula does.

        `fact`: it stands among values of all kinds, and to the left as they do.
        """
        if (form, computed, fact) not in self._numbers:
            grey = {"font_color": "#6B6B6B", "italic": True} if computed else {}
            left = {"align": "left", "indent": 1} if fact else {}
            look = {"num_format": form, "valign": "vcenter"} | grey | left
            self._numbers[form, computed, fact] = self.book.add_format(look)
        return self._numbers[form, computed, fact]

    @staticmethod
    def below(frame: pd.DataFrame, top: int = FIRST_ROW) -> int:
        """The row where a chart under a table begins."""
        return top + len(frame) + 2

    def table(
        self,
        name: str,
        heading: str,
        note: str,
        frame: pd.DataFrame,
        *,
        of: str = "",
        formulas: Mapping[str, Formula] | None = None,
        computed: Collection[str] = (),
        named: str = "",
        meanings: Mapping[str, str] | None = None,
        always: Collection[str] | None = (),
        sortable: bool = True,
        frozen: bool = True,
        sheet: Worksheet | None = None,
        top: int = FIRST_ROW,
    ) -> Worksheet:
        """A sheet with `frame` under two lines of words.

        Args:
            of: name of the table in `results/` that says what the columns mean.
            formulas: column → its formula; where the frame has no value there is none.
            computed: columns that the workflow computed, by methods that no formula here repeats.
            named: prefix of the names of all columns, for formulas elsewhere: `runs` gives `runs_wall_seconds`.
            meanings: of columns that no table in `results/` has; `of.column` where it is another than that table's.
            always: columns with formulas where the frame has no value, too; None: all of them.
            sortable: whether the table has a filter.
            frozen: whether its header stays in sight.
            sheet: one that is there already.
            top: row of the header.
        """
        sheet = sheet or self.book.add_worksheet(name)
        sheet.write_string(0, 0, heading, self.heading)
        sheet.write_string(1, 0, note, self.note)
        formulas, meanings = formulas or {}, meanings or {}
        headers = {column: self._title(of, column) for column in frame}
        widths = [self._width(headers[column], frame[column]) for column in frame]
        for place, width in enumerate(widths):
            sheet.set_column(place, place, width)
        self.widths[name] = widths
        self.block(sheet, top, 0, frame, of=of, formulas=formulas, computed=computed, always=always)
        for place, column in enumerate(frame):
            if not OF_BLOCK.fullmatch(column):
                if named:
                    self.name(f"{named}_{column}", sheet, top + 1, place, top + max(1, len(frame)), place)
                kind = "computed by the workflow" if column in computed else "formula" if column in formulas else ""
                self.explained.append(Explained(name, headers[column], kind, _meaning(of, column, meanings)))
        if frozen:
            sheet.freeze_panes(top + 1, 0)
        if sortable:
            sheet.autofilter(top, 0, top + len(frame), len(frame.columns) - 1)
        sheet.set_landscape()
        if sum(widths) <= WIDEST_PAGE:
            sheet.fit_to_pages(1, 0)
        else:  # fitted to one page it could not be read
            sheet.set_print_scale(60)
        sheet.repeat_rows(top)
        sheet.hide_gridlines(1)
        return sheet

    def widen(self, sheet: Worksheet, texts: Iterable[str]) -> None:
        """Make the first column of a sheet as wide as these texts."""
        widths = self.widths[sheet.name]
        widths[0] = min(max([widths[0], *(len(text) + 3 for text in texts)]), WIDEST)
        sheet.set_column(0, 0, widths[0])

    def right_of(self, name: str, pixels: int) -> int:
        """The first column of a sheet that begins so many pixels from its left, or further."""
        begin = 0
        for place, width in enumerate(self.widths[name]):
            if begin >= pixels:
                return place
            begin += PIXELS * width + 5
        return len(self.widths[name])

    def name(self, name: str, sheet: Worksheet, first: int, left: int, last: int, right: int) -> None:
        """Give a range a name that formulas use."""
        self.book.define_name(name, f"='{sheet.name}'!{xl_range_abs(first, left, last, right)}")

    def block(
        self,
        sheet: Worksheet,
        row: int,
        left: int,
        frame: pd.DataFrame,
        *,
        of: str = "",
        formulas: Mapping[str, Formula] | None = None,
        computed: Collection[str] = (),
        always: Collection[str] | None = (),
    ) -> None:
        """Write header and values at `row`, `left`; long headers and labels take the lines that they need."""
        formulas = formulas or {}
        widths = self.widths[sheet.name][left:]
        titles = {column: self._title(of, column) for column in frame}
        self._grow(sheet, row, zip(titles.values(), widths, strict=False))
        if "label" in frame:
            for down, label in enumerate(frame["label"], start=row + 1):
                self._grow(sheet, down, [(label, widths[list(frame).index("label")])])
        letters = {column: xl_col_to_name(place) for place, column in enumerate(frame, start=left)}
        first, last = row + 2, row + 1 + max(1, len(frame))
        for place, column in enumerate(frame, start=left):
            is_number = column != FACT and _holds_numbers(frame[column]) or column in FORMS
            everywhere = always is None or column in always
            if block := OF_BLOCK.fullmatch(column):
                sheet.write_number(row, place, int(block[2]), self.block_header[block[1]])
            else:
                sheet.write_string(row, place, titles[column], self.number_header if is_number else self.header)
            for down, value in enumerate(frame[column]):
                here = Row(row + 2 + down, down, letters, first, last)
                formula = formulas[column](here) if column in formulas and (everywhere or _there(value)) else ""
                self.cell(sheet, row + 1 + down, place, column, value, formula, of=of, computed=column in computed)

    @staticmethod
    def _title(of: str, column: str) -> str:
        if block := OF_BLOCK.fullmatch(column):
            return f"{block[1]} {block[2]}"
        unit = columns.unit(of, column)
        return f"{column} ({unit})" if unit and not column.endswith(unit) else column

    @staticmethod
    def _grow(sheet: Worksheet, row: int, texts: Iterable[tuple[str, float]]) -> None:
        # - 4: a line ends before the word that does not fit
        fits = [(len(text), width - 1, width - 4) for text, width in texts]
        lines = max([1, *(1 if length <= whole else math.ceil(length / part) for length, whole, part in fits)])
        if lines > 1:
            sheet.set_row(row, HEIGHT * lines)

    def cell(
        self,
        sheet: Worksheet,
        row: int,
        place: int,
        column: str,
        value: Any,
        formula: str = "",
        *,
        of: str = "",
        computed: bool = False,
    ) -> None:
        """Write one value, with its formula if it has one. What is text stays text, whatever it begins with."""
        if column == "reached":  # a word in its table, for it may be missing
            value = {"true": True, "false": False}.get(value, value)
        if formula:
            value, form = _plain(value), self._form(of, column, value, computed)
            sheet.write_formula(row, place, formula, form, value)
        elif isinstance(value, bool) or hasattr(value, "dtype") and value.dtype == bool:
            sheet.write_boolean(row, place, bool(value), self.truth)
        elif isinstance(value, str):
            if value:
                wrong = column == "status" and value != "ok"
                text = value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "…"
                kind = self.wrong if wrong else self.label if column == "label" else self.text
                sheet.write_string(row, place, text, self.computed_text if computed and not wrong else kind)
        elif _there(value):
            sheet.write_number(row, place, value, self._form(of, column, value, computed))

    def _form(self, of: str, column: str, value: Any, computed: bool) -> Any:
        if isinstance(value, str) and value:
            return self.computed_text if computed else self.text
        if special := FORMS.get(f"{of}.{column}", FORMS.get(column)):
            form = special
        elif column in COUNTS or column.startswith("common in block") or _is_whole_fact(column, value):
            form = "0"
        else:
            form = "0.0%" if column in SHARES else "0.00"
        return self.number(form, computed, column == FACT)

    @staticmethod
    def _width(title: str, values: Iterable) -> float:
        longest = max([0, *(len(value) if isinstance(value, str) else 6 for value in values)])
        word = max(map(len, title.split(" ("))) + 5  # the filter's button covers the end of the header
        return min(max(word, longest + 3, 12), WIDEST)


def _there(value: Any) -> bool:
    """Whether a cell of a frame has a value."""
    return value is not None and value != "" and not (isinstance(value, numbers.Real) and not math.isfinite(value))


def _plain(value: Any) -> float | int | str:
    """The value of a formula as the file takes it: a missing one is the empty text."""
    if not _there(value):
        return ""
    if isinstance(value, str):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _is_whole_fact(column: str, value: Any) -> bool:
    """Whether it is one of the values of all kinds of the sheet Environment, and a whole number."""
    return column == FACT and isinstance(value, numbers.Real) and float(value).is_integer()


def _holds_numbers(values: pd.Series) -> bool:
    """Whether a column is one of numbers, be some of its cells words or empty."""
    if pd.api.types.is_bool_dtype(values.dtype):
        return False
    return pd.api.types.is_numeric_dtype(values.dtype) or any(
        isinstance(value, numbers.Real) and _there(value) for value in values
    )


def _meaning(of: str, column: str, meanings: Mapping[str, str]) -> str:
    """What a column means; a column that a later version has added explains itself in that version."""
    own = columns.COLUMNS if column in tables.COLUMNS.get(of, ()) else {}
    named = f"{of}.{column}"
    for known, name in (
        (meanings, named), (own, named), (own, column), (columns.SERIES, named), (meanings, column),
        (columns.SERIES, column), (columns.COLUMNS, column),
    ):  # fmt: skip
        if name in known:
            return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", known[name]).replace("`", "")
    return "a column of another version of vitbench"
