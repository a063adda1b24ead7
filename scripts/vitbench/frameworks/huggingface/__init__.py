"""Hugging Face transformers, as a framework that can be measured."""

from __future__ import annotations

from typing import Any

from vitbench.frameworks.declaration import Framework, Needs


def needs(definition: dict[str, Any], device: str) -> Needs:
    """The checkpoint as it is; torch multiplies, without TF32 unless it is told to."""
    return Needs(library="torch")


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
)
