"""Pictures that travel within the page, as `data:` addresses: thumbnails of photographs, charts made small."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image, ImageOps

from vitbench.files import sha256

THUMBNAIL, QUALITY = 160, 72  # pixels of the longer side; of JPEG
SCALE, COLORS = 0.4, 64


def address(content: bytes, kind: str) -> str:
    """The `data:` address of a picture, `kind` as in image/<kind>."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def thumbnail(path: Path, digest: str) -> tuple[str, str]:
    """The address of a small JPEG of the image at `path`, or "" and why there is none.

    Args:
        digest: sha256 that the file must have: another image than the one that was classified would mislead.
    """
    if not path.is_file():
        return "", "the image is not here"
    if sha256(path) != digest:
        return "", "the image here is not the one that was classified"
    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * THUMBNAIL, 2 * THUMBNAIL))  # a JPEG need not be decoded in full size
            small = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        return "", f"it cannot be shown ({type(error).__name__})"
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=QUALITY)
    return address(content.getvalue(), "jpeg"), ""


def small(picture: Path) -> bytes:
    """A chart (png) at SCALE of its size, in COLORS colours."""
    with Image.open(picture) as image:
        size = (round(image.width * SCALE), round(image.height * SCALE))
        reduced = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        reduced = reduced.quantize(COLORS, Image.Quantize.FASTOCTREE)  # median cut turns few blue pixels grey
    content = io.BytesIO()
    reduced.save(content, "PNG", optimize=True)
    return content.getvalue()
