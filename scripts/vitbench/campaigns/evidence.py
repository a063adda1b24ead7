"""What is to be checked: the records of an archive, and what lies beside them."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from functools import cached_property
from typing import Any

from vitbench.campaigns.checks import Record, text
from vitbench.errors import UserError
from vitbench.files import plain_cell
from vitbench.inputs.datasets import Image
from vitbench.measure import canary
from vitbench.measure.limits import Limits
from vitbench.records import record as records
from vitbench.records.archive import Folder, PredictionRows, is_record, record_paths
from vitbench.steady import Passes


@dataclass
class Evidence:
    """What is to be checked.

    Attributes:
        archive: where it is read from.
        records: path → record, of those that fit the schema.
        broken: path → reasons why another one does not.
    """

    archive: Folder
    records: dict[str, Record] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)
    _by_slug: dict[str | None, dict[str, str] | None] = field(default_factory=dict)

    @classmethod
    def gather(cls, archive: Folder) -> Evidence:
        """Read all records of an archive.

        Raises:
            UserError: there is none.
        """
        evidence = cls(archive)
        paths = [path for path in archive.paths() if is_record(path)]
        if not paths:
            raise UserError(
                f"{archive.root} holds no record (rep0.json, …): name a folder of measurements, a working directory "
                "or a campaign"
            )
        for path in paths:
            try:
                record = archive.document(path)
            except UserError as error:
                evidence.broken[path] = [str(error)]
                continue
            if found := records.faults(record) or _unusable(record):
                evidence.broken[path] = [f"{path}: {one}" for one in found]
            else:
                evidence.records[path] = record
        return evidence

    @cached_property
    def grid(self) -> dict[str, Any] | None:
        """The grid by which it was measured; None where it is not there."""
        try:
            return self.archive.grid
        except UserError:
            return None

    @cached_property
    def planned(self) -> dict[str, Record]:
        """The records of the grid, in its order; all, where there is no grid."""
        if self.grid is None:
            return self.records
        return {path: self.records[path] for path in record_paths(self.grid) if path in self.records}

    @cached_property
    def good(self) -> dict[str, Record]:
        return {path: record for path, record in self.records.items() if record["status"] == "ok"}

    def predictions(self, path: str) -> PredictionRows | None:
        """Rows (id, label, score) without the header; None where there is no such file."""
        try:
            header, *rows = self.archive.prediction_rows(path)
        except (UserError, ValueError):
            return None
        if header != ["id", "label", "score"] or not all(len(row) == 3 for row in rows):
            return None
        return [[image, plain_cell(label), score] for image, label, score in rows]

    def manifest(self, role: str) -> list[Image] | None:
        """Rows of a role's manifest; None where it is not there."""
        try:
            return self.archive.manifest(role) if self.grid else None
        except UserError:
            return None

    @cached_property
    def images(self) -> dict[str, dict[str, str]]:
        """Role → id → label of each valid image, of the roles whose manifest is there."""
        found = {role: self.manifest(role) for role in (self.grid or {"datasets": {}})["datasets"]}
        return {role: {image.id: image.label for image in rows if image.valid} for role, rows in found.items() if rows}

    def images_of(self, record: Record) -> dict[str, str] | None:
        """id → label of each valid image of a record's own data set; None where its manifest is not there.

        Records of another configuration may lie in the same folder: their data sets bear the same roles, not the same
        slugs.
        """
        slug = record["identity"].get("dataset")
        if slug not in self._by_slug:
            try:
                rows = self.archive.manifest_of(str(slug))
            except UserError:
                rows = None
            self._by_slug[slug] = rows and {image.id: image.label for image in rows if image.valid}
        return self._by_slug[slug]


def _unusable(record: Record) -> list[str]:
    """What the schema lets pass and no other check could work with."""
    wrong = []
    for started in (record["started"], *(attempt["started"] for attempt in record["attempts"])):
        try:
            aware = datetime.fromisoformat(started).tzinfo is not None
        except ValueError:
            aware = False
        if not aware:
            wrong.append(f"started {started}, expected a date and time with its zone")
    if not all(size.isdigit() for size in record["effective_batch_sizes"] or {}):
        wrong.append("effective_batch_sizes with a word for a size, expected numbers")
    if record["status"] == "ok" and (found := record["quiet"]):
        needed = (*canary.PARTS, "free_memory_bytes")
        wrong += [
            f"quiet.{when} without {name}, expected a number"
            for when in ("before", "after")
            for name in needed
            if found[when][name] is None
        ]
    for name, settings in (("passes", Passes), ("quiet", Limits)):
        stated, known = record["measuring"].get(name), [one.name for one in fields(settings)]
        # What has a default is younger than the first records.
        needed = {one.name for one in fields(settings) if one.default is MISSING}
        if stated and not (isinstance(stated, dict) and needed <= stated.keys() <= set(known)):
            wrong.append(f"measuring.{name} {text(stated)}, expected {', '.join(known)}")
    return wrong
