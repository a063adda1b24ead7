"""What all charts share: colours, marks, text that is measured before it is placed, the caption, the files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import seaborn
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from vitbench.cells import SIZES, role_of
from vitbench.files import write_atomically
from vitbench.frameworks import FRAMEWORKS

# Okabe and Ito's palette: told apart with every common form of colour blindness.
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#767676"
# Of what was measured here beside what the series published.
OURS, THEIRS = BLUE, VERMILION
OTHERS = ("#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
INK, FAINT_INK = "#1a1a1a", "#505050"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("", (4, 1.5), (1, 1), (3, 1, 1, 1), (5, 1, 1, 1, 1, 1), (2, 2), (6, 2))

TITLE, BODY, SMALL, CAPTION = 13.0, 10.0, 9.0, 9.0
LINE = 1.3 / 72  # inches a line takes for each point of font size
MARGIN = 0.2
DPI = 200
FONT = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine


class Mark(NamedTuple):
    """How one variant is drawn in every chart: never by colour alone."""

    color: str
    marker: str
    dashes: tuple | str


def theme() -> AbstractContextManager:
    """The settings under which every chart is drawn and saved; nothing global is changed."""
    return matplotlib.rc_context(
        {
            **seaborn.axes_style("whitegrid"),
            "font.family": [FONT],
            "font.size": BODY,
            "axes.labelsize": BODY,
            "axes.edgecolor": FAINT_INK,
            "xtick.labelsize": BODY,
            "ytick.labelsize": BODY,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "grid.color": "#d8d8d8",
            "text.parse_math": False,  # a "$" in a file name is a dollar sign
            "svg.hashsalt": "vitbench",
            "svg.fonttype": "path",
        }
    )


def marks(variants: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Mark]:
    """A mark for each (framework, variant), in the given order; each framework's first variant has its own colour."""
    homes = {name: framework.color for name, framework in FRAMEWORKS.items()}
    others = iter([color for color in OTHERS if color not in homes.values()] * 4)
    given: dict[tuple[str, str], Mark] = {}
    for place, (framework, variant) in enumerate(dict.fromkeys(variants)):
        color = homes.pop(framework, None) or next(others)
        given[framework, variant] = Mark(color, MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)])
    return given


def marks_of(context: Mapping[str, Any], others: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Mark]:
    """A mark for each variant of a set of records, and for `others` after them: each chart, and the page, has the same
    for the same variant, whichever of them it shows.

    Args:
        context: holds `variants`, each as framework/variant.
    """
    own = [tuple(name.split("/", 1)) for name in context["variants"]]
    return marks([*own, *others])


@cache
def _renderer() -> RendererAgg:
    return RendererAgg(8, 8, 100)


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width in inches of one line of text at `size` points."""
    font = FontProperties(family=FONT, size=size, weight=weight)
    return _renderer().get_text_width_height_descent(text, font, False)[0] / 100


def wrap(text: str, width: float, size: float, weight: str = "normal", most: int | None = None) -> list[str]:
    """Break `text` into lines of at most `width` inches; past `most` lines the rest becomes "…"."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        while text_width(word, size, weight) > width:  # a path or an id: it has no place to break
            head = next(n for n in range(len(word), 0, -1) if n == 1 or text_width(word[:n], size, weight) <= width)
            lines += [line] if line else []
            line, word = word[:head], word[head:]
        longer = f"{line} {word}".strip()
        if text_width(longer, size, weight) <= width:
            line = longer
        else:
            lines.append(line)
            line = word
    lines += [line] if line else []
    if most is not None and len(lines) > most:
        lines = lines[:most]
        while text_width(lines[-1] + "…", size, weight) > width:
            lines[-1] = lines[-1][:-1]
        lines[-1] += "…"
    return lines


