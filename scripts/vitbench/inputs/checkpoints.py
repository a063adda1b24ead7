"""What a checkpoint is, by its config.json and preprocessor_config.json: checked once, said once, for every framework.

Standard library only: bare Snakemake reads it before any job, and the environment that writes SavedModels too. What
means the same is brought to one form here (96, "96", [96, 96]); what no framework can do ends here, in one line. What
one framework cannot do is its own to say (`vitbench.frameworks.refusal`).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitbench.errors import UserError

# What a checkpoint may be: `model_type` in its config.json → `architectures`; the first is meant if none is named.
ARCHITECTURES = {
    "vit": ("ViTForImageClassification",),
    "deit": ("DeiTForImageClassification", "DeiTForImageClassificationWithTeacher"),
}
# Filters of resizing by Pillow's number, as preprocessor_config.json names them, and by word.
FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
# What transformers takes for a key of config.json that is missing or null.
SIDES = {"image_size": 224, "patch_size": 16}
COUNTS = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "num_channels": 3,
}  # fmt: skip
# The same of preprocessor_config.json, by kind of image processor; of other kinds each key must be there.
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


@dataclass(frozen=True)
class Checkpoint:
    """What a ViT or DeiT classifier is."""

    name: str
    """what the user knows it by"""
    model_type: str
    architecture: str
    image_size: int
    """pixels of each side"""
    patch_size: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    channels: int
    labels: tuple[str, ...]
    """in the order of the model's outputs, no two alike"""
    preprocessing: Preprocessing

    @property
    def config(self) -> dict[str, Any]:
        """The keys of config.json that this module understands, each in its usual form."""
        return {
            "model_type": self.model_type,
            "architectures": [self.architecture],
            "image_size": self.image_size,
            "patch_size": self.patch_size,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.intermediate_size,
            "num_channels": self.channels,
            "id2label": dict(enumerate(self.labels)),
            "label2id": {label: number for number, label in enumerate(self.labels)},
        }


def find(definition: dict[str, Any], folder: Path) -> Checkpoint | None:
    """The checkpoint of a model's definition, by what lies on this disk; None where nobody can know it yet.

    Args:
        folder: the model's folder under resources/: what was built there counts, else what was put there by hand.
    Raises:
        UserError: it is there, and no framework can do it.
    """
    if definition["kind"] == "seeded":
        return None  # it is made to fit all
    if (built := folder / "checkpoint").is_dir():
        return read(built, str(built))
    there = Path(definition["folder"]).expanduser() if definition["kind"] == "folder" else folder / "download"
    return read(there, title(definition), is_squared(definition)) if there.is_dir() else None


def title(definition: dict[str, Any]) -> str:
    """What the user knows a model by: its name in the hub, or its folder."""
    return definition.get("hub") or str(Path(definition.get("folder", definition["kind"])).expanduser())


def is_squared(definition: dict[str, Any]) -> bool:
    """Whether a model's definition replaces what its preprocessor_config.json says of size and crop."""
    return definition.get("preprocessing") == "square"


def read(folder: Path, name: str, square: bool = False) -> Checkpoint:
    """The checkpoint in `folder`, which the user knows as `name`.

    Args:
        square: resize to the model's own square, whatever preprocessor_config.json says of size and crop.
    Raises:
        UserError: what is there is no ViT or DeiT classifier of square images, or contradicts itself.
    """
    config, processor = read_json(folder, "config.json"), read_json(folder, "preprocessor_config.json")
    model_type, architecture = _architecture(config, name)
    given = SIDES | COUNTS | {key: value for key, value in config.items() if value is not None}
    sides = {key: _square(given[key], key, name) for key in SIDES}
    if sides["patch_size"] > sides["image_size"]:
        raise UserError(
            f"model {name}: patch_size {sides['patch_size']} is larger than image_size {sides['image_size']} in "
            "config.json: correct the one that is wrong"
        )
    counts = {key: _count(given[key], key, name) for key in COUNTS}
    if counts["num_channels"] != 3:
        raise UserError(
            f"model {name}: num_channels is {counts['num_channels']} in config.json; only models of colour images (3) "
            "are supported: choose another"
        )
    if counts["hidden_size"] % counts["num_attention_heads"]:
        raise UserError(
            f"model {name}: hidden_size {counts['hidden_size']} is no multiple of num_attention_heads "
            f"{counts['num_attention_heads']} in config.json: correct the one that is wrong"
        )
    return Checkpoint(
        name=name,
        model_type=model_type,
        architecture=architecture,
        **sides,
        hidden_size=counts["hidden_size"],
        layers=counts["num_hidden_layers"],
        heads=counts["num_attention_heads"],
        intermediate_size=counts["intermediate_size"],
        channels=counts["num_channels"],
        labels=_labels(config, name),
        preprocessing=_preprocessing(processor, model_type, sides["image_size"], name, square),
    )


