"""What others took of the CPU while a repeat was measured, by the system's own counters.

What a system does not tell is None, never a guess.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import psutil

from vitbench import machine
from vitbench.measure.processes import own_processes

# A process is named as a holder of the machine from this share of one core on.
HOLDER = 0.02


def cpu_counters() -> dict[str, float | None]:
    """Seconds since some fixed moment: elapsed, busy and stolen (on the cores that this process may use), throttled.

    None where the system does not tell, or where it tells of a whole machine of which a cgroup gives us a part.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    busy = steal = None
    if machine.cores() == len(allowed):
        times = [one for number, one in enumerate(psutil.cpu_times(percpu=True)) if number in allowed]
        idle = sum(one.idle + getattr(one, "iowait", 0.0) for one in times)
        # Linux counts guest time in user time too.
        steal = sum(one.steal for one in times) if hasattr(times[0], "steal") else None
        busy = sum(sum(one) - getattr(one, "guest", 0) - getattr(one, "guest_nice", 0) for one in times) - idle
        busy -= steal or 0.0
    return {"elapsed": time.monotonic(), "busy": busy, "steal": steal, "throttled": machine.throttled_seconds()}


def tree_cpu_seconds() -> float:
    """CPU seconds of this process and of all that it started and that lives, reparented or not (`own_processes`)."""
    total = 0.0
    for process in own_processes():
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return total


def cpu_by_process() -> dict[tuple[int, float], tuple[str, float]]:
    """(pid, time of creation) → (name, CPU seconds) of every process that this user may look at."""
    found = {}
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                times = process.cpu_times()
                if process.status() == psutil.STATUS_ZOMBIE:  # dead, only not yet collected: our own JVM, mostly
                    continue
                found[process.pid, process.create_time()] = (process.name(), times.user + times.system)
        except psutil.Error:  # gone meanwhile, or another user's
            continue
    return found


def holders(before: dict, after: dict, seconds: float, ours: Iterable[int] = ()) -> list[str]:
    """Other processes that took at least HOLDER of one core in these seconds, the greediest first."""
    ours = set(ours)
    taken = sorted(
        ((after[key][1] - before.get(key, ("", 0.0))[1]) / seconds, after[key][0], key[0])
        for key in after
        if key[0] not in ours
    )
    return [f"{name} ({pid}): {share:.0%} of a core" for share, name, pid in reversed(taken) if share >= HOLDER]


class Spans:
    """What `cpu_counters` and `tree_cpu_seconds` count, added up over spans from `start` to `stop`."""

    def __init__(self) -> None:
        self.counted: dict[str, float | None] | None = None
        """seconds; None while no span has ended"""

    def start(self) -> None:
        """Begin a span, with the clock off: it looks at every process."""
        self.begun = self._read()

    def stop(self) -> None:
        """End the span that `start` began."""
        span = {name: _both(end, self.begun[name], -1) for name, end in self._read().items()}
        before = self.counted or dict.fromkeys(span, 0.0)
        self.counted = {name: _both(before[name], seconds, 1) for name, seconds in span.items()}

    def forget(self) -> None:
        """Leave all spans so far out."""
        self.counted = None

    @staticmethod
    def _read() -> dict[str, float | None]:
        return {**cpu_counters(), "own_cpu_seconds": tree_cpu_seconds()}


def _both(one: float | None, other: float | None, sign: int) -> float | None:
    """Sum or difference of two counts, of which none is below 0; None where one is not known."""
    return None if one is None or other is None else max(0.0, one + sign * other)


def taken(counted: dict[str, float | None]) -> dict[str, Any]:
    """What was taken from a repeat, by what `Spans` counted.

    `counters` are the seconds that the shares are made of, so that anybody can make them again.
    """
    cores = machine.cores()
    whole, busy, steal, own = counted["elapsed"] * cores, counted["busy"], counted["steal"], counted["own_cpu_seconds"]
    return {
        "steal_share": None if steal is None else steal / whole,
        "throttled_seconds": counted["throttled"],
        "foreign_cpu_share": None if busy is None else max(0.0, busy - own) / whole,
        "counters": {
            "elapsed": counted["elapsed"],
            "cores": cores,
            "busy": busy,
            "steal": steal,
            "own_cpu_seconds": own,
        },
    }
