"""What the workbook computes itself: tables with the workflow's values and, column by column, the formula of each.

All formulas come down to the sheet Runs. They join by numbers: each cell of the summary has one, its row on the sheet
Blocks, so that tables may be sorted and no name from the data stands in a formula. Only functions that Excel 2010 and
LibreOffice both know, and array formulas for what has a condition: MEDIAN(IF(…)). Their IF always has an else of "",
since LibreOffice would count a FALSE as 0.
"""

from vitbench.present.workbook.live.best import of_best
from vitbench.present.workbook.live.check import of_check
from vitbench.present.workbook.live.full import of_break_even, of_full, of_passes
from vitbench.present.workbook.live.repeats import by_block, cells, of_blocks, of_cells, of_runs
from vitbench.present.workbook.live.speedup import of_speedup, ratio, ratio_formula
from vitbench.present.workbook.live.table import MEANINGS, PAIR, SAME, SECONDS, Table, look_up

__all__ = [
    "MEANINGS",
    "PAIR",
    "SAME",
    "SECONDS",
    "Table",
    "by_block",
    "cells",
    "look_up",
    "of_best",
    "of_blocks",
    "of_break_even",
    "of_cells",
    "of_check",
    "of_full",
    "of_passes",
    "of_runs",
    "of_speedup",
    "ratio",
    "ratio_formula",
]