def labels(folder: Path) -> tuple[str, ...]:
    """The labels of the model in `folder`, in the order of its outputs; UserError where they are not to be had."""
    return _labels(read_json(folder, "config.json"), str(folder))


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The mapping that a checkpoint's file holds; UserError where it is missing or none."""
    try:
        value = json.loads((folder / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"model {folder}: {name} cannot be read ({error.strerror}); name a checkpoint") from error
    except ValueError as error:
        raise UserError(f"model {folder}: {name} is not JSON; download the checkpoint again") from error
    if not isinstance(value, dict):
        raise UserError(f"model {folder}: {name} holds no mapping; download the checkpoint again")
    return value


def check_outputs(checkpoint: Checkpoint, outputs: int | None) -> None:
    """Raise UserError unless the model has a label for each of its outputs, of which its weights have so many.

    None is a head that is missing, which is not said here.
    """
    if outputs not in (None, len(checkpoint.labels)):
        raise UserError(
            f"model {checkpoint.name}: config.json names {len(checkpoint.labels)} labels, its weights have {outputs} "
            f"outputs: write id2label with the numbers 0 to {outputs - 1}"
        )


def unique(labels: list[str]) -> tuple[str, ...]:
    """The labels, those that stand twice numbered, so that no two are alike and no other one changes.

    ImageNet has two classes "crane"; Spark NLP keeps labels as a map from name to number, where one would vanish.
    """
    taken, seen = set(labels), dict[str, None]()
    for number, label in enumerate(labels):
        name = label
        while name in seen or (name != label and name in taken):
            name = f"{name} ({number})"
        seen[name] = None
    return tuple(seen)


# --- config.json ------------------------------------------------------------------------------------------------------


def _architecture(config: dict[str, Any], name: str) -> tuple[str, str]:
    model_type, wanted = config.get("model_type"), config.get("architectures")
    known = ARCHITECTURES.get(model_type) if isinstance(model_type, str) else None
    named = (wanted[0] if isinstance(wanted, list) else wanted) if wanted else known[0] if known else None
    if not known or named not in known:
        supported = ", ".join(one for of_type in ARCHITECTURES.values() for one in of_type)
        raise UserError(
            f"model {name}: it is a {model_type!r} with architecture {named!r}; only ViT and DeiT classifiers are "
            f"supported ({supported}): choose one of these"
        )
    return model_type, named


def _labels(config: dict[str, Any], name: str) -> tuple[str, ...]:
    """The names of the model's outputs, in order."""
    given = config.get("id2label")
    if not given and isinstance(numbers := config.get("label2id"), dict):
        turned = {_whole(number): label for label, number in numbers.items()}
        given = turned if turned.keys() == set(range(len(numbers))) else None
    if not given:
        # transformers does not write the labels of a model that names none.
        outputs = _count(config.get("num_labels", 2), "num_labels", name)
        return tuple(f"LABEL_{number}" for number in range(outputs))
    if isinstance(given, list):
        given = dict(enumerate(given))
    if not isinstance(given, dict):
        raise UserError(f"model {name}: id2label in config.json is no mapping of numbers to labels: correct it")
    numbers = {_whole(key): label for key, label in given.items()}
    wrong = [key for key in given if _whole(key) is None]
    last = len(given) - 1
    if wrong or len(numbers) < len(given):
        what = f"{wrong[0]!r}, which is no number" if wrong else "a number twice"
        raise UserError(f"model {name}: id2label in config.json has {what}: number its labels 0 to {last}")
    if numbers.keys() != set(range(len(numbers))):
        if sorted(numbers) == list(range(1, last + 2)):
            how = f"begins with 1; the model's outputs are 0 to {last}: subtract 1 from each number"
        else:
            lacking = next(number for number in range(last + 1) if number not in numbers)
            how = f"has {last + 1} labels and none for {lacking}: give each output from 0 on its label"
        raise UserError(f"model {name}: id2label in config.json {how}")
    for number, label in numbers.items():
        if not isinstance(label, (str, int, float)):
            raise UserError(f"model {name}: label {number} in config.json is {label!r}, no text: name it")
    return unique([str(numbers[number]) for number in range(len(numbers))])


def _whole(value: Any) -> int | None:
    """A number that is written as 96, 96.0 or "96"; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _count(value: Any, key: str, name: str) -> int:
    number = _whole(value)
    if number is None or number < 1:
        raise UserError(f"model {name}: {key} is {_shown(value)} in config.json, no number above 0: correct it")
    return number


def _square(value: Any, key: str, name: str) -> int:
    sides = _sides(value)
    if sides is None:
        raise UserError(f"model {name}: {key} is {_shown(value)} in config.json, no size in pixels: correct it")
    if sides[0] != sides[1]:
        raise UserError(
            f"model {name}: {key} is {sides[0]} x {sides[1]} in config.json; only squares are supported: choose a "
            "model of square images and patches"
        )
    return sides[0]


def _sides(value: Any) -> tuple[int, int] | None:
    """Height and width that are given as one number, two, or a mapping; None for anything else."""
    if isinstance(value, dict):
        value = [value.get("height"), value.get("width")]
    if not isinstance(value, (list, tuple)):
        value = [value]
    numbers = [_whole(one) for one in value]
    if not 1 <= len(numbers) <= 2 or not all(numbers) or min(numbers) < 1:
        return None
    return numbers[0], numbers[-1]


# --- preprocessor_config.json -----------------------------------------------------------------------------------------


def _preprocessing(given: dict[str, Any], model_type: str, side: int, name: str, square: bool) -> Preprocessing:
    settings = _settings(given, model_type, name, square)
    resize, crop = ((side, side), None) if square else _geometry(settings, side, name)
    filtered = _filter(settings["resample"])
    if filtered is None:
        known = ", ".join(f"{number} {one}" for number, one in enumerate(FILTERS))
        raise UserError(
            f"model {name}: resample is {_shown(settings['resample'])} in preprocessor_config.json: write a number or "
            f"a word of {known}"
        )
    factor = _number(settings["rescale_factor"]) if settings["do_rescale"] else 1.0
    if not factor or factor < 0:
        raise UserError(
            f"model {name}: rescale_factor is {_shown(settings['rescale_factor'])} in preprocessor_config.json, no "
            "number above 0: correct it (1/255 is usual)"
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
                f"model {name}: {key} is {_shown(settings[key])} in preprocessor_config.json: write true or false"
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
    resize: tuple[int, int] | int | None = _sides(size)
    if isinstance(size, dict) and resize is None:
        resize = _whole(size.get("shortest_edge")) if size.keys() == {"shortest_edge"} else None
    if settings["do_center_crop"]:
        crop = _sides(settings["crop_size"] if settings["crop_size"] is not None else size)
        if crop == resize == (side, side):
            crop = None  # nothing is cut off
    what = crop or resize
    if not settings["do_resize"] or not resize or settings.get("do_pad") or what != (side, side):
        cut = f", crop_size {_shown(settings['crop_size'])}" if settings["do_center_crop"] else ""
        cut += "" if settings["do_resize"] else ", do_resize false"
        raise UserError(
            f"model {name}: preprocessor_config.json must make each image {side} x {side}, as the model wants it; size "
            f"is {_shown(size)}{cut}: correct it, or write `preprocessing: square` in the model's definition, which "
            "does that in all frameworks"
        )
    return resize, crop


def _filter(value: Any) -> str | None:
    if isinstance(value, str) and (word := value.strip().lower().rpartition(".")[2].removesuffix("-exact")) in FILTERS:
        return word
    number = _whole(value)
    return FILTERS[number] if number is not None and 0 <= number < len(FILTERS) else None


def _colours(value: Any, key: str, name: str) -> tuple[float, float, float]:
    """One number for each colour; one number alone stands for all three."""
    numbers = [_number(one) for one in (value if isinstance(value, (list, tuple)) else [value])]
    if len(numbers) not in (1, 3) or None in numbers:
        raise UserError(
            f"model {name}: {key} is {_shown(value)} in preprocessor_config.json: write three numbers, one a colour"
        )
    return (*numbers,) if len(numbers) == 3 else (numbers[0],) * 3


def _number(value: Any) -> float | None:
    """A finite number, which may be written as text; None for anything else."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _shown(value: Any) -> str:
    """A value from a file that anybody may have written, in one short line."""
    return json.dumps(value, ensure_ascii=False)[:60]
