"""A valid record of a repeat, and a repeat of the fake framework to be measured, for tests of what uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitbench.frameworks import Task
from vitbench.measure.limits import Limits
from vitbench.measure.repeat import Repeat
from vitbench.records.record import SCHEMA
from vitbench.steady import Passes

KNOWN: dict[str, Any] = {
    "schema": SCHEMA,
    "machine": "xeon-2",
    "protocol": 1,
    "model": "vit-base-seeded",
    "dataset": "sample",
    "images": 6,
    "framework": "fake",
    "variant": "told",
    "device": "cpu",
    "workers": 1,
    "batch_size": 4,
    "repeat": 0,
    "block": 0,
    "order": 3,
    "identity": {},
    "measuring": {},
    "environment": {"machine": "a machine, 2 cores", "gpus": []},
    "vitbench": "v1",
    "hashes": {},
}


def one_pass(seconds: float, phase: str = "timed", **changes: Any) -> dict[str, Any]:
    """What a record says of a pass over six images."""
    said = {"lost": [], "duplicated": [], "unknown": [], "changed": []}
    return {"phase": phase, "seconds": seconds, "settling_seconds": 0.0, "valid": 6} | said | changes


# What a record says of a repeat whose pass 0 was all of its warm-up.
STEADY = {
    "classification": "flat",
    "settled": True,
    "reason": "warm",
    "extensions": 0,
    "warm_up_images": 6,
    "warm_up_seconds": 4.5,
    "last_change": None,
}


def example_record(**changes: Any) -> dict[str, Any]:
    """A valid record of an ok repeat: six images in three seconds."""
    record = KNOWN | {
        "effective_batch_size": 4,
        "status": "ok",
        "wall_seconds": 3.0,
        "cold_seconds": 4.5,
        "throughput": 2.0,
        "valid_predictions": 6,
        "started": "2026-11-23T14:01:02+00:00",
        "start_seconds": 1.5,
        "load_seconds": 2.5,
        "first_batch_seconds": 0.5,
        "timed_passes": 2,
        "passes": [one_pass(4.5, "cold"), one_pass(3.1), one_pass(2.9)],
        "short_passes": {"count": 100, "images": 200, "seconds": 45.5, "settling_seconds": 12.5},
        "steady": STEADY,
        "threads": 2,
        "slots": 1,
        "partitions": None,
        "effective_batch_sizes": {"4": 1, "2": 1},
        "batches": "observed",
        "peak_memory_mb": 900.5,
        "waves": None,
        "partition_rows": None,
        "cluster": None,
        "input": "files",
        "sink": "collect",
        "quiet": None,
        "attempts": [],
        "peak_gpu_memory_mb": None,
        "energy": None,
        "total_seconds": 15.5,
        "accuracy": 0.75,
        "labels": {"another": None},
        "flags": [],
        "reason": None,
        "accelerator": "cpu",
        "precision": "float32",
        "executed": None,
        "setting": "one line",
        "versions": {"fake": "1.0"},
    }
    return record | changes


def few_passes(**changes: Any) -> Passes:
    """Passes of the fake framework: pass 0, then two timed ones, whatever they take; with changes."""
    usual = {"warm_images": 1, "warm_seconds": 0, "shift": 1, "settling": 1, "timed": 2, "timed_images": 1000}
    return Passes(**usual | {"extensions": 0, "most_seconds": 60} | changes)


# What nothing on this machine can exceed, so that a test's neighbours do not make its repeat suspect.
PATIENT = Limits(
    canary_seconds=0.01, gemm_slower=0.99, decode_slower=0.99, steal=99, foreign_cpu=99, free_memory_gb=0, retries=0
)


def example_repeat(
    folder: Path,
    plan: dict[str, Any],
    passes: Any = None,
    timeout_seconds: float = 60,
    limits: Limits = PATIENT,
    reference: dict[str, float] | None = None,
) -> Repeat:
    """A repeat of the fake framework on six images, whose files are made; the last of them has another label."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    names = [f"i{number}" for number in range(6)]
    for name in names:
        (images / f"{name}.txt").write_text(f"label of {name}")
    task = Task(
        variant=plan,
        device="cpu",
        workers=1,
        batch_size=4,
        threads=2,
        images=[(name, str(images / f"{name}.txt")) for name in names],
        images_folder=str(images),
        model=str(folder),
        jars=[],
        natives=str(folder),
        temporary=str(folder / "measurements" / ".rep0.repeat"),
    )
    labels = {name: f"label of {name}" for name in names} | {"i5": "another"}
    passes = passes or few_passes()
    return Repeat(
        known=dict(KNOWN),
        task=task,
        labels=labels,
        passes=passes,
        limits=limits,
        reference=reference,
        timeout_seconds=timeout_seconds,
    )
