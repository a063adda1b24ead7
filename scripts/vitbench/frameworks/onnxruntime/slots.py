"""What an engine that works in slots takes of a machine's cores."""

from __future__ import annotations

from typing import Any

SETTINGS = {
    "threads_a_slot": {
        "oneOf": [{"enum": ["cores"]}, {"type": "integer", "minimum": 1}],
        "description": "of one batch; as many batches at a time as go into the cores",
    },
    "slots": {
        "type": "integer",
        "minimum": 1,
        "description": "batches at a time, at most; left out: as many as go into the cores",
    },
}


def slots_and_threads(definition: dict[str, Any], cores: int) -> tuple[int, int]:
    """How many batches a variant works on at a time, and how many threads each has, on so many cores.

    No more threads than cores, and at least one slot.
    """
    wanted = definition["threads_a_slot"]
    threads = cores if wanted == "cores" else min(wanted, cores)
    fit = max(1, cores // threads)
    return min(fit, definition.get("slots", fit)), threads
