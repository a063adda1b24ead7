"""What happens to an image before the model sees it, by preprocessor_config.json: one form, whatever the spelling.

Standard library only, as `vitbench.inputs.checkpoints`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from vitbench.errors import UserError
from vitbench.inputs import values

# Filters of resizing by Pillow's number, as preprocessor_config.json names them, and by word.
FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
# What transformers takes for a key of preprocessor_config.json that is missing or null, by kind of image processor; of
# other kinds each key must be there.
_VIT = {
    "do_resize": True, "size": 224, "resample": 2, "do_center_crop": False, "crop_size": None, "do_rescale": True,
    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": 0.5, "image_std": 0.5,
}  # fmt: skip
PROCESSOR_DEFAULTS = {
    "ViT": _VIT,
    "DeiT": _VIT | {"size": 256, "resample": 3, "do_center_crop": True, "crop_size": 224},
}


@dataclass(frozen=True)
class Preprocessing:
    """From pixels (0 to 255) to what the model sees: resized, cropped, times `factor`, minus mean, by deviation."""

    resize: tuple[int, int] | int
    """height and width; one number is the length of the shorter side"""
    crop: tuple[int, int] | None
    """height and width of the centre that is cut out, None where nothing is"""
    filter: str
    """one of FILTERS"""
    factor: float
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    @property
    def squashes(self) -> bool:
        """Whether it only resizes, whatever the image's shape: no crop, nothing kept of the aspect ratio."""
        return self.crop is None and not isinstance(self.resize, int)

    def of_unit(self) -> tuple[list[float], list[float]]:
        """Mean and deviation for pixels / 255: (x f - m) / s = (x / 255 - m / 255 f) / (s / 255 f)."""
        scale = 255 * self.factor
        if math.isclose(scale, 1, rel_tol=1e-6):
            return list(self.mean), list(self.deviation)
        return [one / scale for one in self.mean], [one / scale for one in self.deviation]


def understood(given: dict[str, Any], model_type: str, side: int, name: str, square: bool) -> Preprocessing:
    """What a preprocessor_config.json means.

    Args:
        side: pixels of each side that the model wants.
        name: of the model, as the user knows it.
        square: resize to the model's own square, whatever is given of size and crop.
    Raises:
        UserError: no framework can do what is given, or it does not end in the model's square.
    """
    settings = _settings(given, model_type, name, square)
    resize, crop = ((side, side), None) if square else _geometry(settings, side, name)
    filtered = _filter(settings["resample"])
    if filtered is None:
        known = ", ".join(f"{number} {one}" for number, one in enumerate(FILTERS))
        raise UserError(
            f"model {name}: resample is {values.shown(settings['resample'])} in preprocessor_config.json: write a "
            f"number or a word of {known}"
        )
    factor = values.number(settings["rescale_factor"]) if settings["do_rescale"] else 1.0
    if not factor or factor < 0:
        raise UserError(
            f"model {name}: rescale_factor is {values.shown(settings['rescale_factor'])} in preprocessor_config.json, "
            "no number above 0: correct it (1/255 is usual)"
        )
    mean, deviation = (0.0,) * 3, (1.0,) * 3
    if settings["do_normalize"]:
        mean, deviation = (_colours(settings[key], key, name) for key in ("image_mean", "image_std"))
    if not all(one > 0 for one in deviation):
        raise UserError(f"model {name}: image_std in preprocessor_config.json must be above 0: correct it")
    return Preprocessing(resize, crop, filtered, factor, mean, deviation)


def _settings(given: dict[str, Any], model_type: str, name: str, square: bool) -> dict[str, Any]:
    """Every key with its value or its known default."""
    kind = given.get("image_processor_type") or given.get("feature_extractor_type")
    kind = re.sub(r"(ImageProcessor|FeatureExtractor)(Fast|Pil)?$", "", str(kind)) if kind else ""
    kind = kind or {"vit": "ViT", "deit": "DeiT"}[model_type]
    defaults = PROCESSOR_DEFAULTS.get(kind)
    stated = {key: value for key, value in given.items() if value is not None}
    needed = ("resample", "image_mean", "image_std") + (() if square else ("size",))
    if defaults is None and (lacking := [key for key in needed if key not in stated]):
        raise UserError(
            f"model {name}: preprocessor_config.json of a {kind}ImageProcessor has no {lacking[0]}: add it"
            + ("" if square else "; `preprocessing: square` in the model's definition needs no sizes")
        )
    settings = _VIT | (defaults or {}) | stated
    for key in ("do_resize", "do_center_crop", "do_rescale", "do_normalize"):
        if not isinstance(settings[key], bool):
            raise UserError(
                f"model {name}: {key} is {values.shown(settings[key])} in preprocessor_config.json: write true or false"
            )
    if defaults is None and isinstance(settings["size"], int) and not square:
        raise UserError(
            f"model {name}: size is {settings['size']} in preprocessor_config.json, which may mean two things for a "
            f'{kind}ImageProcessor: write {{"height": …, "width": …}} or {{"shortest_edge": …}}'
        )
    return settings


def _geometry(settings: dict[str, Any], side: int, name: str) -> tuple[tuple[int, int] | int, tuple[int, int] | None]:
    """How images are resized and cropped; UserError unless that makes each the model's square."""
    size, crop = settings["size"], None
    resize: tuple[int, int] | int | None = values.sides(size)
    if isinstance(size, dict) and resize is None:
        resize = values.whole(size.get("shortest_edge")) if size.keys() == {"shortest_edge"} else None
    if settings["do_center_crop"]:
        crop = values.sides(settings["crop_size"] if settings["crop_size"] is not None else size)
        if crop == resize == (side, side):
            crop = None  # nothing is cut off
    what = crop or resize
    if not settings["do_resize"] or not resize or settings.get("do_pad") or what != (side, side):
        cut = f", crop_size {values.shown(settings['crop_size'])}" if settings["do_center_crop"] else ""
        cut += "" if settings["do_resize"] else ", do_resize false"
        raise UserError(
            f"model {name}: preprocessor_config.json must make each image {side} x {side}, as the model wants it; size "
            f"is {values.shown(size)}{cut}: correct it, or write `preprocessing: square` in the model's definition, "
            "which does that in all frameworks"
        )
    return resize, crop


def _filter(value: Any) -> str | None:
    if isinstance(value, str) and (word := value.strip().lower().rpartition(".")[2].removesuffix("-exact")) in FILTERS:
        return word
    number = values.whole(value)
    return FILTERS[number] if number is not None and 0 <= number < len(FILTERS) else None


def _colours(value: Any, key: str, name: str) -> tuple[float, float, float]:
    """One number for each colour; one number alone stands for all three."""
    numbers = [values.number(one) for one in (value if isinstance(value, (list, tuple)) else [value])]
    if len(numbers) not in (1, 3) or None in numbers:
        raise UserError(
            f"model {name}: {key} is {values.shown(value)} in preprocessor_config.json: write three numbers, one a "
            "colour"
        )
    return (*numbers,) if len(numbers) == 3 else (numbers[0],) * 3
