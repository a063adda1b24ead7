"""A job of labelling by the framework of these tests, for tests that label."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
from PIL import Image as Pillow

from vitbench.classify import job, worker
from vitbench.classify.folder import Folder, Job
from vitbench.frameworks import Task
from vitbench.inputs import parquet
from vitbench.measure.processes import marked

# Good ones of a folder, and images of a part: three parts, the last smaller.
IMAGES, PART = 11, 4


def pictures(folder: Path, images: int = IMAGES) -> dict[str, str]:
    """Write photographs, each of a size of its own, half of them of a form that is rendered; id → the right label."""
    folder.mkdir(parents=True)
    right = {}
    for number in range(images):
        width, name = 10 + number, f"{number:02d} é.{'jpg' if number % 2 else 'png'}"
        Pillow.new("RGB", (width, 8), (number, 0, 0)).save(folder / name)
        right[name] = f"{width}x8"
    return right


def bad_files(folder: Path) -> set[str]:
    """Write files that are no images, one in each of the first two parts; their ids."""
    (folder / "00 empty.jpg").touch()
    (folder / "05 text.jpg").write_text("no image")
    return {"00 empty.jpg", "05 text.jpg"}


@dataclass
class Asked:
    """A job of the framework of the tests."""

    request: job.Request
    chosen: Any
    settings: dict[str, Any]

    @property
    def folder(self) -> Folder:
        return Folder(self.request.out)

    @property
    def said(self) -> list[str]:
        """What the adapter has said so far."""
        log = Path(self.settings["log"])
        return log.read_text().splitlines() if log.exists() else []

    def begin(self) -> tuple[Folder, Job, worker.Start]:
        folder, what = job.open_job(self.request, self.chosen)
        task = Task(self.settings, "cpu", 1, 3, 1, [], "", "model", [], "natives", str(job.temporary_of(folder)))
        reader = job.reader_of(self.request.images)
        start = worker.Start(str(folder.root), "labelling_adapter", asdict(task), self.request.most_refused, reader)
        return folder, what, start

    def label(self) -> None:
        """Label in this process, from an empty folder as the one that the process has that is started for it.

        The adapter is not closed, which is the last thing that a process does.
        """
        shutil.rmtree("parts", ignore_errors=True)
        folder, what, start = self.begin()
        worker.label(folder, worker.Labeller(what, start))

    def run(self) -> int:
        """Label in a process of its own, after which nothing is left of it."""
        folder, what, start = self.begin()
        try:
            return job.run(folder, what, start)
        finally:
            assert marked(start.task["temporary"]) == [] and not Path(start.task["temporary"]).exists()

    def conclude(self) -> dict[str, Any]:
        return job.conclude(self.folder, self.folder.read_job(), "as asked for")

    def labels(self) -> dict[str, str]:
        """id → label, after a look that no id is there twice."""
        rows = self.rows("labels")
        assert len({row[0] for row in rows}) == len(rows)
        return {row[0]: row[1] for row in rows}

    def rows(self, what: str) -> list[tuple]:
        files = sorted((self.request.out / what).glob("*.parquet"))
        return duckdb.sql(f"select * from {parquet.relation(files)} order by id").fetchall() if files else []


def asked(
    images: Path | str, most_refused: float = 1.0, part_images: int = PART, place: Path | None = None, **settings
) -> Asked:
    """A job that labels a path, or a URL; it writes beside the path, or into `place`."""
    place = place or Path(images).parent
    out, settings = place / "out", {"log": str(place / "said.log")} | settings
    grid = SimpleNamespace(model=SimpleNamespace(slug="tiny-1234"), definition=lambda _cell: {"told": True})
    chosen = SimpleNamespace(grid=grid, cell=None, variant="fake/told")
    return Asked(job.Request(str(images), out, most_refused, part_images, threads=1), chosen, settings)
