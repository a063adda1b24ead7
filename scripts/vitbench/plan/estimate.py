"""What a run will cost, said before it starts: measurements, minutes, bytes to download."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from vitbench.cells import CONTROL, Cell, repeats_of, variant_key
from vitbench.errors import UserError
from vitbench.files import HOME, RESOURCES
from vitbench.frameworks import FRAMEWORKS
from vitbench.frameworks.declaration import CHECKPOINT
from vitbench.inputs import sources
from vitbench.inputs.arithmetic import VIT_BASE, Shape, flop_per_image, shape_of
from vitbench.machine import cores, platform_name
from vitbench.plan import workers
from vitbench.plan.configuration import load
from vitbench.plan.grid import Defined, Grid, archive_path
from vitbench.plan.readiness import check_batch_sizes, check_disk, check_spark
from vitbench.records import record as records
from vitbench.steady import Passes

LONG = 3 * 3600  # seconds from which on a smaller preset is named
GUESSED_IMAGES = 1000  # of an archive of which nobody says how many it holds
# Records of a cell that an estimate reads: it is made after every repeat, and all of thousands would take seconds.
ENOUGH = 3


def weight_bytes(shape: Shape) -> int:
    """Bytes of a ViT's weights in float32: 346e6 for ViT-B/16 at 224 pixels with 1,000 labels."""
    hidden, mlp = shape.hidden_size, shape.intermediate_size
    layer = 4 * (hidden**2 + hidden) + 2 * hidden * mlp + hidden + mlp + 4 * hidden
    embedding = shape.channels * shape.patch_size**2 * hidden + (shape.patches + 3) * hidden
    return 4 * (shape.layers * layer + embedding + 2 * hidden + (hidden + 1) * shape.labels)


def _shape(grid: Grid) -> Shape:
    """The shape of the checkpoint, or what the model's definition states; what is not known is taken for ViT-B/16."""
    if grid.checkpoint:
        return shape_of(grid.checkpoint)
    stated = {field.name for field in fields(VIT_BASE)} & grid.model.definition.keys()
    return replace(VIT_BASE, **{name: grid.model.definition[name] for name in stated})


def missing(grid: Grid) -> list[tuple[Cell, int]]:
    """(cell, repeat) without a record in the working directory, in the order of measuring."""
    return [(cell, repeat) for cell, repeat in grid.order if not Path(grid.record(cell, repeat)).exists()]


def missing_profiles(grid: Grid) -> list[Cell]:
    """Full cells whose profile is still to be made."""
    return [cell for cell in grid.profiles() if not Path(grid.profile(cell)).exists()]


def seconds(
    grid: Grid, to_measure: Iterable[tuple[Cell, int]], read: Callable[[Path], dict[str, Any]] = records.read
) -> float:
    """About how long these measurements take: by records of the same variant, device and workers, or by assumptions.

    `read` gives the record at a path; the default checks each against the schema.
    """
    assumed = yaml.safe_load((HOME / "resources" / "estimates.yaml").read_text())
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    vector = next((name for name in ("avx512", "avx2") if name in flags), "other")
    here = cores()  # it reads files, and there may be ten thousand repeats
    rate = assumed["gflops_per_core"][vector] * 1e9 * here / flop_per_image(_shape(grid))
    images = {dataset: _images(grid, dataset) for dataset in grid.datasets}
    decoding = {
        name: dataset.definition.get("megapixels", 0) / assumed["megapixels_decoded_per_second"]
        for name, dataset in grid.datasets.items()
    }
    total = 0.0
    measured: dict[tuple[str | int, ...], list[_Measured]] = {}
    for cell, _ in to_measure:
        limits = Passes.of(grid.config["passes"], cell.workers)
        key = (cell.framework, cell.variant, cell.device, cell.workers)
        if key not in measured:
            measured[key] = _measured(grid, cell, read)
        if known := measured[key]:
            total += median(one.beside for one in known)
            # Repeats over as many images tell it best: how many passes a repeat makes goes by their number.
            alike = [one for one in known if one.images == images[cell.dataset]] or known
            total += median(one.passing(images[cell.dataset], limits) for one in alike)
        else:
            core_share = workers.share_of_machine(grid.config, cell, here)
            one = images[cell.dataset] * (1 / rate + decoding[cell.dataset]) / core_share
            passes = assumed["cold_pass_factor"] - 1 + sum(limits.expected(images[cell.dataset], one))
            framework = FRAMEWORKS[cell.framework]
            total += framework.start_and_load_seconds + passes * one
            total += assumed["cluster_seconds"] if grid.on_cluster(cell) else 0
            if framework.planning_seconds:  # a short pass has an image for each core
                short = framework.planning_seconds + here * one / images[cell.dataset]
                total += min(limits.short_passes * short, limits.most_seconds)
    return total


