"""What is to be labelled: the files of a folder, those that a list names, what Parquet files hold themselves, or the
objects of a store.

What is an image is not said here: `vitbench.inputs.images` looks into each when its part comes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from itertools import count, islice
from pathlib import Path

from vitbench.errors import UserError
from vitbench.files import staged
from vitbench.inputs import contents, path_lists, sources
from vitbench.inputs.object_store import Store, is_url

# Files, by their paths; the contents of images, in Parquet files; or objects, which become files when their part comes.
FILES, CONTENTS, OBJECTS = "files", "contents", "objects"
# An image to be labelled: its id, and the path of its file, or in its store.
Given = tuple[str, str]


def kind_of(images: str) -> str:
    """FILES, CONTENTS or OBJECTS: what a path, or a URL, names. A folder that holds a Parquet file is one of those.

    Raises:
        UserError: there is nothing that can be read, or Parquet files that are none or have no column of paths.
    """
    if is_url(images):
        return OBJECTS
    place = Path(images)
    if not place.exists():
        raise UserError(
            f"images: {place} does not exist; name a folder, a list of paths, a Parquet file, or the URL of a store"
        )
    if not os.access(place, os.R_OK):
        raise UserError(f"images: {place} cannot be read; give yourself the right to")
    if not (contents.files_of(place) if place.is_dir() else path_lists.is_parquet(place)):
        return FILES
    columns = path_lists.columns(place)
    if contents.PATH not in columns:
        raise UserError(
            f"images: {place} has no column {contents.PATH}, only {', '.join(columns)}; give it one, of the paths of "
            f"images, or of their ids beside a column {contents.CONTENT}"
        )
    return CONTENTS if contents.CONTENT in columns else FILES


def state_of(place: Path) -> list[list[str | int]]:
    """Name, bytes and a digest of what each Parquet file of contents says of itself: whether they are those of before.

    What it says of itself, its footer, holds where each group of rows lies, and the least and greatest of each column.
    """
    return [[file.name, file.stat().st_size, contents.footer_sha256(file)] for file in contents.files_of(place)]


def write(images: str, to: Path, store: Store | None) -> int:
    """Write what `images`, an absolute path or a URL, names to `to`, one JSON [id, path] a line; how many there are.

    The id is the path within the folder, or what the list says, with bytes that are no text written out (\\udcff). All
    of it is in memory meanwhile.

    Args:
        store: what lies under the URL; None of a path.

    Raises:
        UserError: there is none, or the list is none, or the store cannot be read.
    """
    place = Path(images)
    if store or (place.is_dir() and not contents.files_of(place)):
        found = list(store.find()) if store else [(one.name, one.path) for one in sources.in_folder(place)]
        if not found:
            raise UserError(f"images: no file below {images} has an image's name (.jpg, .png, …); name another folder")
    else:
        found = [(one.name, one.path) for one in path_lists.read(place)]
    seen: set[str] = set()
    with staged(to) as temporary, open(temporary, "w", encoding="ascii") as lines:
        for name, path in found:
            image = name.encode("utf-8", "backslashreplace").decode()
            if image in seen:
                raise UserError(f"images: {images} names two images that are both written {image!r}; rename one")
            seen.add(image)
            lines.write(f"{json.dumps([image, str(path)])}\n")
    return len(found)


def parts(listed: Path, size: int, without: Collection[int]) -> Iterator[tuple[int, list[Given]]]:
    """(number, images) of each part of a list that `write` wrote, `size` images each, but those in `without`."""
    with open(listed, encoding="ascii") as lines:
        for number in count():
            if not (part := list(islice(lines, size))):
                return
            if number not in without:
                yield number, [(image, path) for image, path in map(json.loads, part)]


def unpacked(place: Path, size: int, without: Collection[int], folder: Path) -> Iterator[tuple[int, list[Given]]]:
    """The same of Parquet files of contents, whose images become files below `folder` when their part comes."""
    rows = contents.read(place)
    for number in count():
        if number in without:
            if not sum(1 for _ in islice(rows, size)):
                return
            continue
        below = folder / f"contents-{number:06d}"
        below.mkdir(parents=True)
        part = []
        for image, content in islice(rows, size):
            file = below / f"{len(part):06d}"
            file.write_bytes(content)
            part.append((image, str(file)))
        if not part:
            return
        yield number, part
