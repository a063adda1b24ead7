"""A valid profile for the tests of what is made of profiles."""

from __future__ import annotations

from typing import Any

from example_records import KNOWN

from vitbench.measure import profiles


def example_profile(passes: list[float], shares: dict[str, float], **changes: Any) -> dict[str, Any]:
    """A profile of the example cell on the full data set: passes of these seconds, spent by `shares`."""
    known = {key: KNOWN[key] for key in profiles.KNOWN} | {"dataset": "full"}
    stages = [{stage: share * seconds for stage, share in shares.items()} for seconds in passes]
    profile = (
        {"schema": 1}
        | known
        | {
            "started": "2026-11-24T14:01:02+00:00",
            "status": "ok",
            "reason": None,
            "method": "timers",
            "plain_seconds": passes[:1],
            "passes": [{"seconds": one, "stages": spent} for one, spent in zip(passes, stages, strict=True)],
            "details": {},
            "accelerator": "cpu",
            "precision": "float32",
            "setting": "one line",
            "slots": 1,
            "versions": {"fake": "1.0"},
            "sampled_peak_memory_mb": 900.0,
            "total_seconds": 30.0,
        }
    )
    return profile | changes