@dataclass(frozen=True)
class _Measured:
    """What a repeat took: seconds beside its passes, attempts set aside among them; their images and number, seconds in
    all of them together."""

    beside: float
    images: int
    passes: int
    seconds: float

    def passing(self, images: int, limits: Passes) -> float:
        """About how many seconds of passes a repeat of so many images takes."""
        if images == self.images:
            return self.seconds
        one = self.seconds / self.passes / self.images * images
        return sum(limits.expected(images, one)) * one


def latest(grid: Grid, cell: Cell) -> list[Path]:
    """The last few records of a cell that there are, newest first."""
    paths = (Path(grid.record(cell, block)) for block in reversed(range(grid.repeats(cell.dataset))))
    return list(islice((path for path in paths if path.exists()), ENOUGH))


def _measured(grid: Grid, cell: Cell, read: Callable[[Path], dict[str, Any]]) -> list[_Measured]:
    """What the repeats of this variant, device and number of workers took so far."""
    found = []
    for other in grid.cells:
        names = {(one.framework, one.variant.removesuffix(CONTROL), one.device, one.workers) for one in (cell, other)}
        if len(names) > 1:
            continue
        for path in latest(grid, other):
            record = read(path)
            if record["status"] != "ok":
                continue  # it says nothing of how long a good one takes
            seconds = [one["seconds"] for one in record["passes"]]
            beside = records.seconds_taken(record) - sum(seconds)
            found.append(_Measured(beside, record["images"], len(seconds), sum(seconds)))
    return found


def _images(grid: Grid, dataset: str) -> int:
    """Number of images of a data set that are classified, by its manifest, else by what its definition names."""
    manifest = Path(grid.manifest(dataset))
    if manifest.exists():
        with open(manifest, newline="", errors="replace") as handle:
            return max(1, sum(row.get("valid") == "1" for row in csv.DictReader(handle)))
    counted = sources.count(grid.datasets[dataset].definition)
    return GUESSED_IMAGES if counted is None else max(1, counted)


def to_prepare(grid: Grid) -> tuple[float, int]:
    """(seconds, bytes to download) of what is missing under resources/."""
    assumed = yaml.safe_load((HOME / "resources" / "estimates.yaml").read_text())
    sizes = json.loads((HOME / "envs" / "downloads.json").read_text())
    cells = grid.cells
    models = Path("resources/models") / grid.model.slug
    steps = _forms(grid)
    work = sum(assumed["prepare_seconds"][step.name] for step in steps if not step.exists())
    to_make = [dataset for dataset in grid.datasets if not Path(grid.manifest(dataset)).exists()]
    work += sum(
        assumed["prepare_seconds"]["dataset"] + _images(grid, dataset) / assumed["images_opened_per_second"] / cores()
        for dataset in to_make
    )
    parts = {Path(folder) for cell in cells for folder in (grid.jars(cell), grid.packages(cell)) if folder}
    environments = {one: Path(f"resources/environments/{one}-export") for one in grid.exports()}
    # An export is imported into Spark NLP on the CPU, also where it is measured on a GPU alone.
    parts |= {
        Path(RESOURCES / "jars" / f"{needs.export}-cpu")
        for needs in map(grid.needs, cells)
        if needs.export and needs.jars and not (models / needs.form).exists()
    }
    parts |= {path for one, path in environments.items() if path.name in sizes and not (models / one).exists()}
    to_download = sum(_bytes(sizes, part.name) for part in parts if not part.exists())
    if grid.model.definition["kind"] == "hub" and not (models / "checkpoint").exists():
        to_download += weight_bytes(_shape(grid))
    to_download += sum(_bytes_of_archive(grid.datasets[dataset], assumed["bytes_per_image"]) for dataset in to_make)
    return work + to_download / (assumed["download_mb_per_second"] * 1e6), to_download


def _forms(grid: Grid) -> set[Path]:
    """The folders of the forms of the model that are made here."""
    models = Path("resources/models") / grid.model.slug
    forms = {form for cell in grid.cells if (needs := grid.needs(cell)).export
             for form in (needs.export, needs.form)}  # fmt: skip
    return {models / CHECKPOINT} | {models / form for form in forms}


