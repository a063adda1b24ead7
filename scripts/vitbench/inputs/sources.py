"""The files that may be images: those of a folder, found by their names, and how many a definition names.

Nothing here needs more than Python itself: the estimate at the start of a run counts with it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from vitbench.errors import UserError
from vitbench.inputs import path_lists

# HEIC is listed although it cannot be decoded here: a telephone's photographs should be reported, not overlooked.
EXTENSIONS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif", ".jp2", ".ppm", ".pgm", ".tga"),
}
# A larger file is no photograph but an accident or an attack: it is not read.
MOST_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Source:
    """One file that may be an image: where it lies, what the manifest calls it, and its label."""

    path: Path
    name: str
    label: str


def in_folder(root: Path) -> list[Source]:
    """The files below `root` whose names look like images, sorted; the containing folder's name is the label.

    Links to folders are as of `paths_below`.
    """
    return [
        Source(path, path.relative_to(root).as_posix(), _label(path.parent.relative_to(root).as_posix()))
        for path in sorted(map(Path, paths_below(root)))
    ]


def paths_below(root: Path) -> Iterator[str]:
    """The paths of the files below `root` whose names look like images, folder by folder, each folder's sorted.

    One folder's names are in memory at a time. Links to folders are not followed: they may run in a circle, or lead out
    of the folder that was named. How many there are is printed at the end.
    """
    links = []
    for folder, below, names in _walked(root):
        links += [path for name in below if os.path.islink(path := os.path.join(folder, name))]
        yield from (os.path.join(folder, name) for name in sorted(names))
    if links:
        print(
            f"{root}: {len(links)} links to folders are not followed, the first {Path(min(links)).name!r}; name what "
            "they lead to as a data set of its own, or list its files (docs/data.md)"
        )


def count(definition: dict[str, Any]) -> int | None:
    """How many files a data set may hold at most, before any is opened; None where that is not known yet.

    Raises UserError where a list cannot be read.
    """
    stated = [definition[key] for key in ("images", "sample", "at_most", "files") if key in definition]
    if "folder" in definition and (root := Path(definition["folder"]).expanduser()).is_dir():
        stated.append(_in_folder(root))
    # A Snakemake without the locked environment has no reader of Parquet.
    if "list" in definition and importlib.util.find_spec("duckdb"):
        stated.append(_in_list(Path(definition["list"]).expanduser(), definition.get("column", "path")))
    return min(stated, default=None)


# Asked several times at the start of a run, and a large folder takes a second.
@cache
def _in_folder(root: Path) -> int:
    return sum(len(names) for _, _, names in _walked(root))


@cache
def _in_list(path: Path, column: str) -> int:
    return path_lists.count(path, column)


def is_named_as_image(name: str) -> bool:
    """Whether a path looks like that of an image that is to be seen."""
    path = PurePosixPath(name)
    return path.suffix.lower() in EXTENSIONS and not any(part.startswith(".") for part in path.parts)


def _walked(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """(folder, names of the folders in it, names of the images in it) of a folder and all below it.

    Hidden ones are left out: macOS and file managers keep `._name.jpg` and thumbnails beside the images; and what a
    check of the disk found again, which nobody but root may list.

    Raises:
        UserError: a folder cannot be listed: what is in it would be missing without a word.
    """

    def refuse(error: OSError) -> None:
        raise UserError(
            f"the folder {error.filename} cannot be listed ({error.strerror}): have it be read, or name "
            "folders or a list without it"
        ) from error

    for folder, below, names in os.walk(root, onerror=refuse):
        below[:] = sorted(name for name in below if not name.startswith(".") and name != "lost+found")
        yield folder, below, [name for name in names if is_named_as_image(name)]


def _label(folder: str) -> str:
    return "" if folder == "." else folder
