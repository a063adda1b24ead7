"""Hugging Face transformers, as a framework that can be measured."""

from __future__ import annotations

from typing import Any

from vitbench.frameworks.declaration import Framework, Needs
from vitbench.inputs.checkpoints import Checkpoint

# Filters of resizing that torchvision has for tensors (0.29 takes the others' numbers and then ends in an error).
TORCHVISION = ("nearest", "lanczos", "bilinear", "bicubic")


def needs(definition: dict[str, Any], device: str) -> Needs:
    """The checkpoint as it is; torch multiplies, without TF32 unless it is told to."""
    return Needs(library="torch")


def refuses(variant: dict[str, Any], checkpoint: Checkpoint) -> str | None:
    """Why a variant cannot do a model; None where it can. See `Framework.refuses`."""
    wanted = checkpoint.preprocessing.filter
    if variant["image_processor"] == "torchvision" and wanted not in TORCHVISION:
        return (
            f"torchvision resizes by {', '.join(TORCHVISION)} only, and the model wants {wanted} (`resample` in "
            "preprocessor_config.json)"
        )
    return None


FRAMEWORK = Framework(
    name="huggingface",
    title="Hugging Face",
    package="transformers",
    color="#0072B2",
    settings={
        "required": ["image_processor"],
        "properties": {"image_processor": {"enum": ["pil", "torchvision"]}},
    },
    start_and_load_seconds=10,
    needs=needs,
    refuses=refuses,
)
