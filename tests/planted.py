"""Records that nobody measured, for tests of what follows measuring: valid, seeded, with known answers."""

import csv
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import write_configuration

from vitbench.cells import BEST, Cell
from vitbench.files import sha256
from vitbench.inputs.datasets import COLUMNS, read_manifest
from vitbench.measure import profiles
from vitbench.plan.grid import Grid
from vitbench.records import peak_file, profile_file
from vitbench.records import record as records

# Seconds of one image, by variant; batch sizes above 1 are a little faster.
SECONDS = {"huggingface/pipeline": 0.20, "sparknlp/tensorflow": 0.15}
IMAGES = {"sample": 32, "full": 48}
# The first repeat began then, each other one a minute after the one before.
BEGIN = datetime(2026, 11, 23, 12, tzinfo=UTC)

# What the planted machine can do.
_RATE = {"library": "ONNX Runtime", "version": "1.32.0", "precision": "float32", "device": "cpu", "product": "MLP up",
         "batch_size": 8, "shape": "1576x768x3072", "gflops": 376.0}  # fmt: skip
_RATES = [_RATE, _RATE | {"library": "torch", "version": "2.15.0", "precision": "bfloat16", "gflops": 758.0}]
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
    noise = random.Random(f"{cell}{repeat}")
    images = IMAGES[cell.dataset]
    size = batch_size or cell.batch_size
    seconds = SECONDS.get(f"{cell.framework}/{cell.variant}", 0.18) * images * (1.1 if size == 1 else 1.0)
    seconds *= noise.uniform(0.99, 1.01)
    return {
        "schema": 1,
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
        "cold_seconds": 1.3 * seconds,
        "throughput": images / seconds,
        "valid_predictions": images,
        "block": repeat,
        "order": grid.order.index((cell, repeat)),
        "started": (BEGIN + timedelta(minutes=grid.order.index((cell, repeat)))).isoformat(),
        "start_seconds": 5.0,
        "load_seconds": 2.0,
        "first_batch_seconds": 0.5,
        "warm_passes": 2,
        "passes": [
            {"seconds": one, "valid": images, "lost": [], "duplicated": [], "unknown": [], "changed": []}
            for one in (1.3 * seconds, seconds, seconds)
        ],
        "threads": 2,
        "slots": 1,
        "partitions": None,
        "effective_batch_sizes": {str(size): images // size},
        "batches": "observed",
        "peak_memory_mb": 1000.0,
        "waves": None,
        "partition_rows": None,
        "quiet": None,
        "attempts": [],
        "peak_gpu_memory_mb": None,
        "energy": None,
        "total_seconds": 10 + 3.3 * seconds,
        "accuracy": 1.0,
        "flags": [],
        "reason": None,
        "accelerator": "cpu",
        "precision": "float32",
        "setting": "planted",
        "identity": {
            "model": grid.model.slug,
            "dataset": grid.datasets[cell.dataset].slug,
            "variant": grid.variant_slug(cell),
            "definition": {},
        },
        "measuring": {"passes": grid.config["passes"], "quiet": grid.config["quiet"]},
        "environment": {
            "machine": "a planted machine, 2 cores",
            "platform": "planted",
            "python": "3.11",
            "gpus": [],
            "cores": 2,
        },
        "versions": {"transformers": "5.23.0"} if cell.framework == "huggingface" else {"spark-nlp": "5.5.3"},
        "hashes": {},
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
    hashes = {"manifest": sha256(manifest), "model": "of a model", "measuring_code": "of code"}
    records.write(path, record(grid, cell, repeat, chosen) | {"hashes": hashes})
    with open(records.predictions_path(path), "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "label", "score"])
        for image in read_manifest(manifest):
            writer.writerow([image.id, image.label, 0.9])
    return path


def plant_manifest(root: Path, grid: Grid, role: str) -> None:
    """Write the manifest of a role's data set, of images that do not exist, below `root`."""
    path = root / grid.manifest(role)
    path.parent.mkdir(parents=True)
    with open(path, "w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number in range(IMAGES[role]):
            name = f"{role}-{number:03d}"
            label = ("astronaut", "coffee", "rocket")[number % 3]
            writer.writerow([name, f"images/{name}.jpg", "0" * 64, 1000, label, 1, "", label])


def plant_run(root: Path, grid: Grid) -> Path:
    """Write all that a finished run leaves in its working directory and a campaign takes from it; returns `root`."""
    out = {"config": root / "results/provenance/config.yaml", "grid": root / "results/provenance/grid.json"}
    write_configuration.main(grid.config, grid.describe(), out)
    for role in grid.datasets:
        plant_manifest(root, grid, role)
    for cell, repeat in grid.order:
        plant(root, grid, cell, repeat)
    for cell in grid.profiles():
        plant_profile(root, grid, cell)
    plant_peak(root, grid)
    for cell in grid.full:
        (root / grid.choice(cell)).write_text(json.dumps({"batch_size": 8, "median": 1.0, "reason": "planted"}))
    (root / "results/provenance/ready.json").write_text(json.dumps({"machine": "a planted machine", "cores": 2}))
    return root


def plant_peak(root: Path, grid: Grid) -> Path:
    """Write what the planted machine can do below `root`."""
    path = root / grid.peak
    about = {"machine": grid.config["machine"], "protocol": grid.config["protocol"], "model": grid.model.slug}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(PEAK | about))
    return path
