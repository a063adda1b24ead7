"""Hugging Face transformers inside Spark's tasks, as a framework that can be measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vitbench.frameworks import huggingface
from vitbench.frameworks.declaration import (
    IN_SPARK,
    SPARK,
    Framework,
    Needs,
    Setting,
    as_a_program,
    divisors,
    threads_of_a_task,
)
from vitbench.frameworks.decoders import SETTING
from vitbench.frameworks.spark_snippet import in_tasks

EACH = """\
    for paths in shares:
        yield from classify(paths)
"""


def in_a_task(definition: dict[str, Any]) -> dict[str, Any]:
    """The settings of Hugging Face's own variant that a task runs: the model itself, one batch after another."""
    settings = {key: value for key, value in definition.items() if key not in (*IN_SPARK, SPARK)}
    return settings | {"runner": "dataloader", "loader_workers": 0}


def needs(definition: dict[str, Any], device: str) -> Needs:
    """What Hugging Face needs, and Spark."""
    return replace(huggingface.needs(in_a_task(definition), device), spark=True)


def snippet(definition: dict[str, Any], setting: Setting) -> str | None:
    """The program of Hugging Face's own variant, in Spark's tasks: see `Framework.snippet`."""
    if not as_a_program(definition):
        return None
    threads = threads_of_a_task(definition, setting.cores)
    own = huggingface.snippet(in_a_task(definition), setting._replace(cores=threads))
    return in_tasks(own, EACH, setting.cores, threads)


FRAMEWORK = Framework(
    name="spark-huggingface",
    title="Hugging Face in Spark",
    package="pyspark",
    color="#882255",
    settings={
        "required": ["image_processor", "precision", "threads_a_slot"],
        "properties": {
            "image_processor": {"enum": ["pil", "torchvision"]},
            "decoder": SETTING,
            "precision": {"enum": ["float32", "bfloat16", "int8"], "description": "of the matrix products"},
            **IN_SPARK,
        },
    },
    start_and_load_seconds=15,
    planning_seconds=0.1,
    needs=needs,
    refuses=huggingface.refuses,
    inside="huggingface",
    clustered=True,
    search={"threads_a_slot": divisors},
    snippet=snippet,
)
