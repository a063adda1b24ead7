"""Data sets: a folder with images/ and manifest.csv, made whole or not at all from a definition."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import random
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy
from PIL import Image as Pillow
from PIL import ImageCms, ImageOps

from vitbench import photographs
from vitbench.errors import UserError
from vitbench.files import staged

# HEIC is listed although Pillow cannot read it: a telephone's photographs should be reported, not overlooked.
EXTENSIONS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif", ".jp2", ".ppm", ".pgm", ".tga"),
}
# What Pillow's decoders raise on bad bytes.
DECODING_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    struct.error, zlib.error, Pillow.DecompressionBombError,
)  # fmt: skip
JPEG_FORMATS = ("JPEG", "MPO")
ORIENTATION = 0x0112


@dataclass(frozen=True)
class Image:
    """One row of a manifest.

    `path` is relative to the manifest's folder, and empty for an invalid image, which is kept in the manifest only;
    `sha256` and `size` (bytes) are those of the file at `path`, or of the source where the image is invalid;
    `source` says where it came from: a path relative to the user's folder, or the name of a photograph.
    """

    id: str
    path: str
    sha256: str
    size: int
    label: str
    valid: bool
    reason: str
    source: str


COLUMNS = [field.name for field in fields(Image)]


def build(definition: dict, role: str, folder: Path) -> list[Image]:
    """Make `folder`/images/<id>.<extension> and `folder`/manifest.csv; return the manifest's rows.

    Raises UserError when the definition names an unknown kind, or what it names is missing or holds no image.
    """
    kind = definition.get("kind")
    if kind not in BUILDERS:
        raise UserError(f"data set: unknown kind {kind!r}; use one of {', '.join(BUILDERS)} in resources/datasets.yaml")
    with staged(Path(folder)) as place:
        (place / "images").mkdir(parents=True)
        images = list(BUILDERS[kind](definition, role, place))
        if not any(image.valid for image in images):
            reasons = f" ({len(images)} looked at; the first: {images[0].reason})" if images else ""
            where = definition.get("folder", kind)
            raise UserError(f"data set: no valid image in {where}{reasons}; name another folder")
        _write_manifest(place / "manifest.csv", images)
    return images


def read_manifest(path: Path) -> list[Image]:
    """All rows of a manifest, valid or not, in its order; UserError when it is not a manifest."""
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            rows = csv.reader(handle)
            if next(rows, None) != COLUMNS:
                raise UserError(f"{path}: not a manifest of columns {', '.join(COLUMNS)}; build the data set again")
            return [_image(row, path) for row in rows]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); build the data set first") from error


def valid_images(path: Path) -> list[Image]:
    """The rows of a manifest whose images are to be classified."""
    return [image for image in read_manifest(path) if image.valid]


def _image(row: list[str], path: Path) -> Image:
    if len(row) != len(COLUMNS) or row[5] not in ("0", "1") or not row[3].isdigit():
        raise UserError(f"{path}: broken row {row[:1]}; build the data set again")
    return Image(*row[:3], int(row[3]), row[4], row[5] == "1", *row[6:])


def _write_manifest(path: Path, images: list[Image]) -> None:
    # A file name that is not valid Unicode is written with its odd bytes as \udcXX: readable, and still a CSV.
    with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as handle:
        rows = csv.writer(handle, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows([int(cell) if isinstance(cell, bool) else cell for cell in astuple(image)] for image in images)


def _add(place: Path, number: int, suffix: str, content: bytes, label: str, source: str) -> Image:
    name = f"{number:06d}"
    path = f"images/{name}{suffix}"
    (place / path).write_bytes(content)
    return Image(name, path, hashlib.sha256(content).hexdigest(), len(content), label, True, "", source)


# --- kind: photos -----------------------------------------------------------------------------------------------------


def _build_photos(definition: dict, role: str, place: Path) -> Iterator[Image]:
    crops = photographs.crops(definition["images"], definition.get("seed", 1), role)
    for number, crop in enumerate(crops, 1):
        yield _add(place, number, ".jpg", crop.jpeg, crop.label, crop.source)


# --- kind: folder -----------------------------------------------------------------------------------------------------


def _build_folder(definition: dict, role: str, place: Path) -> Iterator[Image]:
    root = Path(definition["folder"]).expanduser()
    if not root.is_dir():
        raise UserError(f"data set: folder {root} does not exist; name a folder with images")
    wanted = definition.get("images")
    enough = definition.get("at_most", wanted)
    found = _image_files(root)
    if enough is not None:
        # The role does not enter: a sample drawn from a folder is then a part of the full set drawn from it.
        random.Random(definition.get("seed", 1)).shuffle(found)
    valid = 0
    for number, path in enumerate(found, 1):
        if valid == enough:
            return
        image = _take(root, path, number, place)
        valid += image.valid
        yield image
    if wanted is not None and valid < wanted:
        raise UserError(f"data set: {root} holds {valid} valid images, {wanted} were asked for; lower `images`")


def _image_files(root: Path) -> list[Path]:
    # Hidden files are left out: macOS and file managers keep `._name.jpg` and thumbnails beside the images.
    # Links to folders are not followed, so that a circle of links cannot trap the walk.
    found = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in EXTENSIONS)


def _take(root: Path, path: Path, number: int, place: Path) -> Image:
    source = path.relative_to(root).as_posix()
    label = path.parent.relative_to(root).as_posix()
    label = "" if label == "." else label
    content = b""
    try:
        content = path.read_bytes()
        if not content:
            raise ValueError("empty file")
        # Always a copy, not a hard link: an editor that later saves into the user's file would change the data set
        # under its manifest, and a link would fail where the folder lies on another disk.
        suffix, content_taken = _same_for_all(content)
    except DECODING_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, Pillow.UnidentifiedImageError):
            reason = "not an image that can be decoded"
        elif isinstance(error, OSError) and error.strerror:
            reason = f"cannot be read: {error.strerror}"
        digest = hashlib.sha256(content).hexdigest()
        return Image(f"{number:06d}", "", digest, len(content), label, False, reason, source)
    return _add(place, number, suffix, content_taken, label, source)


def _same_for_all(content: bytes) -> tuple[str, bytes]:
    """Suffix and bytes of an 8-bit RGB image that every framework decodes to the same picture.

    Frameworks differ in what they do with EXIF rotation, alpha, palettes, CMYK and colour profiles, so whatever is not
    a plain RGB JPEG is rendered here, once: to JPEG where it was one (quality 95), else to PNG, which loses nothing.
    """
    with warnings.catch_warnings():
        # Pillow warns about large images and odd metadata; what it cannot decode it raises.
        warnings.simplefilter("ignore")
        with Pillow.open(io.BytesIO(content)) as image:
            image.verify()
        with Pillow.open(io.BytesIO(content)) as image:
            image.load()
            if _is_plain_jpeg(image):
                return ".jpg", content
            rendered = _rendered(image)
            suffix, form = (".jpg", "JPEG") if image.format in JPEG_FORMATS else (".png", "PNG")
    buffer = io.BytesIO()
    rendered.save(buffer, form, **({"quality": 95} if form == "JPEG" else {}))
    return suffix, buffer.getvalue()


def _is_plain_jpeg(image: Pillow.Image) -> bool:
    return (
        image.format == "JPEG"
        and image.mode == "RGB"
        and image.getexif().get(ORIENTATION, 1) == 1
        and "icc_profile" not in image.info
        and image.info.get("adobe_transform", 1) == 1
    )


def _rendered(image: Pillow.Image) -> Pillow.Image:
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        # 16 bits a pixel, which Pillow would clip at 255 rather than scale.
        return Pillow.fromarray((numpy.asarray(image) >> 8).clip(0, 255).astype("uint8")).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels are not supported")
    if image.has_transparency_data:
        # On white, as a browser shows it: the colour under transparent pixels is arbitrary.
        image = image.convert("RGBA")
        return Pillow.alpha_composite(Pillow.new("RGBA", image.size, "white"), image).convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except ImageCms.PyCMSError:
            # A profile that does not fit the pixels is common, and viewers ignore it too.
            return image.convert("RGB")
    return image.convert("RGB")


BUILDERS: dict[str, Callable[[dict, str, Path], Iterator[Image]]] = {"photos": _build_photos, "folder": _build_folder}
