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
from vitbench.inputs.object_store import Store, check_url, is_url

# Files, by their paths; the contents of images, in Parquet files; or objects, which become files when their part comes.
FILES, CONTENTS, OBJECTS = "files", "contents", "objects"
# An image to be labelled: its id, and the path of its file, or in its store.
Given = tuple[str, str]


def kind_of(images: str) -> str:
    """FILES, CONTENTS or OBJECTS: what a path, or a URL, names. A folder that holds a Parquet file is one of those.

    Raises:
        UserError: there is nothing that can be read, or Parquet files that are none or have no column of paths, or the
            URL is none or holds a secret.
    """
    if is_url(images):
        check_url(images)
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

    The id is the path within the folder, or what the list says, with bytes that are no text written out (\\udcff).

    Args:
        store: what lies under the URL; None of a path.

    Raises:
        UserError: there is none, or the list is none, or the store cannot be read.
    """
    total = 0
    written_out: set[str] = set()
    with staged(to) as temporary, open(temporary, "w", encoding="ascii") as lines:
        for name, path in _named(images, store):
            total += 1
            image = name.encode("utf-8", "backslashreplace").decode()
            # Names differ; what is written out may be what another one spells.
            if "\\" in image:
                if image in written_out:
                    raise UserError(f"images: {images} names two images that are both written {image!r}; rename one")
                written_out.add(image)
            lines.write(f"{json.dumps([image, path])}\n")
        if not total:
            raise UserError(f"images: no file below {images} has an image's name (.jpg, .png, …); name another folder")
    return total


def _named(images: str, store: Store | None) -> Iterator[Given]:
    """What `images` names, no name twice: a folder's as it is walked, a list's or a store's once all are known."""
    place = Path(images)
    if store:
        yield from store.find()
    elif place.is_dir() and not contents.files_of(place):
        above = len(os.path.join(place, ""))
        for path in sources.paths_below(place):
            yield path[above:], path
    else:
        for one in path_lists.each(place):
            yield one.name, str(one.path)


def parts(listed: Path, size: int, without: Collection[int]) -> Iterator[tuple[int, list[Given]]]:
    """(number, images) of each part of a list that `write` wrote, `size` images each, but those in `without`."""
    with open(listed, encoding="ascii") as lines:
        for number in count():
            if not (part := list(islice(lines, size))):
                return
            if number not in without:
                yield number, [(image, path) for image, path in map(json.loads, part)]


def unpacked(place: Path, size: int, without: Collection[int], folder: Path) -> Iterator[tuple[int, list[Given]]]:
    """The same of Parquet files of contents, whose images become files below `folder` when their part comes.

    Files that hold only images of the first parts in `without` are not read.
    """
    first = next(number for number in count() if number not in without)
    rows = contents.read(place, first * size)
    for number in count(first):
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
