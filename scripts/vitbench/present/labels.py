"""How cells, numbers and failures are written in charts and workbook. No drawing library here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from vitbench.analysis import fairness
from vitbench.cells import BEST, LEAST_BLOCKS, NAME_COLUMNS, cell_name
from vitbench.flags import NOT_REACHED, WORK_LOST, bears
from vitbench.series.published import ONE_RUN

DEVICES = {"cpu": "CPU", "gpu": "GPU"}
LONGEST_NAME = 52


def variant_name(framework: str, variant: str) -> str:
    """`framework/variant`; the middle of a very long name is left out."""
    name = f"{framework}/{variant}"
    if len(name) <= LONGEST_NAME:
        return name
    head = LONGEST_NAME * 2 // 3
    return f"{name[:head]}…{name[head + 1 - LONGEST_NAME :]}"


def variant_of(cell: Any) -> str:
    """The variant of a cell, or of a row of a table."""
    return variant_name(cell.framework, cell.variant)


def name_of(cell: Any) -> str:
    """Its variant and batch size."""
    return f"{variant_of(cell)}, {size_words(cell.batch_size)}"


def hardware_of(cell: Any) -> str:
    """Its device and, on a cluster, its workers: "CPU", "GPU, 4 workers"."""
    device = DEVICES.get(cell.device, cell.device)
    return device if cell.workers == 1 else f"{device}, {cell.workers:.0f} workers"


def variants_apart(frame: pd.DataFrame) -> list[str]:
    """The variant of each row of a table, with its hardware where the table has several: no two read alike for that."""
    several_of_them = len(frame[["device", "workers"]].drop_duplicates()) > 1
    rows = frame.itertuples(index=False)
    return [f"{variant_of(row)}, {hardware_of(row)}" if several_of_them else variant_of(row) for row in rows]


def by_hardware(cells: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, pd.DataFrame]]:
    """Cells (name → rows of the runs table) by what they ran on, in words: only within these are they compared.

    One worker with half of a machine's cores is on other hardware than two of them, which are on that of one node.
    """
    groups: dict[tuple[Any, ...], dict[str, pd.DataFrame]] = {}
    for name, repeats in cells.items():
        groups.setdefault(fairness.hardware_of(repeats.iloc[0]), {})[name] = repeats
    devices = [device for device, _, _ in groups]
    found = {}
    for (device, cores, machines), members in groups.items():
        words = [DEVICES.get(device, device)]
        if isinstance(cores, tuple):  # nobody wrote the cores down
            words += [f"{cores[1]:.0f} workers"] if cores[1] != 1 else []
        elif devices.count(device) > 1:
            words.append(several(cores, "core"))
        words += [f"{machines:.0f} machines"] if machines != 1 else []
        found[", ".join(words)] = members
    return found


def part_of_machine(row: Any) -> str:
    """`hardware_of` a row of the table `advice`, and its cores where they are a part of the machine's."""
    some = math.isfinite(row.used_cores) and math.isfinite(row.cores) and row.used_cores < row.cores
    return hardware_of(row) + (f", {row.used_cores:.0f} of {row.cores:.0f} cores" if some else "")


def cell_names(table: pd.DataFrame) -> pd.Series:
    """`framework/variant/device/wN/bsN` of each row of a table with those columns."""
    rows = table[NAME_COLUMNS].to_dict("records")
    return pd.Series(list(map(cell_name, rows)), index=table.index, dtype=str)


def terms_of(row: Any) -> str:
    """What a row of the table `speedup` is grouped under: its fairness label; of A/A and published rows, why it is."""
    return row.fairness or row.comparison


def number(value: float) -> str:
    """A measured quantity with about three digits, never in exponent form; "–" where there is none."""
    if not math.isfinite(value):
        return "–"
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{decimals}f}"


def end(value: float) -> str:
    """An end of an interval as `number` writes it, but one beside 1 with as many digits as tell the side: "1.005"."""
    written, digits = number(value), 3
    while math.isfinite(value) and value != 1 and float(written) == 1:
        written, digits = f"{value:.{digits}f}", digits + 1
    return written


def interval(ratio: float, low: float, high: float, blocks: float = LEAST_BLOCKS) -> str:
    """A quantity with its 95% interval: "1.13 [1.06, 1.18]".

    One that `compare` made of fewer than LEAST_BLOCKS blocks has no interval but their range, and is written so.
    """
    if not math.isfinite(ratio + low + high):
        return number(ratio)
    if blocks < LEAST_BLOCKS:
        ends = f"range {end(low)} to {end(high)} of {blocks:.0f}" if blocks > 1 else "1 block"
        return f"{number(ratio)} ({ends})"
    return f"{number(ratio)} [{end(low)}, {end(high)}]"


def brackets(low: float, high: float, form: Callable[[float], str] = end) -> str:
    """ " [1.06, 1.18]", the ends of a ratio's interval, or of few blocks' range; "" of one block, which has neither.

    Ends of seconds and the like, to which 1 is no border, have the form `number`.
    """
    known = math.isfinite(low + high) and low != high
    return f" [{form(low)}, {form(high)}]" if known else ""


