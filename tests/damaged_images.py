"""Images of every format that is opened, damaged in seeded ways: what comes out is an image or a reason, no error.

    python tests/damaged_images.py --each 300

tries so many of each and counts; `tests/unit/test_damaged_images.py` tries a few. With `--folder FOLDER` it takes the
files of a folder as they are, for instance the public test images of Pillow or TwelveMonkeys.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy
from PIL import Image as Pillow
from PIL import ImageCms, PngImagePlugin

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from vitbench.inputs import images  # noqa: E402

RUNS = (1, 2, 8, 100)  # bytes that are lost or slipped in at one place


def _encoded(image: Pillow.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def whole() -> dict[str, bytes]:
    """A sound image of each format and coding, by name."""
    noise = numpy.random.default_rng(1).integers(0, 60, (48, 64, 3), dtype=numpy.uint8)
    image = Pillow.fromarray(noise + numpy.linspace(0, 190, 64).astype("uint8")[:, None])
    grey, palette = image.convert("L"), image.quantize(64)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif, text = Pillow.Exif(), PngImagePlugin.PngInfo()
    exif[images.ORIENTATION], exif[0x0110] = 1, "camera"
    text.add_text("parameters", "a cat " * 50, zip=True)
    more = {"icc_profile": profile, "exif": exif}
    frames = {"save_all": True, "append_images": [image.rotate(20)]}
    return {
        "JPEG": _encoded(image, "JPEG"),
        "JPEG, progressive": _encoded(image, "JPEG", progressive=True),
        "JPEG, EXIF": _encoded(image, "JPEG", exif=exif, subsampling=0),
        "JPEG, profile": _encoded(image, "JPEG", **more),
        "JPEG, grey": _encoded(grey, "JPEG", restart_marker_blocks=4),
        "JPEG, CMYK": _encoded(image.convert("CMYK"), "JPEG"),
        "JPEG, two pictures": _encoded(image, "MPO", **frames),
        "PNG": _encoded(image, "PNG"),
        "PNG, everything": _encoded(palette, "PNG", transparency=3, pnginfo=text, **more),
        "PNG, 16 bits": _encoded(Pillow.fromarray(numpy.asarray(grey).astype("uint16") * 257), "PNG"),
        "PNG, two frames": _encoded(image, "PNG", **frames),
        "GIF": _encoded(palette, "GIF", **frames),
        "WebP": _encoded(image, "WEBP", **more),
        "WebP, lossless": _encoded(image, "WEBP", lossless=True),
        "TIFF": _encoded(image, "TIFF", icc_profile=profile),
        "TIFF, LZW": _encoded(image, "TIFF", compression="tiff_lzw"),
        "TIFF, JPEG": _encoded(image, "TIFF", compression="jpeg"),
        "TIFF, fax": _encoded(image.convert("1"), "TIFF", compression="group4"),
        "BMP": _encoded(image, "BMP"),
        "BMP, palette": _encoded(palette, "BMP"),
        "AVIF": _encoded(image, "AVIF", **more),
        "JPEG 2000": _encoded(image, "JPEG2000"),
        "PPM": _encoded(image, "PPM"),
        "TGA": _encoded(image, "TGA", compression="tga_rle"),
    }


def overwritten(content: bytes, after: bytes) -> bytes:
    """64 bytes overwritten behind those that are named."""
    place = content.index(after) + len(after)
    return content[:place] + bytes(range(64)) + content[place + 64 :]


def damaged(content: bytes, stream: random.Random) -> bytes:
    """Bytes changed, at the head half of the time; or cut off, lost, slipped in, or overwritten by one value."""
    changed = bytearray(content)
    place = stream.randrange(len(changed))
    match stream.choice(("changed", "changed", "changed", "cut", "lost", "slipped in", "overwritten")):
        case "changed":
            end = stream.choice((len(changed), min(len(changed), 700)))
            for _ in range(stream.choice((1, 2, 4, 16, 64))):
                changed[stream.randrange(end)] = stream.randrange(256)
        case "cut":
            del changed[place:]
        case "lost":
            del changed[place : place + stream.choice(RUNS)]
        case "slipped in":
            changed[place:place] = stream.randbytes(stream.choice(RUNS))
        case "overwritten":
            changed[place : place + 16] = bytes([stream.choice((0, 128, 255))]) * 16
    return bytes(changed)


def cases(each: int) -> Iterator[tuple[str, bytes]]:
    """(name, content) of so many damaged images of each kind; the same ones every time."""
    for name, content in whole().items():
        for number in range(each):
            yield f"{name} {number}", damaged(content, random.Random(f"{name}/{number}"))


def outcome(content: bytes) -> str:
    """`plain`, `rendered`, or the reason for which it was refused; any other error is raised."""
    try:
        taken = images.take(content)
    except images.Rejected as error:
        assert str(error) and "\n" not in str(error)
        return str(error)
    return "plain" if taken.rendered is None else "rendered"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=300)
    parser.add_argument("--folder", type=Path, action="append", help="take the files below it instead")
    given = parser.parse_args()
    paths = [path for folder in given.folder or () for path in sorted(folder.rglob("*")) if path.is_file()]
    found = ((str(path), path.read_bytes()) for path in paths) if given.folder else cases(given.each)
    outcomes: Counter[str] = Counter()
    for name, content in found:
        try:
            outcomes[outcome(content)] += 1
        except Exception as error:
            outcomes["an error"] += 1
            print(f"{name}: {type(error).__name__}: {error}")
    refused = outcomes.total() - sum(outcomes[one] for one in ("plain", "rendered", "an error"))
    print(
        f"{outcomes.total()} files: {outcomes['plain']} plain, {outcomes['rendered']} rendered, {refused} refused for "
        f"{len(outcomes.keys() - {'plain', 'rendered', 'an error'})} reasons, {outcomes['an error']} errors"
    )


if __name__ == "__main__":
    main()
