"""Data sets: a folder with images/ and manifest.csv, made whole or not at all from a definition."""

from __future__ import annotations

import csv
import errno
import hashlib
import multiprocessing
import os
import random
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from vitbench.errors import UserError
from vitbench.files import plain_cell, safe_cell, sha256, staged
from vitbench.inputs import images, label_files, path_lists, photographs, sources, unpacking
from vitbench.inputs.images import Rejected
from vitbench.inputs.sources import Source
from vitbench.machine import cores
from vitbench.progress import Progress

# Below this many files a pool of processes costs more (half a second each to start) than it saves.
WORTH_A_POOL = 300
# Reasons that are said where too many files were refused.
MOST_REASONS = 3
# How the reason begins that a file was left out for which the system did not let us read.
UNREADABLE = "cannot be read"
# What the system says where not one file is at fault but the disk or network that all lie on, or this process.
NO_FILES_FAULT = {
    *(errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN),
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH),
    *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),  # which fewer --cores would mend
}


@dataclass(frozen=True)
class Image:
    """One row of a manifest.

    `path` is relative to the manifest's folder, and empty for an invalid image, which is kept in the manifest only;
    `sha256` and `size` (bytes) are those of the file at `path`, or of the source where the image is invalid;
    `source` says where it came from: a path relative to the user's folder, or the name of a photograph;
    `form` is what the source was, empty for a plain RGB JPEG (`vitbench.inputs.images.Taken`).
    """

    id: str
    path: str
    sha256: str
    size: int
    label: str
    valid: bool
    reason: str
    source: str
    form: str = ""


COLUMNS = [field.name for field in fields(Image)][:-1]
# Manifests of kind `photos` have no column `form`: their images are all plain JPEG.
WITH_FORM = [*COLUMNS, "form"]
TEXTS = {COLUMNS.index(name) for name in ("label", "reason", "source")}


@dataclass(frozen=True)
class Handling:
    """What is done with the files of one data set."""

    place: Path
    """folder that holds images/"""
    raw: bool
    """hand out what lies there, whatever its form"""
    move: bool
    """plain images are moved (they are ours), not linked (they are the user's)"""


def build(
    definition: dict, role: str, folder: Path, archive: Path | None = None, processes: int | None = None
) -> list[Image]:
    """Make `folder`/images/<id>.<extension> and `folder`/manifest.csv; return the manifest's rows.

    Args:
        archive: the downloaded file of a definition of kind `archive`.
        processes: how many open images at the same time; the cores of this machine by default.

    Raises UserError when the definition names an unknown kind, or what it names is missing or holds no image.
    """
    kind = definition.get("kind")
    if kind not in BUILDERS:
        raise UserError(f"data set: unknown kind {kind!r}; use one of {', '.join(BUILDERS)} in resources/datasets.yaml")
    with staged(Path(folder)) as place:
        (place / "images").mkdir(parents=True)
        found = list(BUILDERS[kind](definition, role, place, archive, processes))
        if not any(image.valid for image in found):
            reasons = f" ({len(found)} looked at; the first: {found[0].reason})" if found else ""
            where = definition.get("folder") or definition.get("list") or archive or kind
            raise UserError(f"data set: no valid image in {where}{reasons}; name another folder")
        _check_refused(found, definition)
        _write_manifest(place / "manifest.csv", found, COLUMNS if kind == "photos" else WITH_FORM)
    return found


def _check_refused(found: list[Image], definition: dict) -> None:
    """UserError where more of the files were refused than the definition's `most_refused` allows (by default all)."""
    refused = [image for image in found if not image.valid]
    reasons = Counter(image.reason for image in refused)
    first = {image.reason: image.source for image in reversed(refused)}
    if problem := too_many_refused(reasons, first, len(found), definition.get("most_refused", 1)):
        raise UserError(f"data set: {problem}")


