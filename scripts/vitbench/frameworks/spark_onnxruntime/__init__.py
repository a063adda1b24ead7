"""ONNX Runtime from Python inside Spark's tasks, as a framework that can be measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vitbench.frameworks import onnxruntime
from vitbench.frameworks.declaration import THREADS_A_SLOT, Framework, Needs

OWN = onnxruntime.FRAMEWORK


def needs(definition: dict[str, Any], device: str) -> Needs:
    """What ONNX Runtime needs, and Spark."""
    return replace(onnxruntime.needs(definition, device), spark=True)


FRAMEWORK = Framework(
    name="spark-onnxruntime",
    title="ONNX Runtime in Spark",
    package="pyspark",
    color="#332288",
    settings={
        "required": OWN.settings["required"],
        "properties": OWN.settings["properties"]
        | {
            "threads_a_slot": THREADS_A_SLOT,
        },
    },
    start_and_load_seconds=12,
    needs=needs,
    refuses=OWN.refuses,
    clustered=True,
)
