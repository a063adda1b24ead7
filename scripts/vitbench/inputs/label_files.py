"""Label files: a CSV of `folder,label` that says what a model calls the folders of a data set (WordNet's ids, say)."""

from __future__ import annotations

import csv
import unicodedata
from pathlib import Path

from vitbench.errors import UserError

HEADER = ["folder", "label"]
# What `labels` of a data set's definition may be besides a file.
WORDS = ("folders", "none")


def of(definition: dict) -> dict[str, str]:
    """Folder → label by the file that a data set's definition names under `labels`; empty where it names none.

    Raises:
        UserError: the file is missing, or is no such table.
    """
    named = definition.get("labels", WORDS[0])
    return {} if named in WORDS else read(Path(named).expanduser())


def read(path: Path) -> dict[str, str]:
    """Folder (in NFC) → label, of the rows of a label file; UserError where it is none."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            rows = [row for row in csv.reader(handle, strict=True) if row]
    except OSError as error:
        raise UserError(
            f"labels: {path} cannot be read ({error.strerror}); correct the path, or leave it out"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"labels: {path} is no CSV file in UTF-8 ({error}); save it as one") from error
    if not rows or [cell.strip() for cell in rows[0]] != HEADER:
        raise UserError(f"labels: {path} must begin with the line `{','.join(HEADER)}`; a row a folder follows")
    found: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != 2 or not all(cell.strip() for cell in row):
            raise UserError(
                f"labels: {path}, row {number}: {','.join(row)[:60]!r} is no folder and label; quote a label with a "
                'comma in it: n01440764,"tench, Tinca tinca"'
            )
        folder, label = (cell.strip() for cell in row)
        if found.setdefault(key(folder), label) != label:
            raise UserError(f"labels: {path}, row {number}: {folder} has another label above; remove one")
    return found


def key(folder: str) -> str:
    """A folder's name as it is looked up: Macs write names in another form of Unicode than people do."""
    return unicodedata.normalize("NFC", folder)


def label(folder: str, names: dict[str, str]) -> str:
    """What a label file calls a folder, by its whole path or its last name; itself where the file says nothing."""
    return names.get(key(folder)) or names.get(key(folder.rpartition("/")[2])) or folder
