"""Timers in the slots of an engine: put in for the profiled passes and taken out again.

The stages are those of a batch in its slot (`vitbench.frameworks.stages`), for OpenVINO too. Slots work at the same
time: `other` is what hands out the batches, and slots that have none left.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import Any

from vitbench.frameworks.stages import Stopwatch, pass_of_slots, replaced, timers_of_batches

METHOD = "timers"


def profile(adapter: Any, passes: int) -> dict[str, Any]:
    """Profile passes of a warm adapter; see `vitbench.frameworks`. `details` has the seconds of each slot."""
    profiled, slots, answer = [], [], adapter.answer
    for _ in range(passes):
        watches: defaultdict[int, Stopwatch] = defaultdict(Stopwatch)

        def watch(of: defaultdict[int, Stopwatch] = watches) -> Stopwatch:
            return of[threading.get_ident()]

        def timed(paths: list[str], watch: Any = watch) -> Any:
            with watch().stage("postprocess"):
                return answer(paths)

        with timers_of_batches(adapter, watch), replaced(adapter, "answer", timed):
            begin = time.perf_counter()
            for _prediction in adapter.classify():
                pass
            seconds = time.perf_counter() - begin
        told = [one.seconds for one in watches.values()]
        profiled.append(pass_of_slots(told, adapter.slots, seconds))
        slots.append([sum(one.values()) for one in told])
    return {"method": METHOD, "passes": profiled, "details": {"slot_seconds": slots}}
