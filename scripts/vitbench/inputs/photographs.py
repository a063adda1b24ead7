"""Seeded crops of ten photographs that the installed packages carry, as JPEG of ImageNet's or of a camera's sizes."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageChops

from vitbench.errors import UserError

# label → (package, path of the file inside it). The packages' own loaders are not used: importing them costs seconds.
PHOTOGRAPHS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "cat": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "galaxies": ("skimage", "data/hubble_deep_field.jpg"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "retina": ("skimage", "data/retina.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "temple": ("sklearn", "datasets/images/china.jpg"),
    "tissue": ("skimage", "data/ihc.png"),
}
DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
# Repeated entries are weights: half of ImageNet is 500 × 375 or close to it.
SIZES = ((500, 375),) * 6 + ((375, 500),) * 2 + ((500, 333), (333, 500), (500, 500), (400, 300), (640, 480), (800, 600))
QUALITIES = (75, 80, 85, 90, 92, 95)
# Of a camera's photographs: sides 4:3, a quarter of them upright, high qualities.
ASPECT, UPRIGHT = 4 / 3, 0.25
CAMERA_QUALITIES = (90, 92, 95)
# Grey levels by which a sensor's noise moves a pixel at most. An enlarged crop is smooth; without noise its file would
# be a fifth of a camera's, and would be decoded faster.
GRAIN = 6
SMALLEST_CROP = 0.5  # of the largest rectangle of that shape in the photograph: less can show bare sky or wall


@dataclass(frozen=True)
class Crop:
    """One JPEG: its label, the name of the photograph it was cut from, and its bytes."""

    label: str
    source: str
    jpeg: bytes


def labels() -> list[str]:
    """The labels of the photographs, sorted; their positions are the class numbers of the seeded models."""
    return sorted(PHOTOGRAPHS)


def crops(images: int, seed: int, role: str, megapixels: float | None = None) -> Iterator[Crop]:
    """Yield `images` crops, labels balanced, determined by `seed`, `role`, `megapixels` and the position alone.

    Fewer images are therefore a prefix of more images. Raises UserError when a photograph is missing.

    Args:
        megapixels: size of each image in millions of pixels, as from a camera; None: of sizes as in ImageNet.
    """
    for index in range(images):
        turn, position = divmod(index, len(PHOTOGRAPHS))
        label = _shuffled(labels(), random.Random(f"{seed}/{role}/order/{turn}"))[position]
        yield _crop(label, random.Random(f"{seed}/{role}/{index}"), megapixels)


def _crop(label: str, stream: random.Random, megapixels: float | None) -> Crop:
    # Only stream.random() is used: Python promises its sequence across versions, but not that of choice or shuffle.
    photograph = _photograph(label)
    width, height = _pick(SIZES, stream) if megapixels is None else _camera_size(megapixels, stream)
    largest = min(photograph.width / width, photograph.height / height)
    scale = largest * (SMALLEST_CROP + (1 - SMALLEST_CROP) * stream.random())
    left = (photograph.width - width * scale) * stream.random()
    top = (photograph.height - height * scale) * stream.random()
    box = (left, top, min(left + width * scale, photograph.width), min(top + height * scale, photograph.height))
    crop = photograph.resize((width, height), Image.Resampling.BICUBIC, box=box)
    if stream.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if megapixels is not None:
        crop = _with_grain(crop, stream)
    buffer = io.BytesIO()
    crop.save(buffer, "JPEG", quality=_pick(QUALITIES if megapixels is None else CAMERA_QUALITIES, stream))
    return Crop(label, PHOTOGRAPHS[label][1].rsplit("/", 1)[-1], buffer.getvalue())


def _camera_size(megapixels: float, stream: random.Random) -> tuple[int, int]:
    long, short = round(math.sqrt(megapixels * 1e6 * ASPECT)), round(math.sqrt(megapixels * 1e6 / ASPECT))
    return (short, long) if stream.random() < UPRIGHT else (long, short)


def _with_grain(image: Image.Image, stream: random.Random) -> Image.Image:
    """The image with noise as of a sensor, the same in its three colours: up to GRAIN levels brighter or darker."""
    noise = hashlib.shake_256(repr(stream.random()).encode()).digest(image.width * image.height)
    levels = Image.frombytes("L", image.size, noise).point([value * (2 * GRAIN + 1) // 256 for value in range(256)])
    return ImageChops.add(image, Image.merge("RGB", [levels] * 3), scale=1, offset=-GRAIN)


def _pick(choices: Sequence, stream: random.Random):
    return choices[int(stream.random() * len(choices))]


def _shuffled(items: list[str], stream: random.Random) -> list[str]:
    return [item for _, item in sorted((stream.random(), item) for item in items)]


@cache
def _photograph(label: str) -> Image.Image:
    path = photograph_path(label)
    with Image.open(path) as image:
        return image.convert("RGB")


def photograph_path(label: str) -> Path:
    """Where the photograph of `label` lies in the installed packages; UserError when it does not."""
    package, inside = PHOTOGRAPHS[label]
    specification = importlib.util.find_spec(package)
    folders = specification.submodule_search_locations if specification else None
    path = Path(next(iter(folders))) / inside if folders else None
    if path is None or not path.is_file():
        name = DISTRIBUTIONS[package]
        raise UserError(
            f"photograph '{label}' is missing: {inside} of {name} ({path or 'package not installed'}); "
            f"install {name} again as locked in envs/"
        )
    return path