class Page:
    """A figure laid out in inches from its top left corner: title, a body of given height, caption.

    Text is measured first and the page takes the height that it needs, so that nothing can run into anything else.
    """

    def __init__(self, width: float, body: float, title: str, caption: Iterable[str]):
        title_lines = wrap(title, width - 2 * MARGIN, TITLE, "bold")
        paragraphs = [wrap(text, width - 2 * MARGIN, CAPTION) for text in caption if text]
        self.top = MARGIN + len(title_lines) * TITLE * LINE + 0.12
        caption_height = sum(len(lines) * CAPTION * LINE + 0.05 for lines in paragraphs)
        self.width, self.height = width, self.top + body + 0.12 + caption_height + MARGIN
        self.figure = Figure(figsize=(self.width, self.height), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        for number, line in enumerate(title_lines):
            self.text(MARGIN, MARGIN + number * TITLE * LINE, line, size=TITLE, weight="bold")
        y = self.top + body + 0.12
        for lines in paragraphs:
            for line in lines:
                self.text(MARGIN, y, line, size=CAPTION, color=FAINT_INK)
                y += CAPTION * LINE
            y += 0.05

    def text(self, x: float, y: float, text: str, size: float = BODY, **how) -> Text:
        """Write one line with its top at `y` inches below the page's top."""
        how = {"va": "top", "ha": "left", "color": INK, **how}
        return self.figure.text(x / self.width, 1 - y / self.height, text, size=size, **how)

    def axes(self, left: float, top: float, width: float, height: float):
        """Axes whose upper left corner is `left`, `top` inches from the page's."""
        return self.figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )


def origin(context: dict) -> str:
    """The caption's last paragraph: machine, model, data sets, versions, date, protocol, what is mixed in them."""
    said = "; ".join(filter(None, (context.get("model_note"), context.get("label_note"))))
    model = context["model"] + (f" ({said})" if said else "")
    datasets = "; ".join(
        f"{role} {dataset['name']}, {dataset['images']} images"
        for role, dataset in context["datasets"].items()
        if role_of(role) != SIZES
    )
    if several := [one["name"] for name, one in context["datasets"].items() if role_of(name) == SIZES]:
        datasets += f"; {SIZES} {', '.join(several)}"
    versions = ", ".join(f"{package} {version}" for package, version in context.get("versions", {}).items())
    parts = [context["machine_text"], f"model {model}", datasets, versions, f"{context['date']}"]
    parts += [f"protocol {context['protocol']}"]
    parts += [f"vitbench {context['vitbench']}"] if context.get("vitbench") else []
    parts += context.get("notes", [])
    return " · ".join(part for part in parts if part)


def dataset_title(context: dict, role: str) -> str:
    """Name and size of the data set in a role: "photos-32, 32 images"."""
    dataset = context["datasets"].get(role)
    return f"{dataset['name']}, {dataset['images']} images" if dataset else role


def say(axes, words: str) -> None:
    """Fill empty axes with words instead of marks."""
    box = axes.get_position()
    width = box.width * axes.figure.get_figwidth() - 0.4
    axes.text(
        0.5, 0.5, "\n".join(wrap(words, width, BODY)), transform=axes.transAxes, ha="center", va="center", color=INK
    )
    axes.grid(False)
    axes.set_yticks([])


def hollow(axes, x: Sequence[float], y: Sequence[float], mark: Mark, size: float) -> None:
    """Marks in outline: what is not what the filled ones are; nothing at all where there are none."""
    if len(x):
        width = 1.1 if size < 40 else 1.6
        look = {"marker": mark.marker, "facecolor": "white", "edgecolor": mark.color, "linewidth": width}
        axes.scatter(x, y, s=size, zorder=5, **look)


def save(figure: Figure, png: str | Path, svg: str | Path) -> None:
    """Write both files, each whole or not at all; the same figure gives the same bytes."""
    with theme():
        for path, kind, metadata in (
            (png, "png", {"Software": None}),
            (svg, "svg", {"Date": None, "Creator": None}),
        ):
            content = io.BytesIO()
            figure.savefig(content, format=kind, dpi=DPI, metadata=metadata)
            write_atomically(Path(path), content.getvalue())
