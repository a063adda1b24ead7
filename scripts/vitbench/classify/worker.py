"""The process that labels the parts of a job that are not done: it loads the model once and may die at any moment.

It is started by `vitbench.classify.job` as `python -m vitbench.classify.worker START.json`, in a folder of its own that
is removed afterwards. While one part is labelled, the images of the next are opened. Whatever is no image goes into
quarantine (`vitbench.inputs.images`); what frameworks would read differently is rendered once, as for a measurement.
"""

from __future__ import annotations

import json
import shutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from vitbench.classify import listing
from vitbench.classify.folder import Folder, Job, Label, Refused, kind_of
from vitbench.errors import UserError, disk_problem, exit_with_user_errors
from vitbench.frameworks import Adapter, Prediction, Task, Unavailable
from vitbench.frameworks.cluster import threads_and_slots
from vitbench.frameworks.declaration import BYTES
from vitbench.inputs import contents, datasets
from vitbench.inputs.datasets import Handling, Image, Opened
from vitbench.inputs.object_store import Store
from vitbench.inputs.sources import Source
from vitbench.measure.harness import check_pass, close, is_our_bug, says_out_of_memory
from vitbench.progress import Progress

# Parts are opened here, below the folder that this process runs in.
PARTS = "parts"
OpenEach = Callable[[Iterable[Opened]], Iterator[Image]]
Fetch = Callable[[Iterable[str], Path], list[tuple[str, str]]] | None


@dataclass(frozen=True)
class Start:
    """What the worker is told; unlike the job it may be another whenever the job goes on."""

    out: str
    adapter: str
    """module of the class `Adapter`"""
    task: dict[str, Any]
    """the fields of a `Task`, but for its images"""
    most_refused: float
    reader: str | None
    """folder of the packages that read an object store; None of files"""


@dataclass(frozen=True)
class Part:
    """The images of a part, opened."""

    number: int
    place: Path
    """folder that holds images/"""
    rows: list[Image]

    @property
    def images(self) -> list[tuple[str, str]]:
        """(number within the part, path) of each valid image."""
        return [(row.id, str(self.place / row.path)) for row in self.rows if row.valid]

    @property
    def refused(self) -> list[Refused]:
        return [(row.source, row.reason, row.size) for row in self.rows if not row.valid]


class Place:
    """What the files of a job lie on: it may go away in the middle, and no file is to be left out for that."""

    def __init__(self) -> None:
        # One that was read last.
        self._read = ""

    def check(self, part: int, rows: list[Image], paths: Sequence[str]) -> None:
        """Look again at a file that was read before, where some of a part could not be.

        Args:
            rows: the images of a part, opened.
            paths: those of their files, in the same order.

        Raises:
            UserError: that one cannot be read any more, or none of several could be from the beginning on.
        """
        refused = [row for row in rows if _unreadable(row)]
        self._read = next((path for row, path in zip(rows, paths, strict=True) if not _unreadable(row)), self._read)
        if not refused or (can_be_read(self._read) if self._read else len(rows) == 1):
            return
        gone = f", nor can {self._read}, which was" if self._read else ""
        raise UserError(
            f"images: {len(refused)} of the {len(rows)} files of part {part} cannot be read{gone} (the first: "
            f"{refused[0].source}, {refused[0].reason}): bring back what they lie on, or leave them out of `images`; "
            "the parts that are done stay"
        )


def _unreadable(row: Image) -> bool:
    return row.reason.startswith(datasets.UNREADABLE)


def can_be_read(path: str) -> bool:
    """Whether the first byte of a file, which may be empty, can be read."""
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError:
        return False
    return True


class Labeller:
    """The adapter of the variant, and what its labels are written with."""

    def __init__(self, job: Job, start: Start) -> None:
        self.job, self.start = job, start
        self.adapter: Adapter | None = None
        self.settings = ""

    def label(self, part: Part) -> list[Label]:
        """The rows of a part that has images, in their order.

        Raises:
            UserError: the framework did not answer exactly once for each.
        """
        images = part.images
        self._give(images, part)
        answers = list(self.adapter.classify())
        self._say_lost(part.number)
        answers += self.adapter.written()
        sources = {row.id: row.source for row in part.rows}
        self._check(answers, [image for image, _ in images], sources)
        if not self.settings:
            self.settings = self._described()
        job = self.job
        return [
            (sources[image], label, score, job.model, job.variant, self.settings)
            for image, label, score in sorted(answers, key=lambda answer: answer.id)
        ]

    def _give(self, images: list[tuple[str, str]], part: Part) -> None:
        """Start the adapter with a first part's images, or give it another's."""
        task, folder, packed = Task(**self.start.task), str(part.place / "images"), None
        if task.variant.get("input") == BYTES:
            packed = str(part.place / "bytes")
            size = sum(row.size for row in part.rows if row.valid)
            _, slots = threads_and_slots(task)
            contents.write(Path(packed), images, contents.files_for(size, len(images), slots))
        if self.adapter is not None:
            self.adapter.give(images, folder, packed)
            return
        given = replace(task, images=images, images_folder=folder, contents=packed)
        adapter = import_module(self.start.adapter).Adapter(given)
        adapter.start()
        adapter.load()
        self.adapter = adapter

    def _check(self, answers: list[Prediction], wanted: list[str], sources: dict[str, str]) -> None:
        found = check_pass(answers, wanted)
        wrong = {what: found[what] for what in ("lost", "duplicated", "unknown") if found[what]}
        if wrong:
            said = ", ".join(
                f"{len(images)} {what} (the first: {sources.get(images[0], images[0])})"
                for what, images in wrong.items()
            )
            without = (
                "leave it out of the Parquet files, and name another `out`"
                if self.job.kind == listing.CONTENTS
                else "move it away, and the same command goes on without it"
            )
            raise UserError(
                f"{self.job.variant} did not answer once for each of {len(wanted)} images of a part: {said}; choose "
                f"another variant, or, if one image alone is lost, {without}"
            )

    def _say_lost(self, number: int) -> None:
        """Say what a cluster lost meanwhile and did again."""
        lost = getattr(self.adapter, "faults", dict)()
        if any(lost.values()):
            executors, tasks = lost["executors_lost"], lost["tasks_retried"]
            print(f"part {number}: executors lost: {executors}, tasks done again: {tasks}", flush=True)

    def _described(self) -> str:
        """Device, batch size, precision and the adapter's own line, after a pass: a precision that was not, is said."""
        said, task = self.adapter.describe(), self.start.task
        return f"{task['device']}, batch size {task['batch_size']}, {said['precision']}, {said['setting']}"