def too_many_refused(reasons: Counter[str], first: Mapping[str, str], total: int, allowed: float) -> str | None:
    """What to say where more than this share of `total` files was refused, with what to do; None where it was not.

    Args:
        reasons, first: reason → how many files it was, and the first of them.
    """
    refused = reasons.total()
    if refused <= allowed * total:
        return None
    listed = "; ".join(
        f"{count} × {reason} (first: {first[reason]!r})" for reason, count in reasons.most_common(MOST_REASONS)
    )
    more = f"; {len(reasons) - MOST_REASONS} more reasons" if len(reasons) > MOST_REASONS else ""
    return (
        f"{refused} of {total} files were refused, `most_refused` allows {allowed:.4g} of them: {listed}{more}; mend "
        "them, or raise `most_refused`"
    )


def read_manifest(path: Path) -> list[Image]:
    """All rows of a manifest, valid or not, in its order; UserError when it is not a manifest."""
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            rows = csv.reader(handle)
            columns = next(rows, None)
            if columns not in (COLUMNS, WITH_FORM):
                raise UserError(f"{path}: not a manifest of columns {', '.join(COLUMNS)}; build the data set again")
            return [_image(row, len(columns), path) for row in rows]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); build the data set first") from error


def valid_images(path: Path) -> list[Image]:
    """The rows of a manifest whose images are to be classified."""
    return [image for image in read_manifest(path) if image.valid]


def check_unchanged(manifest: Path) -> None:
    """Raise UserError unless every valid image is still the one that the manifest lists.

    Plain photographs are links to the user's own files, which may since have been edited, moved or removed. A file
    that is not younger than the manifest and has its size is taken for the same, any other is read and compared.
    """
    written = os.stat(manifest).st_mtime_ns
    for image in valid_images(manifest):
        path = manifest.parent / image.path
        try:
            now = path.stat()
        except OSError as error:
            raise UserError(_changed(manifest, image, f"is gone ({error.strerror})")) from error
        if now.st_size != image.size:
            raise UserError(_changed(manifest, image, f"has {now.st_size} bytes, {image.size} when it was made"))
        if now.st_mtime_ns > written and sha256(path) != image.sha256:
            raise UserError(_changed(manifest, image, "has another content than when it was made"))


def read_all(manifest: Path) -> int:
    """Read every valid image once, as a whole; the number of bytes. UserError where one differs from the manifest."""
    total = 0
    for image in valid_images(manifest):
        try:
            content = (manifest.parent / image.path).read_bytes()
        except OSError as error:
            raise UserError(_changed(manifest, image, f"is gone ({error.strerror})")) from error
        if hashlib.sha256(content).hexdigest() != image.sha256:
            raise UserError(_changed(manifest, image, "has another content than when it was made"))
        total += len(content)
    return total


def _changed(manifest: Path, image: Image, how: str) -> str:
    path = manifest.parent / image.path
    linked = f", a link to {os.readlink(path)}," if path.is_symlink() else ""
    return (
        f"data set {manifest.parent}: image {image.path}{linked} {how}; bring the file back, or remove that folder to "
        "make the data set anew (measurements of the old one then stand for other images)"
    )


def _image(row: list[str], columns: int, path: Path) -> Image:
    if len(row) != columns or row[5] not in ("0", "1") or not row[3].isdigit():
        raise UserError(f"{path}: broken row {row[:1]}; build the data set again")
    if columns == len(WITH_FORM):
        row = [plain_cell(cell) if place in TEXTS else cell for place, cell in enumerate(row)]
    return Image(*row[:3], int(row[3]), row[4], row[5] == "1", *row[6:])


def _write_manifest(path: Path, found: list[Image], columns: list[str]) -> None:
    # A file name that is not valid Unicode is written with its odd bytes as \udcXX: readable, and still a CSV.
    with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as handle:
        # A name with a carriage return is quoted only where that is part of the line's end.
        rows = csv.writer(handle, lineterminator="\n" if columns == COLUMNS else "\r\n")
        rows.writerow(columns)
        for image in found:
            cells = [int(cell) if isinstance(cell, bool) else cell for cell in astuple(image)][: len(columns)]
            rows.writerow([safe_cell(cell) if place in TEXTS else cell for place, cell in enumerate(cells)])


