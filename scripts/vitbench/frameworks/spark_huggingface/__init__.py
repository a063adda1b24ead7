"""Hugging Face transformers inside Spark's tasks, as a framework that can be measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vitbench.frameworks import huggingface
from vitbench.frameworks.declaration import THREADS_A_SLOT, Framework, Needs


def in_a_task(definition: dict[str, Any]) -> dict[str, Any]:
    """The settings of Hugging Face's own variant that a task runs: the model itself, one batch after another."""
    settings = {key: value for key, value in definition.items() if key != "threads_a_slot"}
    return settings | {"runner": "dataloader", "loader_workers": 0}


def needs(definition: dict[str, Any], device: str) -> Needs:
    """What Hugging Face needs, and Spark."""
    return replace(huggingface.needs(in_a_task(definition), device), spark=True)


FRAMEWORK = Framework(
    name="spark-huggingface",
    title="Hugging Face in Spark",
    package="pyspark",
    color="#882255",
    settings={
        "required": ["image_processor", "precision", "threads_a_slot"],
        "properties": {
            "image_processor": {"enum": ["pil", "torchvision"]},
            "precision": {"enum": ["float32", "bfloat16", "int8"], "description": "of the matrix products"},
            "threads_a_slot": THREADS_A_SLOT,
        },
    },
    start_and_load_seconds=15,
    needs=needs,
    refuses=huggingface.refuses,
    clustered=True,
)
