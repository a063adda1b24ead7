"""Hugging Face transformers, as a framework that can be measured."""

from __future__ import annotations

from typing import Any

from vitbench.inputs.checkpoints import Checkpoint

# Filters of resizing that torchvision has for tensors (0.29 takes the others' numbers and then ends in an error).
TORCHVISION = ("nearest", "lanczos", "bilinear", "bicubic")


def refuses(variant: dict[str, Any], checkpoint: Checkpoint) -> str | None:
    """Why a variant cannot do a model; None where it can. See `vitbench.frameworks.refusal`."""
    wanted = checkpoint.preprocessing.filter
    if variant["image_processor"] == "torchvision" and wanted not in TORCHVISION:
        return (
            f"torchvision resizes by {', '.join(TORCHVISION)} only, and the model wants {wanted} (`resample` in "
            "preprocessor_config.json)"
        )
    return None
