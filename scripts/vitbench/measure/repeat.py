"""One repeat to be measured: all that is known of it beforehand, and all that it needs, looked at before it starts."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from vitbench import accuracy, machine
from vitbench.cells import BEST, Cell
from vitbench.errors import UserError
from vitbench.files import HOME, MEASUREMENTS, RESOURCES, sha256, sha256_of_files
from vitbench.frameworks import Task
from vitbench.frameworks.cluster import threads_and_slots
from vitbench.frameworks.declaration import BYTES, CHECKPOINT
from vitbench.inputs import checkpoints, contents, jars, packages
from vitbench.inputs.datasets import Image, check_unchanged, valid_images
from vitbench.inputs.java import find_java
from vitbench.measure import canary
from vitbench.measure.limits import Limits
from vitbench.plan import configuration, readiness, workers
from vitbench.plan.grid import Grid
from vitbench.records.record import SCHEMA
from vitbench.sources import SCRIPTS, measuring
from vitbench.steady import Passes
from vitbench.version import describe_checkout


@dataclass(frozen=True)
class Repeat:
    """One repeat to be measured: its record's facts that are known beforehand, and the task for the adapter."""

    known: dict[str, Any]
    """fields of the record that do not depend on the outcome"""
    task: Task
    labels: dict[str, str]
    """id → the label that the model should give each valid image, empty where it does not count for accuracy"""
    passes: Passes
    limits: Limits
    reference: dict[str, float] | None
    """what the canaries are compared with; None before the first"""
    timeout_seconds: float


def find(config: Path, role: str, name: str) -> tuple[Grid, Cell]:
    """The grid of a configuration, and its cell of this role and name.

    Raises:
        UserError: the configuration is wrong or another machine's, this one is shared, or there is no such cell.
    """
    try:
        Cell.parse(name)
    except UserError as error:
        raise UserError(f"--cell {error}") from None
    grid = Grid(configuration.load(config))
    readiness.check_here(grid.config["machine"], grid.config["devices"])
    readiness.check_protocol(grid.config["protocol"])
    return grid, grid.find(role, name)


def choose(grid: Grid, cell: Cell) -> tuple[int | None, str | None]:
    """Batch size of a cell, and why there is none where the sweep of a full cell could not give one.

    Raises:
        UserError: it was not chosen yet.
    """
    if cell.batch_size != BEST:
        return cell.batch_size, None
    chosen = Path(grid.choice(cell))
    if not chosen.exists():
        raise UserError(f"{chosen} is missing: name a batch size, or let `snakemake` choose one")
    choice = json.loads(chosen.read_text())
    return choice["batch_size"], choice["reason"]


def prepare(
    grid: Grid, cell: Cell, out: Path, threads: int, number: int = 0, canaries: list[dict[str, float]] | None = None
) -> Repeat:
    """Put together all that a repeat needs.

    Args:
        out: the file that it will write; its temporary folder lies beside.
        number: of the repeat, and of its block.
        canaries: those that were taken before the first measurement.

    Raises:
        UserError: something is missing; it is said before anything is started.
    """
    batch_size, _ = choose(grid, cell)
    images = _images(grid, cell)
    model = Path(grid.model_folder(cell))
    checkpoint = Path(RESOURCES / "models" / grid.model.slug / CHECKPOINT)
    for path, what in ((model, "model"), (checkpoint, "model's checkpoint")):
        if not path.exists():
            raise UserError(f"the {what} {path} is missing: make it with `snakemake prepare`")
    checkpoints.check_source(grid.model.definition, checkpoint.parent)
    parts = parts_of(grid, cell, threads)
    labels = {image.id: image.label for image in images}
    matched = accuracy.match(labels.values(), checkpoints.labels(checkpoint))
    known = _known(grid, cell, number) | {
        "images": len(images),
        "labels": accuracy.stated(matched),
        "batch_size": batch_size,
        "environment": machine.fingerprint(grid.config["devices"]),
        "vitbench": describe_checkout(),
        "hashes": {
            "manifest": sha256(Path(grid.manifest(cell.dataset))),
            "model": sha256_of_files(model, [path for path in model.rglob("*") if path.is_file()]),
            "jars": sha256(parts.jars_lock) if parts.jars_lock else None,
            "packages": sha256(parts.packages_lock) if parts.packages_lock else None,
            "measuring_code": measuring_code_sha256(),
        },
    }
    manifest = Path(grid.manifest(cell.dataset))
    folder = manifest.parent.resolve()
    task = replace(
        task_without_images(grid, cell, parts, threads, out.resolve().with_name(f".{out.stem}.repeat")),
        batch_size=batch_size,
        # Not resolved itself: an image may be a link, and Spark reports the link's name.
        images=[(image.id, str(folder / image.path)) for image in images],
        images_folder=str((folder / "images").resolve()),
    )
    task = replace(task, contents=contents_of(task, manifest))
    records = MEASUREMENTS / grid.config["machine"] / f"p{grid.config['protocol']}"
    return Repeat(
        known=known,
        task=task,
        labels=accuracy.expected(labels, matched),
        passes=Passes.of(grid.config["passes"], cell.workers),
        limits=Limits(**grid.config["quiet"]),
        reference=canary.reference(records, canaries or []),
        timeout_seconds=60 * grid.config["timeout_minutes"],
    )


