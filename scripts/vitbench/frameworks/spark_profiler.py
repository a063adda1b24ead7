"""Timers inside Spark's tasks, for a framework of Python: put in for the profiled passes and taken out again.

The stages are those of a batch in a Python worker (`vitbench.frameworks.stages`). Tasks work at the same time: `other`
is Spark's own work, and slots that wait for the last task.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from vitbench.frameworks import Task
from vitbench.frameworks.spark_tasks import Adapter, Share, batches, own
from vitbench.frameworks.stages import Stopwatch, pass_of_slots, timers_of_batches

METHOD = "timers"


def profile(adapter: Adapter, passes: int) -> dict[str, Any]:
    """Profile passes of a warm adapter; see `vitbench.frameworks`. `details` has the seconds of each task."""
    profiled, tasks = [], []
    for _ in range(passes):
        begin = time.perf_counter()
        told = adapter.in_each(timed)
        profiled.append(pass_of_slots(told, adapter.slots, time.perf_counter() - begin))
        tasks.append([sum(one.values()) for one in told])
    return {"method": METHOD, "passes": profiled, "details": {"task_seconds": tasks}}


def timed(module: str, task: Task, given: Iterable[Share]) -> Iterator[dict[str, float]]:
    """Classify as `spark_tasks.classify` does; the seconds of each stage in this task."""
    adapter, watch = own(module, task), Stopwatch()
    with timers_of_batches(adapter, lambda: watch):
        for batch in batches(task, given):
            with watch.stage("postprocess"):
                adapter.answer([path for _, path in batch])
    yield watch.seconds
