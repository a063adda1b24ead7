"""A folder of photographs as people have them: many forms, odd names, bad files among them.

    python tests/mixed_images.py ~/mixed --images 520

makes one for a run by hand (docs/own.md); `tests/smoke/test_own_images.py` makes its own.
"""

from __future__ import annotations

import argparse
import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy
from PIL import Image as Pillow

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from vitbench.inputs import photographs  # noqa: E402

SEED, ROLE = 1, "heldout"  # crops that no classifier was fitted on


def _encode(image: Pillow.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _rotated(image: Pillow.Image) -> bytes:
    """Lying on its side, with the EXIF entry that sets it upright."""
    exif = Pillow.Exif()
    exif[0x0112] = 6
    return _encode(image.transpose(Pillow.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)


def _transparent(image: Pillow.Image) -> bytes:
    image = image.convert("RGBA")
    image.putalpha(Pillow.new("L", image.size, 255))
    return _encode(image, "PNG")


def _sixteen_bits(image: Pillow.Image) -> bytes:
    grey = numpy.asarray(image.convert("L"), dtype=numpy.uint16)
    return _encode(Pillow.fromarray(grey * 257), "PNG")


# Ending of the name → how the photograph is written.
FORMS: dict[str, Callable[[Pillow.Image], bytes]] = {
    ".jpg": lambda image: _encode(image, "JPEG", quality=90),
    ".JPEG": lambda image: _encode(image, "JPEG", quality=90, progressive=True),
    ".rotated.jpg": _rotated,
    ".cmyk.jpg": lambda image: _encode(image.convert("CMYK"), "JPEG", quality=95),
    ".png": lambda image: _encode(image, "PNG"),
    ".transparent.png": _transparent,
    ".webp": lambda image: _encode(image, "WEBP", quality=95),
    ".bmp": lambda image: _encode(image, "BMP"),
    ".palette.png": lambda image: _encode(image.quantize(256), "PNG"),
    ".tiff": lambda image: _encode(image, "TIFF"),
    ".gif": lambda image: _encode(image.quantize(256), "GIF"),
    ".grey.jpg": lambda image: _encode(image.convert("L"), "JPEG", quality=95),
    ".16 bits.png": _sixteen_bits,
}  # fmt: skip


def _bomb() -> bytes:
    """A PNG of a few bytes that says it has 2.5 thousand million pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _bad() -> dict[str, bytes]:
    photograph = _encode(Pillow.effect_noise((400, 300), 60).convert("RGB"), "JPEG")
    return {
        "empty.jpg": b"",
        "text.png": b"no image",
        "cut.jpg": photograph[: len(photograph) // 3],
        "bomb.png": _bomb(),
        "floating point.tif": _encode(Pillow.new("F", (40, 30), 0.5), "TIFF"),
        "page.jpeg": b"<html><script>alert(1)</script></html>",
    }


def plant(folder: Path, images: int) -> set[str]:
    """Write `images` photographs, in a folder for each label, and the bad files beside; the names of the latter."""
    for number, crop in enumerate(photographs.crops(images, SEED, ROLE)):
        ending = list(FORMS)[number // len(photographs.PHOTOGRAPHS) % len(FORMS)]
        place = folder / crop.label
        place.mkdir(parents=True, exist_ok=True)
        with Pillow.open(io.BytesIO(crop.jpeg)) as image:
            (place / f"{number} é,\n{ending}").write_bytes(FORMS[ending](image))
    bad = _bad()
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    return set(bad)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=520)
    given = parser.parse_args()
    print(f"{given.images} photographs and {len(plant(given.folder, given.images))} bad files in {given.folder}")
