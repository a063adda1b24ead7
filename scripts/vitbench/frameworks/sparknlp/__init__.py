"""Spark NLP, as a framework that can be measured."""

from __future__ import annotations

from typing import Any

from vitbench.inputs import model_assets
from vitbench.inputs.checkpoints import Checkpoint


def refuses(variant: dict[str, Any], checkpoint: Checkpoint) -> str | None:
    """Why a variant cannot do a model; None where it can. See `vitbench.frameworks.refusal`."""
    # A ready-made model of John Snow Labs brings its own preprocessing.
    return None if "pretrained" in variant else model_assets.refusal(checkpoint)
