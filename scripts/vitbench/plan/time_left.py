"""One line of progress a repeat: where it stands in the whole, what it found, and how long the rest will take."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from vitbench.cells import Cell
from vitbench.plan import estimate
from vitbench.plan.grid import Grid
from vitbench.records.record import seconds_taken

BAR = 20  # characters
# Seconds beside its record that a repeat may take; beyond, it waited for somebody else's measurement.
MOST_BESIDE = 30.0
BOLD, DIM, GREEN, YELLOW, RED, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"


def line(
    grid: Grid, cell: Cell, block: int, record: Mapping[str, Any], spent: float, rich: bool, now: float | None = None
) -> str:
    """What is said of a repeat that has just been recorded, in the working directory of its run.

    Args:
        spent: seconds that the repeat took all in all, waiting and hashing included.
        rich: for a terminal: a bar, and colours that say what the words say too.
        now: seconds since the epoch.
    """
    left = estimate.missing(grid)
    total, done = len(grid.order), len(grid.order) - len(left)
    where = f"block {block + 1} of {grid.repeats(cell.dataset)}, {cell.name} on {cell.dataset}"
    if record["status"] == "ok":
        color, found = GREEN, f"{record['throughput']:.2f} images/s"
    else:
        color, found = RED, f"{record['status']}: {record['reason']}"
    if record["flags"]:
        color, found = YELLOW if record["status"] == "ok" else RED, f"{found} ({', '.join(record['flags'])})"
    rest = "the last one"
    if left:
        # What a repeat takes beside its record (start of Python, hashes, Snakemake) goes on in each that is left.
        beside = min(MOST_BESIDE, max(0.0, spent - seconds_taken(record)))
        seconds = seconds_left(grid, left) + beside * len(left)
        end = time.strftime("%H:%M", time.localtime((time.time() if now is None else now) + seconds))
        rest = f"about {estimate.duration(seconds)} left" + (f", until {end}" if seconds < 20 * 3600 else "")
    if not rich:
        return f"{done} of {total}: {where}: {found}; {rest}"
    full = BAR * done // total
    bar = f"{'█' * full}{DIM}{'░' * (BAR - full)}{PLAIN}"
    return f"{bar} {done}/{total} {where}: {BOLD}{color}{found}{PLAIN}; {rest}"


def seconds_left(grid: Grid, left: list[tuple[Cell, int]]) -> float:
    """About how long these repeats will take: each as its cell's last records, the others by the estimate."""
    known: dict[Cell, float | None] = {}
    for cell, _ in left:
        if cell not in known:
            taken = [seconds_taken(_read(path)) for path in estimate.latest(grid, cell)]
            known[cell] = mean(taken) if taken else None
    others = [(cell, block) for cell, block in left if known[cell] is None]
    return sum(known[cell] or 0.0 for cell, _ in left) + estimate.seconds(grid, others, _read)


def _read(path: Path) -> dict[str, Any]:
    """A record, unchecked: it was checked when it was written, and to check hundreds each time takes seconds."""
    return json.loads(path.read_text(encoding="utf-8"))
