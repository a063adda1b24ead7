"""Timers inside Spark's tasks, for a framework of Python: put in for the profiled passes and taken out again.

The stages are those of a batch in a Python worker: read is a file's bytes; decode is opening, turning by EXIF and
converting; preprocess the image processor and the collation of the batch; forward the model; postprocess the rest,
softmax and labels. Tasks work at the same time, so seconds of all tasks together are divided by the slots: then the
stages are wall seconds, and `other`, the rest of the pass, is Spark's own work and slots that wait for the last one.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from vitbench.frameworks import Task
from vitbench.frameworks.spark_tasks import Adapter, Share, batches, own
from vitbench.frameworks.stages import STAGES, Stopwatch, replaced

METHOD = "timers"


def profile(adapter: Adapter, passes: int) -> dict[str, Any]:
    """Profile passes of a warm adapter; see `vitbench.frameworks`. `details` has the seconds of each task."""
    profiled, tasks = [], []
    for _ in range(passes):
        begin = time.perf_counter()
        told = adapter.in_each(timed)
        seconds = time.perf_counter() - begin
        stages = {stage: sum(one[stage] for one in told) / adapter.slots for stage in STAGES}
        stages["other"] = max(0.0, seconds - sum(stages.values()))
        profiled.append({"seconds": seconds, "stages": stages})
        tasks.append([sum(one.values()) for one in told])
    return {"method": METHOD, "passes": profiled, "details": {"task_seconds": tasks}}


def timed(module: str, task: Task, given: Iterable[Share]) -> Iterator[dict[str, float]]:
    """Classify as `spark_tasks.classify` does; the seconds of each stage in this task."""
    adapter, watch = own(module, task), Stopwatch()
    with _timers(adapter, watch):
        for batch in batches(task, given):
            with watch.stage("postprocess"):
                adapter.answer([path for _, path in batch])
    yield watch.seconds


@contextmanager
def _timers(adapter: Any, watch: Stopwatch) -> Iterator[None]:
    """Time what `answer` calls, while the block runs."""

    def load_image(path: str, original: Callable[..., Any] = adapter.load_image) -> Any:
        import PIL.Image

        with watch.stage("read"), open(path, "rb") as handle:
            content = handle.read()
        with watch.stage("decode"):
            return original(PIL.Image.open(io.BytesIO(content)))

    with ExitStack() as stack:
        stack.enter_context(replaced(adapter, "load_image", load_image))
        for name, stage in (("pixels_of", "preprocess"), ("forward", "forward")):
            stack.enter_context(replaced(adapter, name, watch.timed(stage, getattr(adapter, name))))
        yield
