"""Where measured things are read from. Everything after measuring asks an archive, and need not know which it is.

An archive has `grid` (see `vitbench.grid.Grid.describe`), `config`, and, by the path below the working directory that
a file has or had: `record`, `predictions`, `manifest` by role, and `document`, the JSON of choices, profiles and peaks.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from vitbench import records
from vitbench.datasets import Image, read_manifest
from vitbench.errors import UserError
from vitbench.grid import RESOURCES


class Folder:
    """The archive that is a working directory: what was measured in it, as it was written."""

    source = "live"

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    @cached_property
    def grid(self) -> dict[str, Any]:
        return self._json(self.root / "results" / "provenance" / "grid.json")

    @cached_property
    def config(self) -> dict[str, Any]:
        return yaml.safe_load((self.root / "results" / "provenance" / "config.yaml").read_text())

    def record(self, path: str) -> dict[str, Any]:
        """The record that lies at `path`; UserError where it is missing or does not fit the schema."""
        return records.read(self.root / path)

    def predictions(self, path: str) -> list[tuple[str, str, float | None]]:
        """(id, label, score or None) of each prediction of the last pass of the record at `path`."""
        return records.read_predictions(records.predictions_path(self.root / path))

    def manifest(self, role: str) -> list[Image]:
        """Rows of the manifest of a role's data set."""
        slug = self.grid["datasets"][role]["slug"]
        return read_manifest(self.root / RESOURCES / "datasets" / slug / "manifest.csv")

    def document(self, path: str) -> Any:
        """The JSON file at `path`; UserError where it is missing or no JSON."""
        return self._json(self.root / path)

    @staticmethod
    def _json(path: Path) -> Any:
        try:
            return json.loads(path.read_text())
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}); let Snakemake make it") from error
        except ValueError as error:
            raise UserError(f"{path} is not JSON ({error})") from error


def open_archive(root: str | Path) -> Folder:
    """The archive at `root`."""
    return Folder(Path(root))


def record_paths(grid: dict[str, Any]) -> list[str]:
    """Paths of the records of all repeats of a grid, cell by cell in the order of the configuration."""
    return [
        str(PurePosixPath(cell["folder"]) / f"rep{repeat}.json")
        for cell in grid["cells"]
        for repeat in range(grid["repeats"])
    ]
