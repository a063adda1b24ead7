"""The process that is one repeat: start, load, pass 0 (cold), warm-up, timed passes, describe, close.

A profiling repeat is the same process, with instrumented passes after the timed ones.

It is started afresh by `vitbench.measure.supervisor` as `python -m vitbench.measure.harness TASK.json`, reports each
step as one line of JSON in `events.jsonl` and writes the predictions of the last pass to `predictions.csv`, both in its
working folder. It may die at any moment; the supervisor then makes the record of what is there.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from vitbench.errors import UserError, without_nodes
from vitbench.files import HOME, safe_cell
from vitbench.frameworks import Adapter, Prediction, Task, Unavailable
from vitbench.measure.counters import Spans
from vitbench.measure.energy import Meter
from vitbench.measure.processes import own_processes
from vitbench.steady import Course, Pass, Passes

INSTRUMENTED_PASSES = 3
# What the kernel calls a process's memory that is in RAM now, and the most of it that there was.
RESIDENT, HIGHEST = "VmRSS", "VmHWM"
# After which an adapter that does not come to its close is left to whoever kills what is left of its process.
CLOSING_SECONDS = 10.0
# Exit status for a mistake in our own code: the job must fail, not the cell.
BUG = 70

# What the libraries and the kernel say when memory is not enough, in lower case.
OUT_OF_MEMORY = (
    "out of memory",
    "outofmemoryerror",
    "cannot allocate memory",
    "can't allocate memory",
    "std::bad_alloc",
    "memoryerror",
    "could not reserve enough space",
    "insufficient memory",
    "failed to map segment",
    "errno=12",
    # ONNX Runtime's and TensorFlow's own words.
    "failed to allocate memory",
    "oom when allocating",
)


def says_out_of_memory(text: str) -> bool:
    """Whether an error message means that memory was not enough."""
    return any(phrase in text.lower() for phrase in OUT_OF_MEMORY)


def check_pass(predictions: list[Prediction], wanted: list[str]) -> dict[str, Any]:
    """Count what one pass gave: images with exactly one prediction, lost ids, ids answered twice, unknown ids."""
    seen: dict[str, int] = {}
    for prediction in predictions:
        seen[prediction.id] = seen.get(prediction.id, 0) + 1
    return {
        "valid": sum(seen.get(image) == 1 for image in wanted),
        "lost": [image for image in wanted if image not in seen],
        "duplicated": [image for image in wanted if seen.get(image, 0) > 1],
        "unknown": sorted(seen.keys() - set(wanted)),
    }


def run_passes(
    adapter: Adapter,
    wanted: list[str],
    limits: Passes,
    meters: Sequence[Meter | Spans],
    report: Callable[..., None],
    short: int = 0,
) -> tuple[list[Prediction], Course]:
    """Run passes until the timed ones have ended, reporting each; returns the last pass's predictions and the course.

    `meters` get the spans of the timed passes. So many `short` passes follow pass 0, unless that alone took as long as
    all passes may: planning is nothing beside such a pass.
    """
    course = Course(limits, len(wanted))
    labels: dict[str, str] = {}
    settling, collecting = adapter.settling_seconds(), adapter.collecting_seconds()
    # What was lost before the first pass is no pass's.
    faults = getattr(adapter, "faults", dict)
    faults()
    more = True
    while more:
        predictions: list[Prediction] = []
        first, timed = None, course.begin
        for meter in meters if timed is not None else ():
            meter.start()
        begin = time.perf_counter()
        for prediction in adapter.classify():
            if first is None and adapter.streams:
                first = time.perf_counter() - begin
            predictions.append(prediction)
        seconds = time.perf_counter() - begin
        # From here on the clock is off.
        for meter in reversed(meters) if timed is not None else ():
            meter.stop()
        settled, settling = settling, adapter.settling_seconds()
        collected, collecting = collecting, adapter.collecting_seconds()
        lost = faults()
        # What a pass wrote is its answer as well.
        written = list(adapter.written())
        predictions += written
        more = course.add(Pass(seconds, settling - settled))
        for meter in meters if course.begin != timed else ():
            meter.forget()
        now = {prediction.id: prediction.label for prediction in predictions}
        changed = sorted(image for image in now if labels.get(image, now[image]) != now[image])
        facts = {"seconds": seconds, "settling_seconds": settling - settled, "first": first, "changed": changed}
        facts["collecting_seconds"] = None if collecting is None else collecting - collected
        facts |= {"memory_mb": memory_mb(RESIDENT), "celsius": hottest_celsius()} | lost
        report("pass", **facts, **check_pass(predictions, wanted))
        labels = now
        shorten = short > 0 and len(course.passes) == 1 and seconds < limits.most_seconds
        if shorten:
            report("short passes", **short_passes(adapter, short, limits.most_seconds))
        if shorten or written:
            # Neither these nor what reads the answers back are part of a pass.
            settling, collecting = adapter.settling_seconds(), adapter.collecting_seconds()
    return predictions, course


def short_passes(adapter: Adapter, most: int, most_seconds: float) -> dict[str, Any]:
    """Make so many passes over a few images, fewer if they take so long; what they held and took, as a record says."""
    settled, begin = adapter.settling_seconds(), time.perf_counter()
    count, images, seconds = 0, 0, 0.0
    while count < most and seconds < most_seconds:
        images += adapter.short_pass()
        count, seconds = count + 1, time.perf_counter() - begin
    return {
        "count": count,
        "images": images,
        "seconds": seconds,
        "settling_seconds": adapter.settling_seconds() - settled,
    }


def memory_mb(counted: str) -> float | None:
    """Sum (MB of 2^20 bytes) of what the kernel counts as `counted` for this repeat's processes, where it does.

    They are this process, its descendants, and what they started that hangs elsewhere by now; all that live at this
    moment. Shared pages are held by each: the sum is an upper bound for those. The high-water marks (HIGHEST) may lie
    at different moments, too.
    """
    if not Path("/proc/self/status").exists():
        return None
    total = 0
    for process in own_processes():
        with suppress(OSError):  # gone meanwhile
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith(f"{counted}:"))
    return round(total / 1024, 1)


def hottest_celsius() -> float | None:
    """The temperature of the hottest sensor, where this system shows any."""
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    return max((one.current for each in sensors.values() for one in each), default=None)


def is_our_bug(error: Exception) -> bool:
    """Whether an exception was raised by a line of vitbench itself rather than inside a framework it called.

    Native code has no frame of its own: what torch's says seems to come from the line that called it. It is known by
    its class, or by its words.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, (Unavailable, UserError, MemoryError)) or says_out_of_memory(str(error)):
        return False
    if not type(error).__module__.startswith(("builtins", "vitbench.")):
        return False
    return Path(frames[-1].filename).is_relative_to(HOME / "scripts")


