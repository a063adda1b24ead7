"""A job from outside: what is looked at before anything costly, the process that labels, and what became of it."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vitbench import environment
from vitbench.classify import listing
from vitbench.classify.choice import Chosen
from vitbench.classify.folder import Folder, Job
from vitbench.classify.worker import Start
from vitbench.errors import UserError
from vitbench.files import HOME, RESOURCES
from vitbench.frameworks import ADAPTERS, Task
from vitbench.frameworks.declaration import SPARK
from vitbench.inputs import checkpoints, contents, datasets, packages
from vitbench.inputs.object_store import LOCK, Store, is_url
from vitbench.measure.processes import machine_lock
from vitbench.measure.repeat import parts_of, task_without_images
from vitbench.measure.supervisor import alone, run_marked, stoppable
from vitbench.plan import readiness

# Images of a part where nobody says: minutes of a CPU, seconds of a GPU, and what a kill costs at most.
PART_IMAGES = 5000
WORKER = "vitbench.classify.worker"
# Exit status of a worker that has said in one line why it ended.
SAID = 1


@dataclass(frozen=True)
class Request:
    """What a user asks for."""

    images: str
    """absolute path of a folder, a list of paths, or Parquet files of path and content; or URL of an object store"""
    out: Path
    """absolute: the folder of the job, which is made, or one that is to go on"""
    most_refused: float
    """share of the images that may be none; above it the job ends"""
    part_images: int
    threads: int


def open_job(request: Request, chosen: Chosen) -> tuple[Folder, Job]:
    """The folder of the job and what it is: of one that was begun as it was begun, else listed and written now.

    Raises:
        UserError: there is nothing to label, or another job lies there.
    """
    folder = Folder(request.out)
    kind = listing.kind_of(request.images)
    job = Job(
        images=request.images,
        kind=kind,
        state=listing.state_of(Path(request.images)) if kind == listing.CONTENTS else [],
        total=0,
        part_images=request.part_images,
        model=chosen.grid.model.slug,
        variant=chosen.variant,
        # Where it runs may be another when it goes on: a cluster comes back under another address.
        definition={key: value for key, value in chosen.grid.definition(chosen.cell).items() if key != SPARK},
    )
    begun = folder.begun()
    if begun is None:
        # Under the lock that whoever labels holds, and what a kill left of it: nobody begins the job meanwhile.
        with machine_lock():
            begun = folder.begun()
            if begun is None:
                return folder, _begin(folder, request, job)
    _check_same(folder, begun, job)
    if begun.kind != listing.CONTENTS and not folder.listed.exists():
        raise UserError(
            f"out: the list of images {folder.listed} is gone, which the job began with: name another `out`, or remove "
            "that folder"
        )
    print(f"going on with {folder.root}: {begun.total:,} images as they were listed when it was begun", flush=True)
    return folder, begun


def _begin(folder: Folder, request: Request, job: Job) -> Job:
    """List the images of a job of which nothing is done, and write down what it is."""
    folder.check_empty()
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"out: {folder.root} can be no folder, since a file has that name, or one above it") from None
    readiness.check_writable(folder.root)
    readiness.check_disk(folder.root)
    if job.kind == listing.CONTENTS:
        total = contents.check(Path(job.images))
    else:
        reader = reader_of(job.images)
        total = listing.write(job.images, folder.listed, Store(job.images, reader) if reader else None)
    job = replace(job, total=total)
    folder.write_job(job)
    return job


def _check_same(folder: Folder, begun: Job, job: Job) -> None:
    before, now = asdict(begun), asdict(job)
    for key, said in (
        ("images", "images: {now}; it"),
        ("model", "model: {now}; it"),
        ("variant", "variant: {now}; it"),
        ("definition", "variant: its definition is {now}; it"),
        ("part_images", "part_images: {now}; it"),
        ("kind", "images: these are {now} now; they"),
    ):
        if before[key] != now[key]:
            raise UserError(
                f"{said.format(now=now[key])} was {before[key]} when the job in {folder.root} was begun: name another "
                "`out`, or remove that folder"
            )
    if before["state"] != now["state"]:
        raise UserError(
            f"images: the Parquet files of {job.images} are others than when the job in {folder.root} was begun: name "
            "another `out`, or remove that folder"
        )


def reader_of(images: str) -> str | None:
    """Folder of the packages that read the store of this URL; None of a path.

    Raises:
        UserError: they are missing, or others than those of their lock.
    """
    if not is_url(images):
        return None
    environment = Path(RESOURCES / "environments" / LOCK)
    if not environment.exists():
        raise UserError(
            f"images: what reads stores is missing ({environment}): `snakemake classify --config images=…` installs "
            "it, or copy the images here"
        )
    packages.verify(HOME / "envs" / f"{LOCK}.txt", environment)
    return str(environment.resolve())


def task_of(chosen: Chosen, folder: Folder, threads: int) -> Task:
    """What the adapter is told, but for the images.

    Raises:
        UserError: model, jars, packages, Java or GPU are missing, or this machine has no room for the workers.
    """
    grid, cell = chosen.grid, chosen.cell
    model = Path(grid.model_folder(cell))
    if not model.exists():
        raise UserError(f"the model {model} is missing: `snakemake classify` makes it, with the same settings")
    checkpoints.check_source(grid.model.definition, Path(RESOURCES / "models" / grid.model.slug))
    if grid.needs(cell).spark and (problem := environment.name_problem(folder.root, "name another")):
        raise UserError(f"out: {problem}")
    parts = parts_of(grid, cell, threads)
    return task_without_images(grid, cell, parts, threads, temporary_of(folder))


def temporary_of(folder: Folder) -> Path:
    """Where the worker works; removed when it ends."""
    return folder.root.resolve() / ".work"


def run(folder: Folder, job: Job, start: Start) -> int:
    """Label what is left of a job, alone on this machine; the exit status, 0 where all is done.

    However this process ends, nothing of the job runs on, and what was done stays.

    Raises:
        UserError: too many images were refused, the worker died, or another job was begun there meanwhile.
        Cancelled: this process was told to stop, or the Snakemake that ordered it is gone.
    """
    _check_refused(folder, job, start)
    if len(folder.done()) < job.parts:
        temporary = temporary_of(folder)
        with stoppable(), alone(temporary) as ordered_by:
            if folder.read_job() != job:
                raise UserError(f"out: another process has begun another job in {folder.root}: name another `out`")
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            (temporary / "start.json").write_text(json.dumps(asdict(start)), encoding="utf-8")
            status = run_marked([WORKER, "start.json"], temporary, ordered_by)
        if status == SAID:
            return SAID
        if status != 0:
            raise UserError(_why_it_died(folder, job, status))
        _check_refused(folder, job, start)
    return 0


def _check_refused(folder: Folder, job: Job, start: Start) -> None:
    """Raise UserError where the parts that are done have more images refused than `most_refused` allows of all."""
    if problem := datasets.too_many_refused(*folder.refusals(), job.total, start.most_refused):
        raise UserError(f"images: {problem}")


def _why_it_died(folder: Folder, job: Job, status: int | str) -> str:
    done = f"{len(folder.done())} of {job.parts} parts are done, and the same command goes on with the rest"
    if status == -signal.SIGKILL:
        # One that nobody here sent is the kernel's answer to too little memory.
        return f"the process that labels was killed, most often for lack of memory: lower batch_size; {done}"
    how = f"signal {-status}" if isinstance(status, int) and status < 0 else f"exit status {status}"
    return f"the process that labels died ({how}), see above; {done}"


def conclude(folder: Folder, job: Job, why: str) -> dict[str, Any]:
    """Count what a job that is done has written, write quarantine and summary, and say it; returns the summary.

    Args:
        why: it was this variant (`Chosen.why`).

    Raises:
        UserError: no image was one.
        RuntimeError: an image is missing or there twice, which is a mistake of ours.
    """
    counts = folder.counts()
    if (found := counts.labelled + counts.refused) != job.total or counts.ids != job.total:
        raise RuntimeError(f"{folder.root} holds {found} rows of {counts.ids} ids for {job.total} images")
    if not counts.labelled:
        (reason, times), *_ = counts.reasons.most_common(1)
        raise UserError(f"images: none of {job.total} could be used ({times} × {reason}); see {folder.root}/quarantine")
    summary = {
        "images": job.images,
        "total": job.total,
        "labelled": counts.labelled,
        "refused": counts.refused,
        "reasons": dict(counts.reasons.most_common()),
        "model": job.model,
        "variant": job.variant,
        "why": why,
    }
    folder.conclude(summary)
    print(f"{counts.labelled:,} of {job.total:,} images are labelled, each once: {folder.root / 'labels'}")
    if counts.refused:
        print(f"{counts.refused:,} are in quarantine, with reasons: {folder.root / 'quarantine.csv'}")
        for reason, times in counts.reasons.most_common(datasets.MOST_REASONS):
            print(f"{times:>8,} {reason} (first: {counts.first[reason]})")
    return summary


def start_of(chosen: Chosen, folder: Folder, request: Request) -> Start:
    """What the worker is told; UserError as of `task_of`."""
    task = task_of(chosen, folder, request.threads)
    module = ADAPTERS[chosen.cell.framework](task.variant)
    return Start(str(folder.root), module, asdict(task), request.most_refused, reader_of(request.images))