def check_start(grid: Grid) -> None:
    """What can be known before any work: room for what is missing, where Spark cannot run, batches that are too large.

    Raises:
        UserError: see `vitbench.plan.readiness`; or full runs here keep a batch size that is not configured.
    """
    if not missing(grid):
        return
    _check_kept_sizes(grid)
    workers.check_room(grid.config, any(grid.jars(cell) for cell in grid.cells if grid.on_cluster(cell)), cores())
    if any(grid.needs(cell).spark for cell in grid.cells):
        check_spark(Path())
    for name, dataset in grid.datasets.items():
        images = sources.count(dataset.definition)
        # A folder without images is reported by the job that makes the data set: it knows where it looked.
        if images:
            check_batch_sizes({cell.batch_size for cell in grid.sweep}, name, images)
    to_make = weight_bytes(_shape(grid)) * sum(not form.exists() for form in _forms(grid))
    # Unpacking, installing or linking what was downloaded takes at most about the same room again.
    check_disk(Path(), to_make + 2 * to_prepare(grid)[1])


def _check_kept_sizes(grid: Grid) -> None:
    """Raise UserError where full runs would go on with a batch size that the configuration does not name.

    A sweep would say so beside what it finds now; without one the cell would be compared with others at sizes that
    nobody asked for.
    """
    if repeats_of(grid.config["repeats"], "sample") or grid.config["trials"]:  # those of `snakemake tune`
        return
    for cell in grid.full:
        choice, named = Path(grid.choice(cell)), [one.batch_size for one in grid.sweep_of(cell)]
        kept = json.loads(choice.read_text(encoding="utf-8"))["batch_size"] if choice.exists() else None
        if kept is not None and kept not in named:
            raise UserError(
                f"batch_sizes: the full runs of {variant_key(cell)} here keep {kept}, which an earlier sweep chose, "
                f"and the configuration names {', '.join(map(str, named))} and no sweep: use another --directory"
            )


def _bytes(sizes: dict[str, Any], part: str) -> int:
    """Bytes of a set of jars or an environment on this platform, 0 where nobody counted."""
    return sizes.get(part, {}).get(platform_name(), 0)


def _bytes_of_archive(data_set: Defined, per_image: int) -> int:
    """Bytes of the archive that a data set has yet to download; where nobody states them, a guess by its images."""
    definition = data_set.definition
    if definition["kind"] != "archive" or Path(archive_path(data_set.name)).exists():
        return 0
    return definition.get("size", definition.get("files", GUESSED_IMAGES) * per_image)


def announce(grid: Grid) -> None:
    """Say on standard error what is skipped, and how much there is to measure, wait for and download."""
    for note in grid.notes:
        print(f"vitbench: {note}", file=sys.stderr)
    left, profiles = missing(grid), missing_profiles(grid)
    if not left and not profiles:
        print(f"vitbench: all {len(grid.order)} measurements are there", file=sys.stderr)
        return
    preparing, to_download = to_prepare(grid)
    # A profiling repeat makes the passes of an ordinary one, and about as many again.
    profiled = [(cell, 0) for cell in profiles if not grid.unprofiled(cell)]
    total = seconds(grid, left) + 2 * seconds(grid, profiled) + preparing
    print(
        f"vitbench: {len(left)} of {len(grid.order)} measurements"
        f"{f' and {len(profiles)} profiles' if profiles else ''} to do, about {duration(total)}"
        f"{f', {duration(preparing)} of them to prepare' if preparing >= 60 else ''}; "
        f"about {to_download / 1e6:.0f} MB to download",
        file=sys.stderr,
    )
    if total > LONG and (smaller := _smaller(grid, total)):
        print(f"vitbench: {smaller}", file=sys.stderr)


def duration(seconds: float) -> str:
    """About how long, as people say it."""
    if seconds < 2 * 3600:
        return f"{max(1, round(seconds / 60))} minutes"
    days = f" ({seconds / 86400:.1f} days)" if seconds > 2 * 86400 else ""
    return f"{seconds / 3600:.0f} hours{days}"


def _smaller(grid: Grid, total: float) -> str:
    """What to run instead where a configuration takes very long: the embedded default, if that is far less."""
    default = Grid(load(HOME / "config" / "config.yaml"), grid.platform)
    instead = seconds(default, default.order)
    if instead > total / 3:
        return ""
    data = " and ".join(one.name for one in default.datasets.values())
    return (
        f"the smaller preset is the embedded default, `snakemake` without --configfile: {default.model.name} on "
        f"{data}, about {duration(instead)}; or draw fewer images, take fewer batch sizes (docs/own.md)"
    )
