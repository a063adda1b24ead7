"""One image file: whether it is one, what form it has, and what every framework is given in its place.

Frameworks differ in what they do with EXIF rotation, alpha, palettes, CMYK, colour profiles and rare codings. So only a
plain RGB JPEG, which all of their decoders read alike, is used as it is; everything else is rendered once, and all
frameworks get that copy.
"""

from __future__ import annotations

import io
import struct
import traceback
import warnings
import zlib
from dataclasses import dataclass

import numpy
from PIL import Image as Pillow
from PIL import ImageCms, PngImagePlugin

from vitbench.inputs import jpeg

# What is opened, whatever a file is called: Pillow knows more, one of which (EPS) starts another program.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM", "TGA")
# What people have under these names too; (place, first bytes, name).
OTHERS = (
    *((0, b"%!PS", "EPS"), (0, b"\xc5\xd0\xd3\xc6", "EPS"), (0, b"%PDF", "PDF"), (0, b"8BPS", "PSD")),
    *((0, b"DDS ", "DDS"), (0, b"BLP", "BLP"), (0, b"\0\0\1\0", "ICO"), (0, b"qoif", "QOI")),
    *((4, b"ftyphei", "HEIC"), (4, b"ftyphev", "HEIC"), (4, b"ftypmif1", "HEIC"), (4, b"ftypmsf1", "HEIC")),
    *((0, b"\xff\x0a", "JPEG XL"), (4, b"JXL \r\n", "JPEG XL")),
)
# Above these a file is no photograph but an accident or an attack: decoded it takes 537 MB, and Pillow refuses as well.
MOST_PIXELS = 178_956_970
# Java's AffineTransformOp, with which Spark NLP resizes, fails above this, and with it every image of the data set.
MOST_SIDE = 32_767
# Image generators write their whole programme as text into a PNG, which Pillow allows up to 1 MB.
MOST_TEXT = 64_000_000
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_FORMATS = ("JPEG", "MPO")
ORIENTATION = 0x0112
# EXIF orientation → what sets the picture upright; any other number says nothing (CIPA DC-008, 4.6.5).
UPRIGHT = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
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

    A JPEG is rendered to JPEG (quality 95), else to PNG, which loses nothing; always 8-bit RGB, upright, in sRGB, no
    side longer than `MOST_SIDE`. A damaged colour profile or EXIF is left out.

    Args:
        raw: never render: frameworks get what lies there.
    Raises:
        Rejected: it is not an image of one of `FORMATS`, truncated, without pixels, absurdly large, or of an
            unsupported mode.
    """
    if not content:
        raise Rejected("empty file")
    try:
        with warnings.catch_warnings():
            # Pillow warns about large images and odd metadata; what it cannot decode it raises.
            warnings.simplefilter("ignore")
            return _decoded(content, raw)
    except Pillow.UnidentifiedImageError:
        raise Rejected(_unidentified(content)) from None
    except Pillow.DecompressionBombError:
        raise Rejected(f"absurdly large: more than {MOST_PIXELS:,} pixels") from None
    except Exception as error:
        if isinstance(error, Rejected) or not _is_pillows(error):
            raise
        raise Rejected(" ".join(str(error).split()) or type(error).__name__) from None


def _is_pillows(error: Exception) -> bool:
    """Whether an error came up inside Pillow: its decoders raise whatever bad bytes lead to, of any class.

    An error in this module's own frames is a mistake here, and no property of the file.
    """
    return any(frame.f_globals["__name__"].startswith("PIL.") for frame, _ in traceback.walk_tb(error.__traceback__))


def _unidentified(content: bytes) -> str:
    for place, magic, name in OTHERS:
        if content.startswith(magic, place):
            return f"not an image that can be decoded: {name}, which is not read; convert it to JPEG or PNG"
    return "not an image that can be decoded"


def _opened(content: bytes) -> Pillow.Image:
    return Pillow.open(io.BytesIO(content), formats=FORMATS)


def _decoded(content: bytes, raw: bool) -> Taken:
    if content.startswith(PNG_SIGNATURE):
        content = _without_damaged_chunks(content)
        PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = MOST_TEXT
        with _opened(content) as image:
            _check_header(image)
            image.verify()
    with _opened(content) as image:
        _check_header(image)
        form = _form(image, content) if image.format in JPEG_FORMATS else None
        if form == "":
            # Whether Pillow reads all of it shows as well at an eighth of the size.
            image.draft("L", (1, 1))
        image.load()
        # Pillow has one mode for 32-bit pixels and for some files with 16.
        if image.mode == "I" and not 0 <= min(image.getextrema()) <= max(image.getextrema()) <= 0xFFFF:
            raise Rejected("unsupported mode: 32-bit pixels")
        if form is None:
            form = _form(image, content)
        if raw and max(image.size) > MOST_SIDE:
            raise Rejected(f"a side of {max(image.size):,} pixels, which Spark's engines cannot resize: not fed raw")
        if raw or not form:
            return Taken(form, _suffix(image), None)
        suffix, format = (".jpg", "JPEG") if image.format in JPEG_FORMATS else (".png", "PNG")
        rendered = _rendered(image)
    buffer = io.BytesIO()
    rendered.save(buffer, format, **({"quality": 95} if format == "JPEG" else {}))
    return Taken(form, suffix, buffer.getvalue())


def _without_damaged_chunks(content: bytes) -> bytes:
    """A PNG without those chunks whose checksum is wrong and whose name says that one may do without (small letter).

    So does libpng, hence browsers; Pillow gives up the whole image for a flipped bit in its text.
    """
    kept, place, from_ = [], len(PNG_SIGNATURE), 0
    while place + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        end = place + 12 + length
        if end > len(content):
            break
        if name[0] & 0x20 and zlib.crc32(content[place + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], "big"):
            kept.append(content[from_:place])
            from_ = end
        place = end
    return b"".join([*kept, content[from_:]]) if kept else content


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


def _form(image: Pillow.Image, content: bytes) -> str:
    """Format and peculiarities; "" for a JPEG in RGB that every framework's decoder turns into the same pixels."""
    is_jpeg = image.format in JPEG_FORMATS
    traits = ["JPEG" if is_jpeg else image.format, TRAITS.get(image.mode, "")]
    if image.has_transparency_data:
        traits.append("transparent")
    orientation = _orientation(image)
    if orientation in UPRIGHT:
        traits.append("rotated")
    elif orientation is None:
        traits.append("damaged EXIF")
    if "icc_profile" in image.info:
        traits.append("colour profile" if _profile(image) else "damaged colour profile")
    if is_jpeg and image.mode == "RGB":
        traits += jpeg.peculiarities(content)
    if image.format == "MPO":
        traits.append("several pictures")
    if max(image.size) > MOST_SIDE:
        traits.append(f"a side above {MOST_SIDE} pixels")
    found = ", ".join(filter(None, traits))
    return "" if found == "JPEG" else found


