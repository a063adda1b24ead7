"""Pages of Markdown that are written from tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 120
# Beginnings of lines that may not be broken: rows of tables, headings, pictures, comments.
WHOLE = ("|", "#", "!", "<!--")


def wrapped(page: str) -> str:
    """The page with no line of prose longer than WIDTH; tables, headings, pictures and fenced code stay as they are."""
    lines, fenced = [], False
    for line in page.split("\n"):
        fenced ^= line.startswith("```")
        if fenced or len(line) <= WIDTH or line.startswith(WHOLE):
            lines.append(line)
            continue
        hang = "  " if line.startswith("- ") else ""
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


def grid(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table of words; a bar inside a cell, which would begin another one, becomes a slash."""
    lines = [f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
    return lines + [f"| {' | '.join(' '.join(cell.replace('|', '/').split()) for cell in row)} |" for row in rows]
