"""The folder of a job: what is labelled by what, and the parts that are done.

    job.json                      what the job is
    images.jsonl                  [id, path] of each image, written once; of contents in Parquet files there is none
    labels/part-000000.parquet    id, label, score, model, variant, settings
    quarantine/part-000000.parquet  id, reason, bytes, where the part had images that are none
    quarantine.csv, summary.json  once all is done

A part is done when its labels are there, which are written last and whole. What a kill leaves of another is written
anew, so that no image is labelled twice and none is lost.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vitbench.errors import UserError
from vitbench.files import safe_cell, staged, write_atomically
from vitbench.inputs import parquet

LABELS = {
    "id": "varchar",
    "label": "varchar",
    "score": "double",
    "model": "varchar",
    "variant": "varchar",
    "settings": "varchar",
}
QUARANTINE = {"id": "varchar", "reason": "varchar", "bytes": "bigint"}
# Different reasons that are counted apart, and what the others are called together: some name a number of bytes.
MOST_KINDS, OTHERS = 1000, "other reasons"
Label = tuple[str, str, float | None, str, str, str]
Refused = tuple[str, str, int]


def kind_of(reason: str, counted: Counter[str]) -> str:
    """As what a reason is counted beside those that were counted before it."""
    return reason if reason in counted or len(counted) < MOST_KINDS else OTHERS


@dataclass(frozen=True)
class Job:
    """What is labelled, by what, and in which parts. What may differ when a job goes on is not in it."""

    images: str
    """absolute path, or URL, of what was named"""
    kind: str
    """`listing.FILES`, `listing.CONTENTS` or `listing.OBJECTS`"""
    state: list[list[str | int]]
    """`listing.state_of` contents; empty for files and objects, whose list is kept"""
    total: int
    part_images: int
    model: str
    """slug of the model"""
    variant: str
    """framework/variant"""
    definition: dict[str, Any]
    """of the variant, but for where it runs"""

    @property
    def parts(self) -> int:
        return -(-self.total // self.part_images)

    def size_of(self, number: int) -> int:
        """How many images a part has."""
        return min(self.part_images, self.total - number * self.part_images)


@dataclass(frozen=True)
class Counts:
    """What lies in the folder of a job."""

    labelled: int
    ids: int
    """different ones, of labels and quarantine together"""
    reasons: Counter[str]
    first: dict[str, str]
    """reason → id of the first image that was refused for it"""

    @property
    def refused(self) -> int:
        return self.reasons.total()


class Folder:
    """The files of one job, below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.listed = root / "images.jsonl"
        self._job = root / "job.json"

    def check_empty(self) -> None:
        """Raise UserError where no job can be here, or other things are than one of which nothing is done."""
        try:
            str(self.root).encode()
        except UnicodeEncodeError:
            raise UserError(
                f"out: {ascii(str(self.root))} is no text in UTF-8, which what writes Parquet wants of a name; name "
                "another folder"
            ) from None
        if self._job.exists() or not self.root.exists():
            return
        if not self.root.is_dir():
            raise UserError(f"out: {self.root} is no folder; name another one")
        left = sorted(path.name for path in self.root.iterdir() if path != self.listed and path.name[0] != ".")
        if left:
            raise UserError(f"out: {self.root} holds other things than a job of ours ({left[0]}); name another folder")

    def read_job(self) -> Job:
        """What the job is.

        Raises:
            UserError: the folder holds no job, or something else in its place.
        """
        try:
            told = json.loads(self._job.read_text(encoding="utf-8"))
            return Job(**{field.name: told[field.name] for field in fields(Job)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"out: {self._job} is not what was written ({error}); name another `out`") from error

    def begun(self) -> Job | None:
        """What the job is of which a part is done; None where none is."""
        return self.read_job() if self.done() else None

    def write_job(self, job: Job) -> None:
        write_atomically(self._job, json.dumps(asdict(job), indent=1) + "\n")

    def labels(self, number: int) -> Path:
        return self.root / "labels" / f"part-{number:06d}.parquet"

    def quarantine(self, number: int) -> Path:
        return self.root / "quarantine" / f"part-{number:06d}.parquet"

    def done(self) -> set[int]:
        """The numbers of the parts that are done."""
        names = (path.stem.removeprefix("part-") for path in (self.root / "labels").glob("part-*.parquet"))
        return {int(name) for name in names if name.isdigit()}

    def write_part(self, number: int, labels: Iterable[Label], refused: list[Refused]) -> None:
        """Write a part, its labels last: then it is done."""
        if refused:
            with staged(self.quarantine(number)) as temporary:
                parquet.write(temporary, QUARANTINE, refused)
        else:
            self.quarantine(number).unlink(missing_ok=True)
        with staged(self.labels(number)) as temporary:
            parquet.write(temporary, LABELS, labels)

    def _quarantined(self) -> list[Path]:
        """The quarantine of the parts that are done, as far as they have one."""
        return [path for path in map(self.quarantine, sorted(self.done())) if path.exists()]

    def refusals(self) -> tuple[Counter[str], dict[str, str]]:
        """Reason → how many images were refused for it in the parts that are done, and the first of them, by its id.

        Beyond the commonest, MOST_KINDS of them, all are OTHERS.
        """
        import duckdb

        if not (refused := self._quarantined()):
            return Counter(), {}
        rows = parquet.relation(refused)
        query = f"select reason, count(*) as times, min(id) from {rows} group by reason order by times desc, reason"
        with duckdb.connect() as connection:
            found = connection.execute(f"{query} limit {MOST_KINDS}").fetchall()
            (total,) = connection.execute(f"select count(*) from {rows}").fetchone()
        counted = Counter({reason: times for reason, times, _ in found})
        first = {reason: image for reason, _, image in found}
        if rest := total - counted.total():
            counted[OTHERS] += rest
            first.setdefault(OTHERS, "see quarantine/")
        return counted, first

    def counts(self) -> Counts:
        """What the parts that are done hold; every id is looked at."""
        import duckdb

        reasons, first = self.refusals()
        if not (done := sorted(self.done())):
            return Counts(0, 0, reasons, first)
        labels = parquet.relation(map(self.labels, done))
        ids = f"select id from {labels}"
        if refused := self._quarantined():
            ids += f" union all select id from {parquet.relation(refused)}"
        with duckdb.connect() as connection:
            (labelled,) = connection.execute(f"select count(*) from {labels}").fetchone()
            (different,) = connection.execute(f"select count(distinct id) from ({ids})").fetchone()
        return Counts(labelled, different, reasons, first)

    def conclude(self, summary: dict[str, Any]) -> None:
        """Write what only a job that is done has: the quarantine in one file for people, and what became of it."""
        import duckdb

        refused = self._quarantined()
        with (
            staged(self.root / "quarantine.csv") as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as to,
        ):
            rows = csv.writer(to)
            rows.writerow(QUARANTINE)
            if refused:
                query = f'select id, reason, "bytes" from {parquet.relation(refused)} order by id'
                with duckdb.connect() as connection:
                    answer = connection.execute(query)
                    while some := answer.fetchmany(1000):
                        rows.writerows((safe_cell(image), safe_cell(reason), size) for image, reason, size in some)
        # Bytes of a folder's name that are no text are written as \udcff, which JSON reads as what Python calls them.
        text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
        write_atomically(self.root / "summary.json", text.encode("utf-8", "backslashreplace"))
