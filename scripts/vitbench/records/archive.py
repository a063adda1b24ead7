"""Where measured things are read from. Everything after measuring asks an archive, and need not know which it is.

There are two: `Folder`, a working directory or anything that holds records, and `Packed`, a campaign. Both name a file
by its path below the working directory that it was measured in (measurements/…/rep0.json), and have

    source           what the runs table calls it: `live`, or campaigns/NAME
    version          what git calls the vitbench that measured it, None where no record says
    grid, config     what was to be measured (`vitbench.plan.grid.Grid.describe`) and the effective configuration
    paths()          of all JSON files: records, choices, profiles, peaks
    document(path)   the content of one of these
    record(path)     the same of a record, checked
    predictions(path), prediction_rows(path)   of the record at `path`
    manifest(role), manifest_bytes(role)       of a role's data set
    labels(role), matched_labels(role)         of its images, and of the model, as `vitbench.accuracy` wants them
    manifest_of(slug)                          of the data set that a record names
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from vitbench.cells import repeats_of
from vitbench.errors import UserError
from vitbench.files import MEASUREMENTS, RESOURCES, plain_cell
from vitbench.inputs.datasets import Image, read_manifest
from vitbench.records import record as records

PROVENANCE = Path("results", "provenance")
RECORD = re.compile(r"rep(\d+)\.json")
# The file that makes a folder a campaign.
CAMPAIGN = "campaign.json"
# The file of a campaign that holds them, one a line.
MEASURED = "measurements.jsonl"
# How a value that several measurements share is written in each of them: {"$same": number in shared.json}.
SAME = "$same"

PredictionRows = list[list[str]]


class Folder:
    """The archive that is a folder: what was measured there, as it was written."""

    source = "live"

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    @cached_property
    def grid(self) -> dict[str, Any]:
        return _grid(self.root / PROVENANCE / "grid.json")

    @cached_property
    def config(self) -> dict[str, Any]:
        return yaml.safe_load(_read(self.root / PROVENANCE / "config.yaml"))

    @cached_property
    def ready(self) -> dict[str, Any] | None:
        """What `check_ready` found before the first measurement; None where it did not run."""
        path = self.root / PROVENANCE / "ready.json"
        return _read_json(path) if path.exists() else None

    def paths(self) -> list[str]:
        inside = self.root / MEASUREMENTS if (self.root / MEASUREMENTS).is_dir() else self.root
        found = []
        for folder, below, names in os.walk(inside, onerror=_unless_gone):
            below[:] = [name for name in below if not name.startswith(".")]
            found += [
                Path(folder, name).relative_to(self.root).as_posix()
                for name in names
                if name.endswith(".json") and not name.startswith(".")
            ]
        return sorted(found)

    @property
    def version(self) -> str | None:
        """What git calls the vitbench that measured, of several each, "unknown" where it was no checkout; None where no
        record has the field, as before 2026-11-28.
        """
        there = set(self.paths())
        told = [self.record(path).get("vitbench") for path in record_paths(self.grid) if path in there]
        known = dict.fromkeys(one or "unknown" for one in told)
        return None if set(told) <= {None} else ", ".join(known)

    def record(self, path: str) -> dict[str, Any]:
        """The record that lies at `path`; UserError where it is missing or does not fit the schema."""
        return records.read(self.root / path)

    def predictions(self, path: str) -> list[tuple[str, str, float | None]]:
        """(id, label, score or None) of each prediction of the last pass of the record at `path`."""
        return records.read_predictions(records.predictions_path(self.root / path))

    def prediction_rows(self, path: str) -> PredictionRows:
        """The predictions of the record at `path` as they are written, the header first."""
        return list(csv.reader(io.StringIO(_read(records.predictions_path(self.root / path)), newline="")))

    def manifest_path(self, role: str) -> Path:
        return self._manifest_of(self.grid["datasets"][role]["slug"])

    def _manifest_of(self, slug: str) -> Path:
        """Path of the manifest of the data set with this slug, which may be another configuration's."""
        return self.root / RESOURCES / "datasets" / slug / "manifest.csv"

    def manifest_of(self, slug: str) -> list[Image]:
        """Rows of the manifest of the data set that a record's `identity` names."""
        if PurePosixPath(slug).name != slug:
            raise UserError(f"{slug} is no name of a data set")
        return read_manifest(self._manifest_of(slug))

    def manifest(self, role: str) -> list[Image]:
        """Rows of the manifest of a role's data set."""
        return read_manifest(self.manifest_path(role))

    def labels(self, role: str) -> dict[str, str]:
        """id → label of each valid image of a role's data set, empty where it has none."""
        return {image.id: image.label for image in self.manifest(role) if image.valid}

    def matched_labels(self, role: str) -> dict[str, str | None]:
        """What the records of a role say of its labels (`vitbench.accuracy.stated`)."""
        cells = [cell for cell in self.grid["cells"] if cell["dataset"] == role]
        read = (self.record(path) for path in record_paths(self.grid | {"cells": cells}))
        return next((record["labels"] for record in read if "labels" in record), {})

    def manifest_bytes(self, role: str) -> bytes:
        """The manifest of a role's data set as it is, for its hash stands in the records."""
        return self.manifest_path(role).read_bytes()

    def document(self, path: str) -> Any:
        """The JSON file at `path`; UserError where it is missing or no JSON."""
        return _read_json(self.root / path)