def number_of(count: float) -> str:
    """A count as an integer; "–" where there is none."""
    return f"{count:.0f}" if math.isfinite(count) else "–"


def several(count: float, what: str) -> str:
    """A count of things in words: "1 block", "5 blocks"."""
    return f"{count:.0f} {what}{'' if count == 1 else 's'}"


def percentage(share: float) -> str:
    """A share as per cent, to a tenth of it, but that 100% means every one; "–" where there is none."""
    if not math.isfinite(share):
        return "–"
    per_mille = round(share * 1000) if share > 1 - 1e-9 else min(round(share * 1000), 999)
    return f"{per_mille // 10}%" if per_mille % 10 == 0 else f"{per_mille / 10:.1f}%"


def size_words(size: float | str) -> str:
    """A batch size in words; NaN, or `best`, where no batch size of the sweep worked."""
    return f"batch size {size:.0f}" if size != BEST and math.isfinite(size) else "no batch size"


def stated_size(cell: Any, verdict: str) -> str:
    """The batch size of one side of a comparison; an article's run, of which there is one, may not state it."""
    return "batch size not stated" if cell.batch_size == BEST and verdict == ONE_RUN else size_words(cell.batch_size)


def size_list(sizes: Iterable[int], all_sizes: Sequence[int]) -> str:
    """Batch sizes in words: neighbours on the grid `all_sizes` as a span: "1, 64 to 512"."""
    positions = sorted(all_sizes.index(size) for size in set(sizes))
    spans: list[list[int]] = []
    for position in positions:
        if spans and position == spans[-1][-1] + 1:
            spans[-1].append(position)
        else:
            spans.append([position])
    words = []
    for span in spans:
        first, last = all_sizes[span[0]], all_sizes[span[-1]]
        words.append(f"{first} to {last}" if len(span) > 2 else ", ".join(str(all_sizes[place]) for place in span))
    return ", ".join(words)


def count(values: pd.Series) -> str:
    """Repeats a cell in words: "3", or "2 to 3" where the cells differ."""
    values = values.dropna()
    if values.empty:
        return "0"
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"


def daggered(flags: str) -> bool:
    """Whether a cell bears a flag that a dagger explains; a batch size out of reach has a mark of its own."""
    return any(flag not in ("", NOT_REACHED) for flag in flags.split(";"))


def why_aside(rows: pd.DataFrame) -> str:
    """Why repeats are set aside, in words; what only a cluster does is named where any of the flags says so."""
    if bears(rows, WORK_LOST).any():
        return "suspect, without a steady state or with work lost on a cluster"
    return "suspect or without a steady state"


def aside_note(summary: pd.DataFrame) -> str:
    """How many ok repeats of these cells were set aside, and what became of cells that have no other; "" for none."""
    aside = summary["set_aside"].fillna(0)
    if not aside.sum():
        return ""
    alone = [name for name, repeats in zip(cell_names(summary), summary["repeats"], strict=True) if not repeats]
    note = (
        f"Hollow dots: repeats set aside as {why_aside(summary)}, {aside.sum():.0f} of"
        f" {(aside + summary['repeats']).sum():.0f}; they are in no median, range or verdict."
    )
    return note + (f" Nothing but such repeats, hence no mark: {_some(alone)}." if alone else "")


def flag_notes(summary: pd.DataFrame, hollow: bool = False) -> list[str]:
    """One sentence a flag: which cells of `summary` bear it.

    `hollow`: the chart draws cells of the sample whose batch size was not reached with a hollow mark, not a dagger.
    """
    bearers: dict[str, list[str]] = {}
    for name, dataset, flags in zip(cell_names(summary), summary["dataset"], summary["flags"], strict=True):
        for flag in filter(None, (part.strip() for part in flags.split(";"))):
            unfilled = hollow and dataset == "sample" and flag == NOT_REACHED
            sign = "Hollow mark, no batch was as large as asked for" if unfilled else f"† {flag}"
            bearers.setdefault(sign, []).append(name)
    return [f"{sign}: {_some(names)}." for sign, names in bearers.items()]


def failure_notes(runs: pd.DataFrame) -> list[str]:
    """One sentence a variant, device, status and reason of the repeats that gave no number."""
    failed = runs[runs["status"] != "ok"]
    sizes = sorted(runs["batch_size"].dropna().astype(int).unique().tolist())
    notes = []
    for (framework, variant, device, status, reason), group in failed.groupby(
        ["framework", "variant", "device", "status", "reason"], sort=False
    ):
        what = f"{variant_name(framework, variant)}, {DEVICES.get(device, device)}: {status}"
        if status != "skipped":
            at = group["batch_size"].dropna().astype(int)
            what += f" at batch size {size_list(at, sizes)}" if len(at) else " in the full run"
            what += f", {several(len(group), 'repeat')}"
        notes.append(f"{what} ({_shorten(reason)})." if reason else f"{what}.")
    return notes


def _some(names: list[str], most: int = 4) -> str:
    names = list(dict.fromkeys(names))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _shorten(text: str, most: int = 160) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= most else text[: most - 1] + "…"