# --- kind: photos -----------------------------------------------------------------------------------------------------


def _build_photos(definition: dict, role: str, place: Path, *_: object) -> Iterator[Image]:
    crops = photographs.crops(definition["images"], definition.get("seed", 1), role, definition.get("megapixels"))
    for number, crop in enumerate(crops, 1):
        name, content = f"{number:06d}", crop.jpeg
        path = f"images/{name}.jpg"
        (place / path).write_bytes(content)
        yield Image(name, path, hashlib.sha256(content).hexdigest(), len(content), crop.label, True, "", crop.source)


# --- kinds of files: folder, list, archive ----------------------------------------------------------------------------


def _build_folder(definition: dict, _role: str, place: Path, _archive: object, processes: int | None) -> list[Image]:
    root = Path(definition["folder"]).expanduser()
    if not root.is_dir():
        raise UserError(f"data set: folder {root} does not exist; name a folder with images")
    return _drawn(
        sources.in_folder(root), definition, Handling(place, _is_raw(definition), move=False), root, processes
    )


def _build_list(definition: dict, _role: str, place: Path, _archive: object, processes: int | None) -> list[Image]:
    path = Path(definition["list"]).expanduser()
    found = [Source(one.path, one.name, one.label) for one in path_lists.read(path, definition.get("column", "path"))]
    return _drawn(found, definition, Handling(place, _is_raw(definition), move=False), path, processes)


def _build_archive(
    definition: dict, _role: str, place: Path, archive: Path | None, processes: int | None
) -> Iterator[Image]:
    if archive is None or not archive.exists():
        raise UserError(f"data set: the archive {archive or ''} is missing; let `snakemake` download it")
    unpacked = place / "unpacked"
    unpacking.unpack(archive, unpacked, unpacking.Limits.of(definition), sources.is_named_as_image)
    found = sources.in_folder(_only_folder(unpacked))
    expected = definition.get("files")
    if expected is not None and len(found) != expected:
        raise UserError(
            f"data set: {archive} holds {len(found)} image files, {expected} were expected; it is another version: "
            "correct `files` of the definition, or find out why"
        )
    yield from _drawn(found, definition, Handling(place, _is_raw(definition), move=True), archive, processes)
    shutil.rmtree(unpacked)


def _is_raw(definition: dict) -> bool:
    return definition.get("feed", "same") == "raw"


def _only_folder(root: Path) -> Path:
    """What an archive is about: archives usually hold one folder that bears their own name."""
    inside = list(root.iterdir())
    return _only_folder(inside[0]) if len(inside) == 1 and inside[0].is_dir() else root


def _drawn(
    found: list[Source], definition: dict, handling: Handling, where: Path, processes: int | None
) -> list[Image]:
    """The images of a data set, in order: all that were found, or so many valid ones as the definition draws."""
    found = _labelled(found, definition, where)
    wanted = definition.get("images", definition.get("sample"))
    enough = definition.get("at_most", wanted)
    if enough is not None:
        # The role is no part of the seed, so that a sample drawn from a folder is part of the full set drawn from it.
        random.Random(definition.get("seed", 1)).shuffle(found)
    taken: list[Image] = []
    valid = 0
    with _opener(min(len(found), enough or len(found)), handling, processes) as open_all:
        while len(taken) < len(found) and (enough is None or valid < enough):
            # Never more than are still needed: what is opened is in the manifest.
            upto = len(found) if enough is None else min(len(found), len(taken) + enough - valid)
            for image in open_all(found[len(taken) : upto], len(taken) + 1):
                taken.append(image)
                valid += image.valid
    if wanted is not None and valid < wanted:
        key = "images" if "images" in definition else "sample"
        raise UserError(f"data set: {where} holds {valid} valid images, {wanted} were asked for; lower `{key}`")
    return taken