def _orientation(image: Pillow.Image) -> object:
    """What EXIF (or XMP) says of how the picture lies, 1 where they say nothing; None where they cannot be read."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception as error:
        if not _is_pillows(error):
            raise
        return None


def _profile(image: Pillow.Image) -> ImageCms.ImageCmsProfile | None:
    """The colour profile; None where there is none, or none that can be read."""
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    except (KeyError, OSError):
        return None


def _rendered(image: Pillow.Image) -> Pillow.Image:
    """Upright, sRGB, 8 bits, no side too long, and without anything beside its pixels."""
    profile, turn = _profile(image), UPRIGHT.get(_orientation(image))
    if turn is not None:
        image = image.transpose(turn)
    image = _in_colour(image, profile)
    if max(image.size) > MOST_SIDE:
        image.thumbnail((MOST_SIDE, MOST_SIDE))
    image.info.clear()
    return image


def _in_colour(image: Pillow.Image, profile: ImageCms.ImageCmsProfile | None) -> Pillow.Image:
    if image.mode.startswith("I"):
        # 16 bits a pixel, which Pillow would clip at 255 rather than scale.
        return Pillow.fromarray((numpy.asarray(image) >> 8).astype("uint8")).convert("RGB")
    if image.has_transparency_data:
        # On white, as a browser shows it: the colour under transparent pixels is arbitrary.
        image = image.convert("RGBA")
        return Pillow.alpha_composite(Pillow.new("RGBA", image.size, "white"), image).convert("RGB")
    if profile:
        try:
            return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except ImageCms.PyCMSError:
            pass  # a profile that does not fit the pixels is common, and viewers ignore it too
    return image.convert("RGB")
