"""How far a long job is: a bar where a person looks, a line now and then in the log."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, TextIO

SECONDS_BETWEEN_LINES = 10.0
# Standard error as it was before a job's output went to its log; None where it was not moved.
terminal: TextIO | None = None


def keep_terminal() -> None:
    """Remember where standard error goes now; called before it is pointed at a log."""
    global terminal
    terminal = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace", buffering=1)


class Progress:
    """Counts up to `total`; a context manager.

    On a terminal it is a bar. Without one, a line at most every ten seconds; the log has these lines in either case.

    Args:
        what: what is being done, "opening images".
        total: number of units, None where nobody knows.
        bytes_: the units are bytes, shown as MB.
    """

    def __init__(self, what: str, total: int | None, bytes_: bool = False) -> None:
        self.what, self.total, self.scale = what, total, 1e6 if bytes_ else 1
        self.unit = " MB" if bytes_ else ""
        self.done, self.began = 0, time.monotonic()
        self.said = self.began
        self.bar = None
        stream = terminal or sys.stderr
        if stream.isatty():
            from tqdm import tqdm

            options: dict[str, Any] = (
                {"unit": "B", "unit_scale": True, "unit_divisor": 1000} if bytes_ else {"unit": ""}
            )
            # Where a terminal says that it has no columns, tqdm would draw nothing.
            options |= {"dynamic_ncols": True} if os.get_terminal_size(stream.fileno()).columns else {"ncols": 80}
            self.bar = tqdm(total=total, desc=what, file=stream, leave=False, **options)
        # The log, if there is one, and whoever reads Snakemake's output where no bar can be drawn.
        self.streams = [sys.stderr] if self.bar is None or terminal else []
        if terminal and self.bar is None:
            self.streams.append(terminal)

    def __enter__(self) -> Progress:
        return self

    def start_at(self, done: int, total: int | None) -> None:
        """So much was there before (0: everything is begun again) of a total that is known only now."""
        self.done, self.total = done, total
        if self.bar is not None:
            self.bar.n = self.bar.initial = done
            self.bar.total = total
            self.bar.refresh()

    def step(self, units: int = 1) -> None:
        """So many units more are done."""
        self.done += units
        if self.bar is not None:
            self.bar.update(units)
        if time.monotonic() - self.said >= SECONDS_BETWEEN_LINES:
            self._say()

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
        if self.said > self.began:
            self._say()  # who read that it goes on reads that it ended

    def _say(self) -> None:
        self.said = time.monotonic()
        total = f" of {self.total / self.scale:,.0f}" if self.total else ""
        line = f"{self.what}: {self.done / self.scale:,.0f}{total}{self.unit}, {self.said - self.began:.0f} s"
        for stream in self.streams:
            print(line, file=stream, flush=True)
