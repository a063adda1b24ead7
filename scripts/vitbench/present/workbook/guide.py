"""The sheet Read me: how to use the workbook, what each sheet holds, what each column is."""

from __future__ import annotations

import math

import pandas as pd
from xlsxwriter.worksheet import Worksheet

from vitbench.present.workbook.sheets import HEIGHT, Sheets

NAME = "Read me"
LINE = 150  # letters of a paragraph that surely fit into a line
HOW = (
    "This workbook computes its headline figures itself: median, rate, ratio, best batch size, hours, machines and cost"
    " are formulas over the sheet Runs. Change a time there, or a yellow cell on Summary, and they follow.",
    "Grey and slanted: computed by the workflow, by methods that no formula here repeats (intervals, verdicts, p"
    " values). They do not follow a change.",
    "The check on Summary, and the sheet Check behind it, compare every recalculated figure with what the workflow"
    " wrote. It says OK until somebody changes a time.",
    "The ratio is the geometric mean over the blocks of baseline seconds / candidate seconds, on the same images. Only"
    " usable repeats count: ok, on a quiet machine, steady. Where labels differ too much there is no ratio.",
    "A pair that the workflow did not compare has a ratio and no verdict: each of the two gave the labels of the"
    " workflow's own baseline.",
    "Hours, machines and cost project the measured rate onto the images that you type: a process that classifies so"
    " many more images than were measured may behave otherwise. With several machines, each starts once.",
    "The columns to the right of Summary, behind the plus sign, join its rows to the other sheets. Formulas join by the"
    " number of a cell, so that tables may be sorted and filtered.",
)
SHEETS = {
    "Summary": "the answer, and a row a variant of the full run",
    "Sweep": "throughput by batch size, on the sample",
    "Full": "the full run, each variant at its best batch size, and what it needs for more images",
    "Best batch": "best batch size: what the sweep says now, and what the full run kept",
    "Speedup": "every comparison, with its interval and verdict",
    "Break-even": "from how many images on what starts later is ahead",
    "Data set sizes": "whether the size of the data set changes the answer",
    "Total time": "total seconds as a line through data sets of several sizes",
    "Scaling": "what more workers bring",
    "Scaling laws": "how seconds follow from the number of workers",
    "Cost": "hours and money for a million images",
    "Passes": "how a process warms up",
    "Stages": "where the time of a pass goes",
    "Physics": "throughput as a share of what the machine can do",
    "Batches": "the batches that the engines got",
    "Parity": "whether both sides give the same labels",
    "Disagreements": "images to which they do not",
    "Replication": "the published comparisons with ours beside them",
    "Replication curves": "the published curves by batch size with ours beside them",
    "Cells": "every cell that was measured",
    "Runs": "one row a repeat; everything else follows from it",
    "Blocks": "seconds of each cell in each block, in the order of their numbers",
    "Sizes": "how the best batch size is chosen",
    "Check": "recalculated figures beside what the workflow wrote",
    "Sustained": "whether a rate holds through a long repeat",
    "Images": "forms of the images, and what was left out",
    "Time budget": "where the time of the whole run went",
    "Environment": "machine, versions, model and data",
}


def write(sheets: Sheets, sheet: Worksheet, headings: dict[str, str]) -> None:
    """Fill the sheet, after all others were written.

    Args:
        headings: of the sheets that no list here knows.
    """
    known = SHEETS | headings
    there = [one.name for one in sheets.book.worksheets() if one.name != NAME]
    rows = pd.DataFrame(
        [[one.sheet, one.column, one.kind, one.meaning] for name in there for one in sheets.explained
         if one.sheet == name], columns=["sheet", "column", "kind", "meaning"],
    )  # fmt: skip
    top = 3 + len(HOW) + 2 + len(there) + 3
    sheets.table(NAME, "What this workbook is, and what each column means", "kind: formula; computed by the workflow;"
                 " yours (to be typed); empty: a value from the records", rows, meanings=MEANINGS, frozen=False,
                 sheet=sheet, top=top)  # fmt: skip
    for place, width in enumerate((22, 34, 26, 110)):
        sheet.set_column(place, place, width)
    for row, words in enumerate(HOW, start=3):
        sheet.merge_range(row, 0, row, 3, "", sheets.paragraph)
        sheet.write_string(row, 0, words, sheets.paragraph)
        sheet.set_row(row, HEIGHT * math.ceil(len(words) / LINE))
    row = 3 + len(HOW) + 1
    sheet.write_string(row, 0, "Sheets", sheets.bold)
    for down, name in enumerate(there, start=row + 1):
        sheet.write_url(down, 0, f"internal:'{name}'!A1", sheets.link, name)
        sheet.write_string(down, 1, known.get(name, ""))
    sheet.write_string(top - 1, 0, "Columns", sheets.bold)


MEANINGS = {"sheet": "name of the sheet", "column": "header of the column", "kind": "where its values come from"}
