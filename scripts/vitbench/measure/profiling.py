"""The process that is one profiling repeat: start, load, ordinary passes until warm, instrumented passes, one more.

Run as `python -m vitbench.measure.profiling TASK.json`, beside `vitbench.measure.harness` and like it, but what it
times is never part of a record: its times say where the time goes.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from vitbench.frameworks import Task
from vitbench.measure.energy import Meter
from vitbench.measure.harness import BUG, run_passes, tell_failure
from vitbench.steady import Passes

INSTRUMENTED_PASSES = 3


def main(arguments: list[str]) -> int:
    """Run the profiling repeat that the task file describes; 0 if its end, good or bad, stands in the events."""
    job = json.loads(Path(arguments[0]).read_text())
    task = Task(**job["task"])
    with open("events.jsonl", "w") as events:

        def report(event: str, **facts: Any) -> None:
            events.write(json.dumps({"event": event, **facts}) + "\n")
            events.flush()

        adapter = importlib.import_module(job["adapter"]).Adapter(task)
        try:
            adapter.start()
            adapter.load()
            wanted = [image for image, _ in task.images]
            _, course = run_passes(adapter, wanted, Passes(**job["passes"]), Meter(task.device), report)
            profile = adapter.profile(INSTRUMENTED_PASSES)
            begin = time.perf_counter()
            for _prediction in adapter.classify():
                pass
            after = time.perf_counter() - begin
            description = adapter.describe()
            adapter.close()
        except Exception as error:  # whatever a framework throws is a result; our own mistakes are not
            return tell_failure(error, report)
        told = {key: description[key] for key in ("accelerator", "precision", "setting", "slots", "versions")}
        report("done", plain_seconds=[course.passes[-1].seconds, after], **told, **profile)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Exception:  # `main` catches all that a framework throws, so this is ours
        traceback.print_exc()
        sys.exit(BUG)
