"""Decoders: both give the same kind of image, and what simplejpeg cannot do is left to Pillow."""

from __future__ import annotations

import io

import numpy
import pytest
from PIL import Image

from vitbench.frameworks import decoders
from vitbench.inputs import photographs


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    (crop,) = photographs.crops(1, 3, "heldout")
    return crop.jpeg


def written(folder, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def again(jpeg: bytes, form: str = "JPEG", mode: str = "RGB", **options) -> bytes:
    """The picture in another form."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as image:
        image.convert(mode).save(file, form, **options)
    return file.getvalue()


def both(given) -> tuple[Image.Image, Image.Image]:
    return decoders.by_pil(given), decoders.by_simplejpeg(given)


def test_a_variant_that_names_no_decoder_has_pillow():
    assert (
        decoders.loader({}) is decoders.by_pil and decoders.loader({"decoder": "simplejpeg"}) is decoders.by_simplejpeg
    )
    assert set(decoders.SETTING["enum"]) == set(decoders.LOADERS)
    assert decoders.described({}) == "" and decoders.versions({}) == {}


def test_pixels_of_a_photograph_lie_within_a_step_of_each_other(tmp_path, jpeg):
    one, other = both(written(tmp_path, "a.jpg", jpeg))
    assert other.mode == "RGB" and other.size == one.size
    assert numpy.abs(numpy.asarray(one, numpy.int16) - numpy.asarray(other, numpy.int16)).max() <= 1


def test_simplejpeg_decodes_what_it_can(tmp_path, jpeg, monkeypatch):
    monkeypatch.setattr(decoders, "by_pil", lambda _: pytest.fail("Pillow was asked"))
    assert decoders.by_simplejpeg(written(tmp_path, "a.jpg", jpeg)).mode == "RGB"
    # As rows of a Parquet file are opened: not decoded yet, and no file.
    assert decoders.by_simplejpeg(Image.open(io.BytesIO(jpeg))).mode == "RGB"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("grey.jpg", {"mode": "L"}),
        ("inks.jpg", {"mode": "CMYK"}),
        ("a.png", {"form": "PNG"}),
        ("palette.png", {"form": "PNG", "mode": "P"}),
        ("turned.jpg", {"exif": {decoders.ORIENTATION: 6}}),
    ],
)
def test_anything_else_is_what_pillow_makes_of_it(tmp_path, jpeg, name, options):
    if "exif" in options:
        tags = Image.Exif()
        tags.update(options["exif"])
        options = {"exif": tags}
    one, other = both(written(tmp_path, name, again(jpeg, **options)))
    assert one.mode == other.mode == "RGB"
    assert numpy.array_equal(numpy.asarray(one), numpy.asarray(other))


def test_a_broken_file_is_an_error_of_either(tmp_path, jpeg):
    path = written(tmp_path, "a.jpg", jpeg[: len(jpeg) // 2])
    for load in decoders.LOADERS.values():
        with pytest.raises((OSError, ValueError)):
            load(path).load()