def tell_failure(error: Exception, report: Callable[..., None]) -> int:
    """Print what went wrong and report it, if it is a result; the exit status of this process."""
    traceback.print_exception(error)
    if is_our_bug(error):
        return BUG
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    text = " ".join(f"{kind}{error}".split())
    report("failed", status="oom" if says_out_of_memory(text) else "error", reason=without_nodes(text)[:500])
    return 0


def measured(adapter: Adapter, meter: Meter, whole: Spans, timed: Spans) -> dict[str, Any]:
    """What an ordinary repeat has used by the end of its passes, where the span of the `whole` repeat ends."""
    whole.stop()
    cpu = {"during": whole.counted, "timed": timed.counted}
    used = {"peak_gpu_memory_mb": meter.gpu_memory_mb(), "energy": meter.energy()}
    memory = memory_mb(HIGHEST) if getattr(adapter, "helpers_stay", True) else None
    return {"cpu": cpu, "peak_memory_mb": memory} | used


def profiled(adapter: Adapter, course: Course) -> dict[str, Any]:
    """Instrumented passes of a warm adapter, between two ordinary ones; none of these times is part of a record."""
    profile = adapter.profile(INSTRUMENTED_PASSES)
    begin = time.perf_counter()
    for _prediction in adapter.classify():
        pass
    after = time.perf_counter() - begin
    return {"plain_seconds": [course.passes[-1].seconds, after], **profile}


def close(adapter: Adapter) -> None:
    """Close an adapter whose answers are safe, the last thing that a process of its own does.

    Nobody waits for one that hangs here, or keeps Python from ending: this process ends then, with status 0. What goes
    wrong is printed and no more, since whatever is left is killed with this process.
    """
    leaving = threading.Timer(CLOSING_SECONDS, os._exit, (0,))
    leaving.daemon = True
    leaving.start()
    try:
        adapter.close()
    except Exception as error:
        traceback.print_exception(error)


def main(arguments: list[str]) -> int:
    """Run the repeat that the task file describes; 0 if its end, good or bad, stands in the events."""
    job = json.loads(Path(arguments[0]).read_text())
    task, launched = Task(**job["task"]), job["launched"]
    whole, timed = Spans(), Spans()
    whole.start()
    with open("events.jsonl", "w") as events:

        def report(event: str, **facts: Any) -> None:
            events.write(json.dumps({"event": event, **facts}) + "\n")
            events.flush()

        adapter = importlib.import_module(job["adapter"]).Adapter(task)
        meter = Meter(task.device)
        try:
            adapter.start()
            report("started", seconds=time.monotonic() - launched)
            begin = time.perf_counter()
            adapter.load()
            report("loaded", seconds=time.perf_counter() - begin)
            wanted = [image for image, _ in task.images]
            predictions, course = run_passes(
                adapter, wanted, Passes(**job["passes"]), (timed, meter), report, job["short_passes"]
            )
            facts = profiled(adapter, course) if job["profile"] else measured(adapter, meter, whole, timed)
            description = adapter.describe()
        except Exception as error:  # whatever a framework throws is a result; our own mistakes are not
            return tell_failure(error, report)
        with open("predictions.csv", "w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            writer.writerow(Prediction._fields)
            # A label comes from a model that anybody may have made.
            writer.writerows((image, safe_cell(label), score) for image, label, score in sorted(predictions))
        report("done", **facts, **description)
    # What was measured is told.
    close(adapter)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Exception:  # `main` catches all that a framework throws, so this is ours
        traceback.print_exc()
        sys.exit(BUG)
