"""The flags of a record: what is wrong with a repeat that worked, in the words of records and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.steady import UNSTEADY

if TYPE_CHECKING:
    import pandas

# The machine was not left to it.
SUSPECT = "suspect"
# A cluster lost an executor, or did a task again.
WORK_LOST = "work lost"
# No claim rests on a repeat that bears one of these.
NOT_FOR_CLAIMS = (SUSPECT, UNSTEADY, WORK_LOST)
# A pass after the first answered for fewer images than there are: it is fast for the wrong reason.
IMAGES_LOST = "images lost"
CHANGED = "labels changed between passes"
NOT_REACHED = "batch size not reached"


def bears(runs: pandas.DataFrame, *flags: str) -> pandas.Series:
    """Which rows of the runs table, or of another with its column `flags`, bear any of these."""
    given = runs["flags"].fillna("").str.split(";")
    return given.map(lambda found: any(flag in found for flag in flags)).astype(bool)
