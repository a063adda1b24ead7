"""Records that nobody measured, for tests of what follows measuring: valid, seeded, with known answers."""

import csv
import hashlib
import json
import random
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import write_configuration

from vitbench import machine
from vitbench.cells import BEST, CONTROL, Cell, variant_key
from vitbench.files import HOME, sha256
from vitbench.frameworks import plans_each_pass
from vitbench.inputs.datasets import COLUMNS, read_manifest
from vitbench.measure import profiles
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid
from vitbench.records import peak_file, profile_file
from vitbench.records import record as records
from vitbench.steady import Course, Pass, Passes

# The default with sizes of its own: what tests plant does not follow the default's.
CONFIG = load(HOME / "config" / "config.yaml") | {
    "datasets": {"sample": "photos-32", "full": "photos-48"},
    "batch_sizes": [1, 8, 16],
    "repeats": 3,
}
# One batch size, and data sets of several sizes.
SIZED = CONFIG | {
    "datasets": CONFIG["datasets"] | {"sizes": ["photos-16", "photos-24", "photos-32", "photos-40"]},
    "batch_sizes": [8],
    "repeats": {"sample": 1, "full": 1, "sizes": 3},
}
# Seconds of one image, by variant; batch sizes above 1 are a little faster.
SECONDS = {"huggingface/pipeline": 0.20, "sparknlp/tensorflow": 0.15}
IMAGES = {"sample": 32, "full": 48}
# The first repeat began then, each other one two minutes after the one before.
BEGIN = datetime(2026, 11, 23, 12, tzinfo=UTC)

# What the planted machine can do.
_RATE = {"library": "ONNX Runtime", "version": "1.32.0", "precision": "float32", "device": "cpu", "product": "MLP up",
         "batch_size": 8, "shape": "1576x768x3072", "gflops": 376.0}  # fmt: skip
_RATES = [_RATE, _RATE | {"library": "torch", "version": "2.15.0", "precision": "bfloat16", "gflops": 758.0}]
# What torch was seen to do there, whose products can be looked into.
EXECUTED = {"method": "a log", "error": 3e-7, "kernels": {"MKL SGEMM": 73}, "products": {"float32": 73},
            "instructions": None}  # fmt: skip
# What the fingerprint of the machine that plants says, with nothing that changes from record to record.
_FACTS = ("machine", "id", "platform", "python", "cores", "memory_bytes", "gpus", "processor")
PEAK = {
    "schema": 1,
    "machine": "planted",
    "protocol": 1,
    "model": "planted",
    "date": "2026-11-23T11:00:00+00:00",
    "threads": 2,
    "flop_per_image": 35.126e9,
    "decode_per_second": 400.0,
    "decode_library": "Pillow 13.0.0",
    "decode_dataset": "planted",
    "peak": peak_file.peaks(_RATES),
    "rates": _RATES,
}


