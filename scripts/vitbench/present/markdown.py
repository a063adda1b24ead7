"""Pages of Markdown that are written from tables, and blocks of such text in pages that people write."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence

from vitbench.errors import UserError

WIDTH = 120
# Beginnings of lines that may not be broken: rows of tables, headings, pictures, comments.
WHOLE = ("|", "#", "!", "<!--")
# A block that is made of data, in a page that is not: `<!-- from SOURCE: WHAT -->`, lines, `<!-- end -->`.
BEGIN, END = "<!-- from ", "<!-- end -->"
BLOCK = re.compile(
    rf"^(?P<begin>{BEGIN}(?P<source>[^:\n]+): (?P<what>[^\n]+?) -->\n)(?P<lines>.*?)^{END}$", re.MULTILINE | re.DOTALL
)


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


def blocks(page: str) -> list[tuple[str, str]]:
    """(source, what) of each block of a page, in their order.

    Raises:
        UserError: a block does not end before the next one begins, or at all.
    """
    found = list(BLOCK.finditer(page))
    begun = len(re.findall(f"^{BEGIN}", page, re.MULTILINE))
    if begun != len(found) or len(re.findall(f"^{END}$", page, re.MULTILINE)) != begun:
        raise UserError(f"a block of generated text begins `{BEGIN}SOURCE: WHAT -->` and ends `{END}`: put both back")
    return [(block["source"], block["what"]) for block in found]


def filled(page: str, source: str, write: Callable[[str], str]) -> str:
    """The page with every block of `source` written anew; all else, blocks of other sources included, stays.

    Args:
        write: what the block holds, as its marker says it → its text, ending in a line break.

    Raises:
        UserError: a block of the page does not end.
    """
    blocks(page)

    def replaced(block: re.Match[str]) -> str:
        if block["source"] != source:
            return block[0]
        return f"{block['begin']}{write(block['what'])}{END}"

    return BLOCK.sub(replaced, page)
