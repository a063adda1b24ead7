"""What a page is made of: sections of charts, tables, pictures and facts, each with the words that it needs.

Nothing here knows HTML: the templates beside this module draw each part by its `kind`, and escape all of its words.
Positions are per cent of a plot's width and height, so that one drawing fits a telephone and a large screen alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from vitbench.present import style
from vitbench.present.labels import hardware_of, variant_of
from vitbench.present.page.axes import Axis

# Names of the marks in the templates, by matplotlib's letters, so that a variant has one mark everywhere.
GLYPHS = {"o": "dot", "s": "square", "^": "up", "D": "diamond", "v": "down", "P": "plus", "X": "cross"}
GREY = style.GREY
# Black of the palette is the page's ink, which is light on a dark page.
BLACK, INK = "#000000", "var(--ink)"


class Look(NamedTuple):
    """How one variant is drawn: colour, name of its mark, and whether its line is dashed."""

    color: str
    glyph: str = "dot"
    dashed: bool = False


# (framework, variant) → how it looks.
Looks = dict[tuple[str, str], Look]


def looks(context: Mapping[str, Any], others: Iterable[tuple[str, str]]) -> Looks:
    """A look for each (framework, variant): the colours and marks of the charts (`style.marks_of`)."""
    given = style.marks_of(context, others)
    return {
        key: Look(INK if mark.color == BLACK else mark.color, GLYPHS[mark.marker], bool(mark.dashes))
        for key, mark in given.items()
    }


@dataclass(frozen=True)
class Dot:
    """A mark at a place (per cent), with the words that show when it is pointed at."""

    x: float
    color: str
    tip: str
    glyph: str = "dot"
    hollow: bool = False
    small: bool = False
    y: float = 50.0


@dataclass(frozen=True)
class Span:
    """A whisker from one place to another, with ends."""

    low: float
    high: float
    color: str
    tip: str
    thin: bool = False


@dataclass(frozen=True)
class Bar:
    """A bar from one place to another; `crossed`: what it shows cannot be."""

    begin: float
    end: float
    color: str
    tip: str
    crossed: bool = False

    @property
    def width(self) -> float:
        return round(self.end - self.begin, 3)


@dataclass(frozen=True)
class Stroke:
    """An upright line through a row: `noise` (thin), `limit` (dashed) or `wall` (heavy)."""

    x: float
    kind: str
    tip: str


@dataclass(frozen=True)
class StripRow:
    """A thing with its marks along the common axis, and its numbers beside them."""

    name: str
    under: str = ""
    spans: tuple[Span, ...] = ()
    bars: tuple[Bar, ...] = ()
    strokes: tuple[Stroke, ...] = ()
    dots: tuple[Dot, ...] = ()
    words: str = ""
    """what stands in the plot where there is no mark"""
    cells: tuple[str, ...] = ()
    group: str = ""


class Key(NamedTuple):
    """A line of a chart's legend: a look (`swatch` for an area, a glyph, or a kind of stroke) and its words."""

    look: str
    color: str
    words: str
    hollow: bool = False


@dataclass(frozen=True)
class Strip:
    """Rows along one axis, a table to those who cannot see it."""

    kind: ClassVar[str] = "strip"
    caption: str
    axis: Axis
    label: str
    head: str
    columns: tuple[str, ...]
    rows: tuple[StripRow, ...]
    band: tuple[float, float] | None = None
    heavy: float | None = None
    """where the line of no difference is"""
    ends: tuple[str, str] = ("", "")
    key: tuple[Key, ...] = ()

    @property
    def groups(self) -> list[tuple[str, list[StripRow]]]:
        """Rows by group, in the order of the first of each."""
        found: dict[str, list[StripRow]] = {}
        for row in self.rows:
            found.setdefault(row.group, []).append(row)
        return list(found.items())


