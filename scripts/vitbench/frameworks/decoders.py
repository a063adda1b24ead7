"""Who decodes a JPEG where a framework leaves the choice: Pillow, which transformers takes, or simplejpeg.

Both have libjpeg-turbo inside; simplejpeg decodes a whole file in one call, Pillow row by row into its own layout.
What the image processor gets is the same kind of image in either case. tests/benchmarks/decoders.py says what each
takes, and how far their pixels lie apart.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

PIL = "pil"
SETTING = {"enum": [PIL, "simplejpeg"], "description": "of JPEG files (default: pil)"}
# The tag in EXIF that says how an image is turned; 1 is not at all.
ORIENTATION = 0x0112


def by_pil(given: Any) -> Any:
    """The image in a file (its path, or the image that PIL opened and has not decoded), as `pipeline` has it."""
    from transformers.image_utils import load_image

    return load_image(given)


def plain_jpeg(image: Any) -> bytes | None:
    """The file behind an image that PIL opened and has not decoded; None of what is no JPEG in three colours, or is to
    be turned, which only PIL reads.
    """
    if image.format != "JPEG" or image.mode != "RGB" or image.getexif().get(ORIENTATION, 1) != 1:
        return None
    with image:
        image.fp.seek(0)
        return image.fp.read()


def by_simplejpeg(given: Any) -> Any:
    """As `by_pil`. What `plain_jpeg` has no file of is left to PIL."""
    import PIL.Image
    import simplejpeg

    image = PIL.Image.open(given) if isinstance(given, str) else given
    content = plain_jpeg(image)
    return by_pil(image) if content is None else PIL.Image.fromarray(simplejpeg.decode_jpeg(content, colorspace="RGB"))


LOADERS: dict[str, Callable[[Any], Any]] = {PIL: by_pil, "simplejpeg": by_simplejpeg}


def loader(definition: dict[str, Any]) -> Callable[[Any], Any]:
    """What opens and decodes an image for a variant of this definition."""
    return LOADERS[definition.get("decoder", PIL)]


# What a program (`vitbench.frameworks.declaration.Framework.snippet`) has in place of the first, with simplejpeg.
_IMPORT = "from transformers.image_utils import load_image\n"
_IMPORTS = "import PIL.Image\nimport simplejpeg\n" + _IMPORT
_DECODED = """\
def decoded(path):
    image = PIL.Image.open(path)
    # What is no JPEG in three colours, or is to be turned, is left to PIL.
    if image.format != "JPEG" or image.mode != "RGB" or image.getexif().get(0x0112, 1) != 1:
        return load_image(image)
    with open(path, "rb") as file:
        return PIL.Image.fromarray(simplejpeg.decode_jpeg(file.read(), colorspace="RGB"))


"""


def in_program(program: str, definition: dict[str, Any], before: str) -> str:
    """A program that decodes as a variant of this definition does; `before` begins what calls `load_image` in it."""
    if definition.get("decoder", PIL) == PIL:
        return program
    program = program.replace("load_image(", "decoded(").replace(_IMPORT, _IMPORTS)
    return program.replace(before, _DECODED + before, 1)


def described(definition: dict[str, Any]) -> str:
    """What a record's `setting` says of a variant's decoder; nothing of Pillow."""
    decoder = definition.get("decoder", PIL)
    return "" if decoder == PIL else f", decoder {decoder} (Pillow for what is no plain JPEG)"


def versions(definition: dict[str, Any]) -> dict[str, str]:
    """The version of a variant's decoder, for its record; nothing of Pillow's."""
    decoder = definition.get("decoder", PIL)
    return {} if decoder == PIL else {decoder: metadata.version(decoder)}
