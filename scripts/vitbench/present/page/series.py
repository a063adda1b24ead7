"""What only the page of the published numbers has: the claims of the series, its figures drawn again, its hardware."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from vitbench.present.page import pictures
from vitbench.present.page.parts import Entry, Gallery, Picture, Section, grid, of_words
from vitbench.series.claims import VERDICTS


def claims(table: pd.DataFrame) -> Section:
    """Each claim with what follows from the seconds of the posts."""
    counts = Counter(table["verdict"])
    found = f"{len(table)} claims: {', '.join(f'{counts[one]} {one}' for one in VERDICTS if counts[one])}."
    columns = {name: of_words(name) for name in ("id", "part", "claim", "stated", "recomputed")}
    columns |= {"verdict": (False, lambda row: Entry(row.verdict, warns=row.verdict == VERDICTS[2]))}
    columns |= {"from, or why not": of_words("reason"), "source": of_words("source"), "reply": of_words("reply")}
    return Section(
        "claims",
        "The claims of the series",
        (grid("Claims, recomputed", table.itertuples(index=False), columns),),
        found=found,
        read="What a post states, and the same recomputed from the seconds of the runs that it picked, by one rounding"
        " rule for all.",
        wrong="A claim that agrees follows from the published seconds. Whether those seconds would be measured again is"
        " another question: each is one run.",
    )


def figures(table: pd.DataFrame, drawn: list[Path]) -> Section:
    """The figures that could be drawn again, and those that could not, with the reason."""
    by_name = {path.stem: path for path in drawn}
    shown, missing = [], []
    for row in table.itertuples(index=False):
        if row.name in by_name:
            address = pictures.address(pictures.small(by_name[row.name]), "png")
            shown.append(Picture(address, f"Chart: {row.title} (part {row.part})", row.title, (f"part {row.part}",)))
        else:
            missing.append(row)
    columns = {"figure": of_words("title"), "part": of_words("part"), "why": of_words("reason")}
    parts = (Gallery(tuple(shown)), *((grid("Not reproducible", missing, columns),) if missing else ()))
    return Section(
        "figures",
        "The figures of the series, drawn again",
        parts,
        read="Seconds are the authors': one run a cell, no repeats, labels not compared. The shaded zone marks cells"
        " that came to the same batches, so that their spread is noise. In full size they lie in figures/ beside this"
        " page.",
        wrong="Hardware is as stated, and differs from part to part: bars of two parts are not to be compared.",
    )


def hardware(table: pd.DataFrame, repeats: pd.DataFrame) -> Section:
    """What the series states of its machines, and the noise that its accidental repeats show."""
    parts = [
        grid(caption, frame.itertuples(index=False), {name.replace("_", " "): of_words(name) for name in frame})
        for caption, frame in (
            ("Hardware and versions, as stated", table),
            ("Cells of one effective batch size: accidental repeats, the noise of the published experiment", repeats),
        )
    ]
    return Section("hardware", "Hardware as stated, and noise", tuple(parts))