def record(grid: Grid, cell: Cell, repeat: int, batch_size: int | None = None) -> dict:
    """A valid record of one repeat: the variant's known speed with 1% noise, all images classified."""
    images = images_of(grid, cell.dataset)
    noise = random.Random(f"{cell}{repeat}{images}")
    size = batch_size or cell.batch_size
    each = SECONDS.get(f"{cell.framework}/{cell.variant.removesuffix(CONTROL)}", 0.18)
    # A second worker saves a fifth: no more, or it would be faster than the planted machine can multiply.
    seconds = each * images * (1.1 if size == 1 else 1.0) * 0.8 ** (cell.workers - 1)
    seconds *= noise.uniform(0.99, 1.01)
    course = Course(Passes.of(grid.config["passes"], cell.workers), images)
    while course.add(Pass(round(seconds * noise.uniform(0.999, 1.001) * (1 if course.passes else 1.3), 6), 0.0)):
        pass
    times = [one.seconds for one in course.passes]
    count = grid.config["passes"]["short_passes"] if plans_each_pass(cell.framework) else 0
    short = {"count": count, "images": 2 * count, "seconds": 0.05 * count, "settling_seconds": 0.01 * count}
    seconds = median(times[course.begin :])
    order = grid.places[cell, repeat]
    versions = {"transformers": "5.23.0"} if cell.framework == "huggingface" else {"spark-nlp": "5.5.3"}
    return {
        "schema": records.SCHEMA,
        "machine": grid.config["machine"],
        "protocol": grid.config["protocol"],
        "model": grid.model.name,
        "dataset": cell.dataset,
        "images": images,
        "framework": cell.framework,
        "variant": cell.variant,
        "device": cell.device,
        "workers": cell.workers,
        "batch_size": size,
        "effective_batch_size": size,
        "repeat": repeat,
        "status": "ok",
        "wall_seconds": seconds,
        "cold_seconds": times[0],
        "throughput": images / seconds,
        "valid_predictions": images,
        "block": repeat,
        "order": order,
        "started": (BEGIN + timedelta(minutes=2 * order)).isoformat(),
        "start_seconds": 5.0,
        "load_seconds": 2.0,
        "first_batch_seconds": 0.5,
        "timed_passes": course.timed,
        "passes": [
            {"phase": phase, "seconds": one.seconds, "settling_seconds": one.settling, "valid": images}
            | {"lost": [], "duplicated": [], "unknown": [], "changed": []}
            for phase, one in zip(course.phases(), course.passes, strict=True)
        ],
        "steady": course.steady(),
        "threads": 2,
        "slots": 1,
        "partitions": None,
        "effective_batch_sizes": {str(size): max(1, images // size)},
        "batches": "observed",
        "peak_memory_mb": 1000.0,
        "waves": None,
        "partition_rows": None,
        "quiet": probes(order, sum(times) + short["seconds"]),
        "attempts": [],
        "peak_gpu_memory_mb": None,
        "energy": None,
        "total_seconds": 5.0 + 2.0 + sum(times) + short["seconds"] + 2.0 + noise.uniform(1.2, 3.9),
        "accuracy": 1.0,
        "flags": [],
        "reason": None,
        "accelerator": "cpu",
        "precision": "float32",
        "executed": EXECUTED if cell.framework == "huggingface" else None,
        "setting": "planted",
        "identity": {
            "model": grid.model.slug,
            "dataset": grid.datasets[cell.dataset].slug,
            "variant": grid.variant_slug(cell),
            "definition": grid.variants[variant_key(cell)].definition,
        },
        "measuring": {"passes": grid.config["passes"], "quiet": grid.config["quiet"]},
        "environment": _fingerprint() | {"packages": versions},
        "versions": versions,
        "hashes": {},
    } | ({"short_passes": short} if short["count"] else {})


def images_of(grid: Grid, dataset: str) -> int:
    """How many images the planted manifest of a data set lists."""
    return IMAGES.get(dataset) or grid.datasets[dataset].definition["images"]


@cache
def _fingerprint() -> dict:
    facts = machine.fingerprint()
    return {name: facts[name] for name in _FACTS}


def canary(number: int) -> dict:
    """The canary of this number since the barrier before the first repeat, which took 0 to 4; 3% of noise."""
    noise = random.Random(f"canary {number}")
    return {"gemm_gflops": 190 * noise.uniform(0.97, 1.03), "decode_per_second": 7600 * noise.uniform(0.97, 1.03)}


def probes(order: int, inside: float) -> dict:
    """What a quiet machine says of the repeat with this place in the order, whose passes took `inside` seconds."""
    state = {"load_1min": 0.1, "clock_mhz": None, "free_memory_bytes": 8e9, "on_battery": False, "power_mode": None,
             "foreign_gpu_processes": None}  # fmt: skip
    taken = 5 + 2 * order
    before = [canary(number) for number in range(taken)]
    counters = {"elapsed": inside + 7.5, "cores": 2, "busy": 2 * inside + 0.5, "steal": 0.05,
                "own_cpu_seconds": 2 * inside + 0.1}  # fmt: skip
    whole = counters["elapsed"] * counters["cores"]
    return {
        "before": canary(taken) | state,
        "after": canary(taken + 1) | state,
        "during": {
            "steal_share": counters["steal"] / whole,
            "throttled_seconds": 0.0,
            "foreign_cpu_share": (counters["busy"] - counters["own_cpu_seconds"]) / whole,
            "holders": [],
            "counters": counters,
        },
        "reference": {name: median(one[name] for one in before) for name in before[0]} | {"canaries": taken},
        "unavailable": [],
        "findings": [],
        "seconds": 2.0,
    }


def profile(grid: Grid, cell: Cell) -> dict:
    """A valid profile of a full cell: the planted speed, nine tenths of it in the model."""
    like = record(grid, cell, 0, 8)
    known = {key: like[key] for key in profiles.KNOWN}
    seconds = like["wall_seconds"]
    share = {"read": 0.01, "decode": 0.04, "preprocess": 0.03, "forward": 0.9, "postprocess": 0.01, "other": 0.01}
    one = {"seconds": seconds, "stages": {stage: part * seconds for stage, part in share.items()}}
    described = {key: like[key] for key in ("accelerator", "precision", "setting", "slots", "versions", "started")}
    outcome = {"status": "ok", "reason": None, "method": "timers", "plain_seconds": [seconds], "passes": [one] * 3}
    more = {"details": {}, "sampled_peak_memory_mb": 1000.0, "total_seconds": 10 * seconds}
    return {"schema": 1} | known | described | outcome | more


def plant_profile(root: Path, grid: Grid, cell: Cell) -> Path:
    """Write the profile of a full cell below `root`."""
    path = root / grid.profile(cell)
    profile_file.write(path, profile(grid, cell))
    return path


def plant(root: Path, grid: Grid, cell: Cell, repeat: int) -> Path:
    """Write the record of one repeat and its predictions (all right, by the manifest) below `root`."""
    path = root / grid.record(cell, repeat)
    chosen = 8 if cell.batch_size == BEST else None
    manifest = root / grid.manifest(cell.dataset)
    hashes = {"manifest": sha256(manifest), "model": digest_of("a model"), "measuring_code": digest_of("code")}
    records.write(path, record(grid, cell, repeat, chosen) | {"hashes": hashes})
    with open(records.predictions_path(path), "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "label", "score"])
        for image in read_manifest(manifest):
            # A framework resizes and rounds in its own way.
            score = 0.9 + random.Random(f"{cell.framework} {image.id}").uniform(-0.01, 0.01)
            writer.writerow([image.id, image.label, score])
    return path


def digest_of(text: str) -> str:
    """A SHA-256 that is one."""
    return hashlib.sha256(text.encode()).hexdigest()


def plant_manifest(root: Path, grid: Grid, dataset: str) -> None:
    """Write the manifest of a data set, of images that do not exist, below `root`."""
    path = root / grid.manifest(dataset)
    path.parent.mkdir(parents=True)
    with open(path, "w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number in range(images_of(grid, dataset)):
            name = f"{dataset}-{number:03d}"
            label = ("astronaut", "coffee", "rocket")[number % 3]
            writer.writerow([name, f"images/{name}.jpg", "0" * 64, 1000, label, 1, "", label])


def plant_run(root: Path, grid: Grid) -> Path:
    """Write all that a finished run leaves in its working directory and a campaign takes from it; returns `root`."""
    out = {"config": root / "results/provenance/config.yaml", "grid": root / "results/provenance/grid.json"}
    write_configuration.main(grid.config, grid.describe(), out)
    for dataset in grid.datasets:
        plant_manifest(root, grid, dataset)
    for cell, repeat in grid.order:
        plant(root, grid, cell, repeat)
    for cell in grid.profiles():
        plant_profile(root, grid, cell)
    plant_peak(root, grid)
    for cell in grid.full:
        (root / grid.choice(cell)).write_text(json.dumps({"batch_size": 8, "median": 1.0, "reason": "planted"}))
    (root / "results/provenance/ready.json").write_text(
        json.dumps({"machine": "a planted machine", "cores": 2, "canaries": [canary(number) for number in range(5)]})
    )
    return root


def plant_peak(root: Path, grid: Grid, **changes: Any) -> Path:
    """Write what the planted machine can do below `root`, with changes."""
    path = root / grid.peak
    about = {"machine": grid.config["machine"], "protocol": grid.config["protocol"], "model": grid.model.slug}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(PEAK | about | changes))
    return path


def slow_down(root: Path, variant: str, factor: float) -> None:
    """Give each record below `root` 1% of noise of another day, and make those of a variant so many times as slow."""
    noise = random.Random("another day")
    for path in sorted(root.glob("measurements/**/rep*.json")):
        changed = json.loads(path.read_text())
        named = f"{changed['framework']}/{changed['variant'].removesuffix(CONTROL)}"
        times = noise.uniform(0.99, 1.01) * (factor if named == variant else 1)
        for key in ("wall_seconds", "cold_seconds"):
            changed[key] *= times
        changed["throughput"] /= times
        for one in changed["passes"]:
            one["seconds"] *= times
        path.write_text(json.dumps(changed))