def label(folder: Folder, labeller: Labeller) -> None:
    """Label the parts of the folder's job that are not done, until more images are refused than `most_refused` allows.

    What was done stays. Whoever runs the job says that too many were (`vitbench.classify.job.run`).
    """
    job, start, done = labeller.job, labeller.start, folder.done()
    reasons, first = folder.refusals()
    place, threads = Path(PARTS).resolve(), start.task["threads"]
    fetch: Fetch = None
    if job.kind == listing.CONTENTS:
        given = listing.unpacked(Path(job.images), job.part_images, done, place)
    else:
        given = listing.parts(folder.listed, job.part_images, done)
        if start.reader:
            fetch = Store(job.images, start.reader).fetch
    left = job.total - sum(map(job.size_of, done))
    with (
        Progress("labelling", job.total) as progress,
        datasets.opening(left, threads) as open_each,
        ThreadPoolExecutor(1) as pool,
    ):
        progress.start_at(job.total - left, job.total)
        prepare = partial(opened, open_each, place, None if job.kind != listing.FILES else Place(), fetch)
        for part in in_advance(pool, prepare, given):
            folder.write_part(part.number, labeller.label(part) if part.images else [], part.refused)
            shutil.rmtree(part.place)
            progress.step(len(part.rows))
            for image, reason, _ in part.refused:
                kind = kind_of(reason, reasons)
                reasons[kind] += 1
                first.setdefault(kind, image)
            if datasets.too_many_refused(reasons, first, job.total, start.most_refused):
                return


def opened(
    open_each: OpenEach, place: Path, theirs: Place | None, fetch: Fetch, given: tuple[int, list[listing.Given]]
) -> Part:
    """Open the images of a part, below `place`; files that are ours are moved there, others linked.

    Args:
        theirs: what the user's files lie on; None where the files are ours.
        fetch: brings objects of a store, by their paths there, into a folder that it makes; None of files.

    Raises:
        UserError: what the user's files lie on has gone.
    """
    number, images = given
    names, paths = zip(*images, strict=True)
    given_to_us = place / f"fetched-{number:06d}" if fetch else Path(paths[0]).parent
    brought = fetch(paths, given_to_us) if fetch else [(path, "") for path in paths]
    folder = place / f"part-{number:06d}"
    (folder / "images").mkdir(parents=True)
    handling = Handling(folder, raw=False, move=theirs is None)
    each = list(enumerate(zip(names, brought, strict=True), 1))
    jobs = ((at, Source(Path(path), image, ""), handling) for at, (image, (path, reason)) in each if not reason)
    rows = list(open_each(jobs))
    rows += [Image(f"{at:06d}", "", "", 0, "", False, why, image) for at, (image, (_, why)) in each if why]
    if theirs:
        theirs.check(number, rows, paths)
    else:
        # What is no image is left there, or what was rendered.
        shutil.rmtree(given_to_us)
    return Part(number, folder, rows)


def in_advance(pool: ThreadPoolExecutor, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """What a function makes of each item, in order: the next one's is made while the caller is busy with the last."""
    waiting: Future[Any] | None = None
    for item in items:
        begun = pool.submit(function, item)
        if waiting is not None:
            yield waiting.result()
        waiting = begun
    if waiting is not None:
        yield waiting.result()


def main(arguments: list[str]) -> None:
    start = Start(**json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    folder = Folder(Path(start.out))
    labeller = Labeller(folder.read_job(), start)
    try:
        label(folder, labeller)
    except Exception as error:
        if isinstance(error, UserError) or disk_problem(error) or is_our_bug(error):
            raise
        if isinstance(error, Unavailable):
            raise UserError(f"variant: {error}") from error
        traceback.print_exception(error)
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        smaller = "; a smaller batch_size needs less memory" if says_out_of_memory(said) else ""
        raise UserError(f"the framework failed, see above ({said}){smaller}; the parts that are done stay") from error
    # Of a framework that failed nothing more is asked: it ends with this process.
    if labeller.adapter is not None:
        close(labeller.adapter)


if __name__ == "__main__":
    exit_with_user_errors(lambda: main(sys.argv[1:]))
