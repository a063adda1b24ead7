"""What a checkpoint is, by its config.json and preprocessor_config.json: checked once, said once, for every framework.

Standard library only: bare Snakemake reads it before any job, and the environment that writes SavedModels too. What
means the same is brought to one form here (96, "96", [96, 96]); what no framework can do ends here, in one line. What
one framework cannot do is its own to say (`vitbench.frameworks.refusal`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from vitbench.errors import UserError
from vitbench.files import sha256, write_atomically
from vitbench.inputs import values
from vitbench.inputs.preprocessing import Preprocessing, understood

# What a checkpoint may be: `model_type` in its config.json → `architectures`; the first is meant if none is named.
ARCHITECTURES = {
    "vit": ("ViTForImageClassification",),
    "deit": ("DeiTForImageClassification", "DeiTForImageClassificationWithTeacher"),
}
# The files of a checkpoint, all that is ever downloaded or loaded: weights in safetensors, no pickle, no code.
FILES = ("config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json")
# Lies beside the copy of a user's checkpoint.
SOURCE = "source.json"
# What `problem_type` in config.json says of a model that gives an image one of its labels; transformers takes one that
# says nothing for it, too.
ONE_LABEL = "single_label_classification"
# What transformers takes for a key of config.json that is missing or null.
SIDES = {"image_size": 224, "patch_size": 16}
COUNTS = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "num_channels": 3,
}  # fmt: skip


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
        UserError: what is there is no ViT or DeiT classifier of square images into one label each, or contradicts
            itself.
    """
    config, processor = read_json(folder, "config.json"), read_json(folder, "preprocessor_config.json")
    model_type, architecture = _architecture(config, name)
    if (problem := config.get("problem_type")) not in (None, ONE_LABEL):
        raise UserError(
            f"model {name}: problem_type is {values.shown(problem)} in config.json; only models that give each image "
            f"one label ({ONE_LABEL}) are supported: choose another"
        )
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
        preprocessing=understood(processor, model_type, sides["image_size"], name, square),
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


def note_source(definition: dict[str, Any], model: Path) -> None:
    """Write down beside the copy of a user's checkpoint, in `model`, of which files it was made."""
    if definition["kind"] == "folder":
        write_atomically(model / SOURCE, json.dumps(_files_of(definition)))


def check_source(definition: dict[str, Any], model: Path) -> None:
    """Raise UserError where a user's checkpoint is of other files now than those that the copy in `model` was made of.

    Their dates do not tell: whoever moves or unpacks a folder keeps them. What lies beside them is no matter: notes,
    what a desktop leaves there, the checkpoints of a training that goes on.
    """
    if definition["kind"] != "folder" or not Path(definition["folder"]).expanduser().is_dir():
        return
    path = model / SOURCE
    noted = json.loads(path.read_text()) if path.exists() else None
    # That of an older copy names everything that lay in the folder and below.
    if noted is None or {name: noted[name] for name in noted if _is_loaded(name)} != _files_of(definition):
        raise UserError(
            f"model: {definition['folder']} has changed since {model} was made of it: remove that folder, and the same "
            "command makes it anew"
        )


def _files_of(definition: dict[str, Any]) -> dict[str, str]:
    """File of a user's checkpoint → its SHA-256."""
    folder = Path(definition["folder"]).expanduser()
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if _is_loaded(path.name) and path.is_file()}


def _is_loaded(name: str) -> bool:
    """Whether a file, by its path within a checkpoint's folder, is one of FILES; what is below, or hidden, is not."""
    return "/" not in name and name[0] != "." and any(fnmatchcase(name, pattern) for pattern in FILES)


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
        turned = {values.whole(number): label for label, number in numbers.items()}
        given = turned if turned.keys() == set(range(len(numbers))) else None
    if not given:
        # transformers does not write the labels of a model that names none.
        outputs = _count(config.get("num_labels", 2), "num_labels", name)
        return tuple(f"LABEL_{number}" for number in range(outputs))
    if isinstance(given, list):
        given = dict(enumerate(given))
    if not isinstance(given, dict):
        raise UserError(f"model {name}: id2label in config.json is no mapping of numbers to labels: correct it")
    numbers = {values.whole(key): label for key, label in given.items()}
    wrong = [key for key in given if values.whole(key) is None]
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


def _count(value: Any, key: str, name: str) -> int:
    number = values.whole(value)
    if number is None or number < 1:
        raise UserError(f"model {name}: {key} is {values.shown(value)} in config.json, no number above 0: correct it")
    return number


def _square(value: Any, key: str, name: str) -> int:
    sides = values.sides(value)
    if sides is None:
        raise UserError(f"model {name}: {key} is {values.shown(value)} in config.json, no size in pixels: correct it")
    if sides[0] != sides[1]:
        raise UserError(
            f"model {name}: {key} is {sides[0]} x {sides[1]} in config.json; only squares are supported: choose a "
            "model of square images and patches"
        )
    return sides[0]