class Packed(Folder):
    """The archive that is a packed campaign (docs/campaigns.md)."""

    @property
    def source(self) -> str:
        return f"campaigns/{self.root.resolve().name}"

    @cached_property
    def about(self) -> dict[str, Any]:
        return _read_json(self.root / CAMPAIGN)

    @property
    def version(self) -> str:
        return self.about["vitbench"]

    @cached_property
    def grid(self) -> dict[str, Any]:
        return _grid(self.root / "grid.json")

    @cached_property
    def config(self) -> dict[str, Any]:
        return yaml.safe_load(_read(self.root / "config.yaml"))

    @cached_property
    def ready(self) -> dict[str, Any] | None:
        return _read_json(self.root / "ready.json") if (self.root / "ready.json").exists() else None

    @cached_property
    def _shared(self) -> list[Any]:
        return _read_json(self.root / "shared.json")

    @cached_property
    def _lines(self) -> dict[str, str]:
        """Path → its line as it is written: taken apart, those of a large campaign would fill the memory."""
        with self._as_packed():
            texts = [text for text in _read(self.root / MEASURED).split("\n") if text]
            return {json.loads(text)["path"]: text for text in texts}

    @contextmanager
    def _as_packed(self) -> Iterator[None]:
        """Whatever goes wrong in the block is that the file of the measurements is not what was packed."""
        try:
            yield
        except (ValueError, KeyError, TypeError, IndexError) as error:
            where = self.root / MEASURED
            raise UserError(f"{where} is not what was packed ({type(error).__name__}: {error})") from error

    @cached_property
    def _sets(self) -> dict[int, PredictionRows]:
        path = self.root / "predictions.csv"
        rows = csv.reader(io.StringIO(_read(path), newline=""))
        header = next(rows, ["set"])[1:]
        sets: dict[int, PredictionRows] = {0: [header]}  # that of a repeat that failed has no row
        try:
            for number, *row in rows:
                sets.setdefault(int(number), [header]).append(row)
        except ValueError as error:
            raise UserError(f"{path} is not what was packed ({error})") from error
        return sets

    def paths(self) -> list[str]:
        return list(self._lines)

    def document(self, path: str) -> Any:
        with self._as_packed():
            return with_shared(self._line(path)["content"], self._shared)

    def record(self, path: str) -> dict[str, Any]:
        return self.document(path)

    def prediction_rows(self, path: str) -> PredictionRows:
        number = self._line(path).get("predictions")
        if number not in self._sets:
            raise UserError(f"the predictions of {path} are not in {self.root / 'predictions.csv'}")
        return self._sets[number]

    def predictions(self, path: str) -> list[tuple[str, str, float | None]]:
        rows = self.prediction_rows(path)[1:]
        return [(image, plain_cell(label), float(score) if score else None) for image, label, score in rows]

    def manifest_path(self, role: str) -> Path:
        return self.root / "manifests" / f"{role}.csv"

    def _manifest_of(self, slug: str) -> Path:
        role = next((role for role, one in self.grid["datasets"].items() if one["slug"] == slug), None)
        if role is None:
            raise UserError(f"{self.root} holds no manifest of {slug}")
        return self.manifest_path(role)

    def _line(self, path: str) -> dict[str, Any]:
        if path not in self._lines:
            raise UserError(f"{path} is not in the campaign {self.root}")
        return json.loads(self._lines[path])


def open_archive(root: str | Path) -> Folder:
    """The archive at `root`: a campaign, a working directory, its folder measurements/, or any folder of records."""
    root = Path(root)
    if (root / CAMPAIGN).exists():
        return Packed(root)
    inside = root.resolve().name == MEASUREMENTS.name and not (root / MEASUREMENTS).is_dir()
    return Folder(root / ".." if inside else root)


def record_paths(grid: dict[str, Any]) -> list[str]:
    """Paths of the records of all repeats of a grid, cell by cell in the order of the configuration."""
    return [
        str(PurePosixPath(cell["folder"]) / f"rep{repeat}.json")
        for cell in grid["cells"]
        for repeat in range(repeats_of(grid["repeats"], cell["dataset"]))
    ]


def is_record(path: str) -> bool:
    """Whether this is the path of a record, and not of a choice, a profile or a peak."""
    return RECORD.fullmatch(PurePosixPath(path).name) is not None


def with_shared(value: Any, shared: list[Any]) -> Any:
    """A value of measurements.jsonl with everything in place that stands in shared.json."""
    if isinstance(value, dict):
        if value.keys() == {SAME}:
            return shared[value[SAME]]
        return {key: with_shared(one, shared) for key, one in value.items()}
    return [with_shared(one, shared) for one in value] if isinstance(value, list) else value


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error


def _unless_gone(error: OSError) -> None:
    """Raise what went wrong with a folder; one that is gone was a repeat's, which somebody measures meanwhile."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(_read(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error})") from error


def _grid(path: Path) -> dict[str, Any]:
    """What was to be measured; UserError where a data set's name is a path: files are named by it."""
    grid = _read_json(path)
    try:
        names = [name for role, dataset in grid["datasets"].items() for name in (role, dataset["slug"])]
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is not the grid that a run wrote") from None
    for name in names:
        if PurePosixPath(name).name != name or name in ("", ".."):
            raise UserError(f"{path}: {name!r} is no name of a data set")
    return grid
