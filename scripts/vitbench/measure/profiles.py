"""Profiles: one profiling repeat of a cell from outside, and the JSON file that it leaves beside the cell's records."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from vitbench.measure.repeat import Repeat
from vitbench.measure.supervisor import alone, run_child, stoppable, what_it_said, why_failed
from vitbench.records import profile_file

KNOWN = ("machine", "protocol", "model", "dataset", "images", "framework", "variant", "device", "workers", "batch_size",
         "identity", "environment", "hashes")  # fmt: skip
MEASURED = ("method", "plain_seconds", "passes", "details", "accelerator", "precision", "setting", "slots", "versions")
SAMPLING_SECONDS = 0.1
# Looking for new processes costs milliseconds, reading the memory of known ones microseconds.
TICKS_BETWEEN_LOOKS = 20


class MemorySampler:
    """The largest sum of resident memory (MB) that a process and its descendants were seen to hold, every 100 ms.

    Pages that two of them share count twice. None where the system does not tell.
    """

    def __init__(self) -> None:
        self.peak_mb: float | None = None

    @contextmanager
    def __call__(self, pid: int) -> Iterator[None]:
        """Sample the process `pid` while the block runs."""
        done = threading.Event()
        thread = threading.Thread(target=self._sample, args=(pid, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _sample(self, pid: int, done: threading.Event) -> None:
        tick, tree = 0, []
        while not done.wait(SAMPLING_SECONDS):
            if tick % TICKS_BETWEEN_LOOKS == 0:
                with suppress(psutil.Error):
                    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            tick += 1
            total = 0
            for process in tree:
                with suppress(psutil.Error):
                    total += process.memory_info().rss
            self.peak_mb = max(self.peak_mb or 0.0, round(total / 2**20, 1))


def measure(repeat: Repeat, out: Path) -> dict[str, Any]:
    """Run one profiling repeat, alone on the machine; write its profile to `out` and return it.

    Whatever the framework does, there is a profile, with its status. Nothing is left running, nothing else on disk.

    Raises:
        RuntimeError: a mistake in vitbench itself, found in the child; nothing is written.
        UserError: the disk is full; nothing is written.
        Cancelled: this process was told to stop, or the Snakemake that ordered the repeat is gone.
    """
    folder = Path(repeat.task.temporary)
    with stoppable(), alone(folder) as ordered_by:
        begin, started = time.monotonic(), datetime.now(UTC)
        memory = MemorySampler()
        # One pass after warm-up is enough to hold the instrumented ones against.
        warm = replace(repeat, passes=replace(repeat.passes, timed=1))
        exit_status = run_child(warm, folder, ordered_by, profile=True, watch=memory)
        said, tail = what_it_said(folder, exit_status)
        events = {event["event"]: event for event in said}
        if "done" in events:
            outcome = {"status": "ok", "reason": None} | {key: events["done"][key] for key in MEASURED}
        else:
            outcome = _failed(*why_failed(repeat, events.get("failed"), exit_status, tail))
        profile = _known(repeat, started) | outcome
        profile |= {"sampled_peak_memory_mb": memory.peak_mb, "total_seconds": time.monotonic() - begin}
        profile_file.write(out, profile)
        return profile


def write_without_running(repeat: Repeat, out: Path, status: str, reason: str) -> dict[str, Any]:
    """Write the profile of a cell that cannot even be started, with its status and reason; return it."""
    profile = _known(repeat, datetime.now(UTC)) | _failed(status, reason)
    profile |= {"sampled_peak_memory_mb": None, "total_seconds": 0.0}
    profile_file.write(out, profile)
    return profile


def _known(repeat: Repeat, started: datetime) -> dict[str, Any]:
    known = {key: repeat.known[key] for key in KNOWN}
    return {"schema": 1, **known, "started": started.isoformat(timespec="seconds")}


def _failed(status: str, reason: str) -> dict[str, Any]:
    nothing = dict.fromkeys(MEASURED) | {"plain_seconds": [], "passes": [], "details": {}, "versions": {}}
    return {"status": status, "reason": reason} | nothing
