"""Files that are either whole or absent, and digests of what is in them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

HOME = Path(__file__).parents[2]  # the checkout
MEASUREMENTS = PurePosixPath("measurements")
RESOURCES = PurePosixPath("resources")


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yield a temporary place for `path` (file or folder to be made) that takes its place only if the block succeeds.

    A reader, or the next run after a kill, therefore never meets half of it. The temporary folder has a fixed name
    beside `path`, so that what a kill leaves there is removed by the next attempt.
    """
    path = Path(path)
    folder = path.parent / f".{path.name}.partial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder / path.name
        if (folder / path.name).is_dir() and path.is_dir():
            # A folder cannot be replaced in one step: the old one moves to the folder that is about to vanish.
            os.rename(path, folder / "replaced")
        os.replace(folder / path.name, path)
    finally:
        shutil.rmtree(folder)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` to `path`, creating its folder; a reader sees the old file or the new one, never a part."""
    with staged(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_of_files(folder: Path, paths: Iterable[Path]) -> str:
    """One SHA-256 over the names (relative to `folder`) and contents of several files, in sorted order."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256(path)}\n".encode())
    return digest.hexdigest()


def digest(definition: object) -> str:
    """Eight hexadecimal digits that identify a definition (any JSON value), whatever the order of its keys."""
    canonical = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


# A cell of a CSV file that begins so is a formula to Excel. An apostrophe before it makes it text; a text that begins
# with an apostrophe of its own gets one more.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def safe_cell(text: str) -> str:
    """A text as a cell of a CSV file that no spreadsheet takes for a formula; see `plain_cell`."""
    return f"'{text}" if text.startswith(FORMULA) else text


def plain_cell(cell: str) -> str:
    """The text that `safe_cell` made a cell of."""
    return cell[1:] if cell.startswith("'") else cell
