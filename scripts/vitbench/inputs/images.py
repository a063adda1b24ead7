"""One image file: whether it is one, what form it has, and what every framework is given in its place.

Frameworks differ in what they do with EXIF rotation, alpha, palettes, CMYK and colour profiles. So only a plain RGB
JPEG is used as it is; everything else is rendered once, and all frameworks get that copy.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass

import numpy
from PIL import Image as Pillow
from PIL import ImageCms, ImageOps

# HEIC is listed although Pillow cannot read it: a telephone's photographs should be reported, not overlooked.
EXTENSIONS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif", ".jp2", ".ppm", ".pgm", ".tga"),
}
# What Pillow's decoders raise on bad bytes.
DECODING_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, MemoryError,
    struct.error, zlib.error,
)  # fmt: skip
# Above these a file is no photograph but an accident or an attack: decoded it takes 537 MB, and Pillow refuses as well.
MOST_PIXELS = 178_956_970
MOST_BYTES = 1_000_000_000
JPEG_FORMATS = ("JPEG", "MPO")
ORIENTATION = 0x0112
TRAITS = {
    "1": "black and white", "L": "grey", "LA": "grey", "La": "grey", "P": "palette", "PA": "palette", "CMYK": "CMYK",
    "YCbCr": "YCbCr", "I": "16 bits", "I;16": "16 bits", "I;16L": "16 bits", "I;16B": "16 bits", "I;16N": "16 bits",
}  # fmt: skip
SUPPORTED = {*TRAITS, "RGB", "RGBA", "RGBa", "RGBX"}


class Rejected(Exception):
    """The bytes are no image that can be used; the message is the reason, in one line."""


@dataclass(frozen=True)
class Taken:
    """An image that can be used."""

    form: str
    """what it was, "" for a plain RGB JPEG: its format and what else is not plain, "PNG, palette, transparent" """
    suffix: str
    rendered: bytes | None
    """what takes the file's place; None where the file itself serves"""


def take(content: bytes, raw: bool = False) -> Taken:
    """Decode the bytes of a file as a whole, and render them where frameworks would disagree.

    A JPEG is rendered to JPEG (quality 95), else to PNG, which loses nothing; always 8-bit RGB.

    Args:
        raw: never render: frameworks get what lies there.
    Raises:
        Rejected: it is not an image, truncated, without pixels, absurdly large, or of an unsupported mode.
    """
    if not content:
        raise Rejected("empty file")
    try:
        with warnings.catch_warnings():
            # Pillow warns about large images and odd metadata; what it cannot decode it raises.
            warnings.simplefilter("ignore")
            return _decoded(content, raw)
    except Pillow.UnidentifiedImageError:
        raise Rejected("not an image that can be decoded") from None
    except Pillow.DecompressionBombError:
        raise Rejected(f"absurdly large: more than {MOST_PIXELS:,} pixels") from None
    except DECODING_ERRORS as error:
        raise Rejected(" ".join(str(error).split()) or type(error).__name__) from None


def _decoded(content: bytes, raw: bool) -> Taken:
    with Pillow.open(io.BytesIO(content)) as image:
        _check_header(image)
        image.verify()
    with Pillow.open(io.BytesIO(content)) as image:
        image.load()
        # Pillow has one mode for 32-bit pixels and for some files with 16.
        if image.mode == "I" and not 0 <= min(image.getextrema()) <= max(image.getextrema()) <= 0xFFFF:
            raise Rejected("unsupported mode: 32-bit pixels")
        form = _form(image)
        if raw or not form:
            return Taken(form, _suffix(image), None)
        suffix, format = (".jpg", "JPEG") if image.format in JPEG_FORMATS else (".png", "PNG")
        rendered = _rendered(image)
    buffer = io.BytesIO()
    rendered.save(buffer, format, **({"quality": 95} if format == "JPEG" else {}))
    return Taken(form, suffix, buffer.getvalue())


def _check_header(image: Pillow.Image) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise Rejected(f"no pixels: {width} x {height}")
    if width * height > MOST_PIXELS:
        raise Rejected(f"absurdly large: {width} x {height} pixels, more than {MOST_PIXELS:,}")
    if image.mode == "F":
        raise Rejected("unsupported mode: floating-point pixels")
    if image.mode not in SUPPORTED:
        raise Rejected(f"unsupported mode: {image.mode}")


def _suffix(image: Pillow.Image) -> str:
    """The usual suffix of an image's format."""
    return {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}.get(
        image.format, f".{image.format.lower()}"
    )


def _form(image: Pillow.Image) -> str:
    """Format and peculiarities; "" for a JPEG in RGB, upright, without a colour profile, in the usual colour space."""
    traits = [image.format if image.format not in JPEG_FORMATS else "JPEG", TRAITS.get(image.mode, "")]
    if image.has_transparency_data:
        traits.append("transparent")
    if image.getexif().get(ORIENTATION, 1) != 1:
        traits.append("rotated")
    if "icc_profile" in image.info:
        traits.append("colour profile")
    if image.info.get("adobe_transform", 1) != 1 and image.mode == "RGB":
        traits.append("untransformed")
    if image.format == "MPO":
        traits.append("several pictures")
    found = ", ".join(filter(None, traits))
    return "" if found == "JPEG" else found


def _rendered(image: Pillow.Image) -> Pillow.Image:
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        # 16 bits a pixel, which Pillow would clip at 255 rather than scale.
        return Pillow.fromarray((numpy.asarray(image) >> 8).astype("uint8")).convert("RGB")
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