def _labelled(found: list[Source], definition: dict, where: Path) -> list[Source]:
    """The files with the labels that the definition wants: their folders' names, those of a label file, or none."""
    if definition.get("labels") == "none":
        return [replace(one, label="") for one in found]
    names = label_files.of(definition)
    if not names:
        return found
    renamed = [replace(one, label=label_files.label(one.label, names)) for one in found]
    if found and renamed == found:
        first = next((one.label for one in found if one.label), "")
        raise UserError(
            f"labels: {definition['labels']} names none of the folders in {where}, such as {first!r}: correct the "
            "column `folder`"
        )
    return renamed


Opener = Callable[[list[Source], int], Iterator[Image]]
# A file to be opened: its number, which becomes its id, where it lies, and what is done with it.
Opened = tuple[int, Source, Handling]


@contextmanager
def _opener(total: int, handling: Handling, processes: int | None) -> Iterator[Opener]:
    """A function that opens files, numbered from its second argument on, and yields their rows in order."""
    with Progress("opening images", total) as progress, opening(total, processes or cores()) as open_each:

        def counted(rows: Iterable[Image]) -> Iterator[Image]:
            for row in rows:
                progress.step()
                yield row

        def jobs(found: list[Source], first: int) -> Iterator[Opened]:
            return ((number, source, handling) for number, source in enumerate(found, first))

        yield lambda found, first: counted(open_each(jobs(found, first)))


@contextmanager
def opening(total: int, processes: int) -> Iterator[Callable[[Iterable[Opened]], Iterator[Image]]]:
    """A function that opens files, about `total` in all, in so many processes, and yields their rows in order.

    Raises:
        UserError: such a process was killed.
    """
    if processes == 1 or total < WORTH_A_POOL:
        yield lambda jobs: map(_take, jobs)
        return
    # Spawned, as on macOS: a forked copy of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, total), context) as pool:
        try:
            yield lambda jobs: pool.map(_take, jobs, chunksize=32)
        except BrokenProcessPool as error:
            raise UserError(
                "data set: a process that opens images was killed, most often for lack of memory; run it again "
                "with fewer --cores"
            ) from error


def _take(job: Opened) -> Image:
    """Open one file, once; put it or its rendering into images/; its row."""
    number, source, handling = job
    name, content = f"{number:06d}", b""
    try:
        content = _read(source.path)
        taken = images.take(content, handling.raw)
    except Rejected as error:
        digest, size = hashlib.sha256(content).hexdigest(), len(content)
        return Image(name, "", digest, size, source.label, False, str(error), source.name)
    path = f"images/{name}{taken.suffix}"
    if taken.rendered is not None:
        content = taken.rendered
        (handling.place / path).write_bytes(content)
    elif handling.move:
        os.replace(source.path, handling.place / path)
    else:
        # Not a hard link: that fails across disks, and an editor that writes in place would change it unseen.
        os.symlink(os.path.abspath(source.path), handling.place / path)
    digest = hashlib.sha256(content).hexdigest()
    return Image(name, path, digest, len(content), source.label, True, "", source.name, taken.form)


def _read(path: Path) -> bytes:
    """The content of a file; Rejected where there is none to be had, or far too much."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Rejected("not a regular file")  # reading a pipe would wait for ever
        if found.st_size > sources.MOST_BYTES:
            raise Rejected(f"absurdly large: {found.st_size:,} bytes")
        return path.read_bytes()
    except OSError as error:
        if error.errno in NO_FILES_FAULT:
            raise UserError(
                f"{path} cannot be read ({error.strerror}), which is not the file's fault: bring back the disk or "
                "network that it lies on, or use fewer --cores where this machine is short of something, then run it "
                "again"
            ) from error
        reason = "a link to nothing" if error.errno == errno.ENOENT and path.is_symlink() else error.strerror
        raise Rejected(f"{UNREADABLE}: {reason}") from None


def count_forms(found: Iterable[Image]) -> Counter[str]:
    """How many valid images had each form, and how many files were left out for each reason."""
    return Counter(image.form or "JPEG" if image.valid else image.reason for image in found)


Builder = Callable[[dict, str, Path, Path | None, int | None], Iterable[Image]]
BUILDERS: dict[str, Builder] = {
    "photos": _build_photos,
    "folder": _build_folder,
    "list": _build_list,
    "archive": _build_archive,
}