@dataclass(frozen=True)
class Line:
    """One line of a plot: points (x, y in per cent from the upper left corner), joined or not."""

    name: str
    color: str
    points: tuple[Dot, ...]
    glyph: str = "dot"
    dashed: bool = False
    joined: bool = True
    thin: bool = False
    whiskers: tuple[tuple[float, float, float, str], ...] = ()
    """x, upper y, lower y, words"""
    listed: bool = True

    @property
    def segments(self) -> list[tuple[Dot, Dot]]:
        return list(zip(self.points, self.points[1:], strict=False)) if self.joined else []


@dataclass(frozen=True)
class Plot:
    """Lines over two axes; `alt` says in words what there is to be seen."""

    kind: ClassVar[str] = "plot"
    title: str
    alt: str
    x: Axis
    y: Axis
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    rings: tuple[Dot, ...] = ()
    limits: tuple[tuple[float, str], ...] = ()
    """y and words of dashed lines across the plot"""
    height: int = 260
    listed: bool = True
    """whether a legend names the lines"""


@dataclass(frozen=True)
class Panels:
    """Plots side by side where there is room."""

    kind: ClassVar[str] = "panels"
    plots: tuple[Plot, ...]


class Entry(NamedTuple):
    """What stands in a table: its text, what it is sorted by (a number, else the text), whether it is a warning."""

    text: str
    value: float | None = None
    warns: bool = False


@dataclass(frozen=True)
class Grid:
    """A table. `folded`: only shown when asked for; `tool`: it can be sorted and filtered."""

    kind: ClassVar[str] = "grid"
    caption: str
    columns: tuple[tuple[str, bool], ...]
    """heading, and whether it is of numbers"""
    rows: tuple[tuple[Entry, ...], ...]
    folded: str = ""
    tool: bool = False
    groups: tuple[str, ...] = ()
    """what each row belongs to, where the buttons over the comparisons choose among them"""


@dataclass(frozen=True)
class Notes:
    """Sentences in a list."""

    kind: ClassVar[str] = "notes"
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]


class Picture(NamedTuple):
    """A picture as a `data:` address ("" where there is none, with the reason), words for who cannot see it, a title.

    The lines under it say more.
    """

    address: str
    alt: str
    title: str
    lines: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures in rows; `small`: as thumbnails."""

    kind: ClassVar[str] = "gallery"
    pictures: tuple[Picture, ...]
    small: bool = False


Part = Strip | Plot | Panels | Grid | Notes | Facts | Gallery


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading: what is found, how to read it, and what would make it wrong."""

    ident: str
    title: str
    parts: tuple[Part, ...]
    found: str = ""
    read: str = ""
    wrong: str = ""


Columns = Mapping[str, tuple[bool, Callable[[Any], Entry]]]


def grid(caption: str, rows: Iterable[Any], columns: Columns, **how: Any) -> Grid:
    """A table of `rows`: heading → whether it is of numbers, and what makes a row's entry.

    A column in which no row has anything is left out.
    """
    made = [[entry(row) for _, entry in columns.values()] for row in rows]
    heads = [(head, is_number) for head, (is_number, _) in columns.items()]
    kept = [place for place in range(len(heads)) if any(row[place].text not in ("", "–") for row in made)]
    return Grid(
        caption,
        tuple(heads[place] for place in kept),
        tuple(tuple(row[place] for place in kept) for row in made),
        **how,
    )


def of_words(column: str) -> tuple[bool, Callable[[Any], Entry]]:
    """Columns for `grid`: the words of an attribute."""
    return False, lambda row: Entry(getattr(row, column))


def of_numbers(column: str, form: Callable[[float], str]) -> tuple[bool, Callable[[Any], Entry]]:
    """Columns for `grid`: the number of an attribute in a form."""
    return True, lambda row: Entry(form(getattr(row, column)), float(getattr(row, column)))


# The columns of a grid whose rows are cells.
of_variant: tuple[bool, Callable[[Any], Entry]] = (False, lambda row: Entry(variant_of(row)))
of_hardware: tuple[bool, Callable[[Any], Entry]] = (False, lambda row: Entry(hardware_of(row)))