def contents_of(task: Task, manifest: Path) -> str | None:
    """The Parquet files that a variant with `input: bytes` reads, written if they are not there yet; else None."""
    if task.variant.get("input") != BYTES:
        return None
    _, slots = threads_and_slots(task)
    return str(contents.of_data_set(manifest, slots).resolve())


def measuring_code_sha256(scripts: Path = SCRIPTS) -> str:
    """One SHA-256 over the sources in `scripts` that decide what a time means."""
    return sha256_of_files(scripts, measuring(scripts))


def _images(grid: Grid, cell: Cell) -> list[Image]:
    """The valid images of a cell's data set, which are what the manifest lists."""
    manifest = Path(grid.manifest(cell.dataset))
    if not manifest.exists():
        raise UserError(f"the data set {manifest} is missing: make it with `snakemake prepare`")
    images = valid_images(manifest)
    if not images:
        raise UserError(f"{manifest} lists no valid image: see its column `reason`")
    check_unchanged(manifest)
    return images


class Parts(NamedTuple):
    """What a cell loads beside its model; None and nothing of what it does not need."""

    jars_lock: Path | None
    jars: list[Path]
    packages_lock: Path | None
    packages: Path | None
    """folder of the packages beside the environment"""


def parts_of(grid: Grid, cell: Cell, threads: int) -> Parts:
    """What a cell loads beside its model, each file as it was locked.

    Raises:
        UserError: it is not there, or GPU or Java are missing, or this machine has no room for the workers.
    """
    if cell.device == "gpu" and not machine.gpus():
        raise UserError(f"{cell.name}: this machine shows no GPU; leave gpu out of `devices`, or see `make doctor`")
    needs = grid.needs(cell)
    if needs.spark:
        find_java()
    if grid.on_cluster(cell):
        workers.check_room(grid.config, needs.jars is not None, threads)
    return Parts(*_jars(grid, cell), *_packages(grid, cell))


def task_without_images(grid: Grid, cell: Cell, parts: Parts, threads: int, temporary: Path) -> Task:
    """What the adapter of a cell is told, but for the images, and the batch size where the cell leaves it open."""
    return Task(
        variant=grid.definition(cell),
        device=cell.device,
        workers=cell.workers,
        batch_size=cell.batch_size,
        threads=threads,
        images=[],
        images_folder="",
        model=str(Path(grid.model_folder(cell)).resolve()),
        jars=[str(path) for path in parts.jars],
        natives=str(Path(RESOURCES / "jars" / "natives").resolve()),
        temporary=str(temporary),
        spark=workers.task(grid.config, cell, grid.needs(cell).jars is not None, threads),
        packages=str(parts.packages) if parts.packages else None,
    )


def _jars(grid: Grid, cell: Cell) -> tuple[Path | None, list[Path]]:
    """The lock of the jars that a cell needs, and their paths, each as it was locked; nothing where it needs none."""
    folder = grid.jars(cell)
    if not folder:
        return None, []
    locked = HOME / "envs" / "jars" / folder.name
    return locked / "jgo.lock.toml", [path.resolve() for path in jars.verify(locked, Path(folder))]


def _packages(grid: Grid, cell: Cell) -> tuple[Path | None, Path | None]:
    """Lock and folder of the packages that a cell needs beside the environment; nothing where it needs none."""
    folder = grid.packages(cell)
    if not folder:
        return None, None
    lock = HOME / "envs" / f"{folder.name}.txt"
    packages.verify(lock, Path(folder))
    return lock, Path(folder).resolve()


def _known(grid: Grid, cell: Cell, number: int) -> dict[str, Any]:
    """The fields of a record that the grid alone decides."""
    return {
        "schema": SCHEMA,
        "machine": grid.config["machine"],
        "protocol": grid.config["protocol"],
        "model": grid.model.name,
        "dataset": cell.dataset,
        "framework": cell.framework,
        "variant": cell.variant,
        "device": cell.device,
        "workers": cell.workers,
        "repeat": number,
        "block": number,
        "order": grid.places.get((cell, number)),
        "identity": {
            "model": grid.model.slug,
            "dataset": grid.datasets[cell.dataset].slug,
            "variant": grid.variant_slug(cell),
            "definition": grid.definition(cell),
        },
        "measuring": {key: grid.config[key] for key in ("passes", "quiet", "timeout_minutes", "seed")},
    }
