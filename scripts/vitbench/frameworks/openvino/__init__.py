"""OpenVINO, as a framework that can be measured: the graphs that ONNX Runtime runs, on the same batches."""

from __future__ import annotations

from typing import Any

from vitbench.frameworks import onnxruntime
from vitbench.frameworks.declaration import Framework, Needs, divisors
from vitbench.frameworks.onnxruntime import slots
from vitbench.frameworks.openvino.snippets import snippet

LIBRARY = "OpenVINO"
OWN = onnxruntime.FRAMEWORK.settings["properties"]


def needs(definition: dict[str, Any], device: str) -> Needs:
    """OpenVINO, and the graph of `onnxruntime/float32` or, for int8, the quantised one of `onnxruntime/int8-static`."""
    return Needs(
        form="onnxruntime-static" if definition["precision"] == "int8" else "onnxruntime-float32",
        export="onnx",
        packages="openvino",
        library=LIBRARY,
        precision=definition["precision"],
    )


FRAMEWORK = Framework(
    name="openvino",
    title=LIBRARY,
    package="openvino",
    color="#E69F00",
    settings={
        "required": ["image_processor", "threads_a_slot", "precision"],
        "properties": {
            "image_processor": OWN["image_processor"],
            "decoder": OWN["decoder"],
            **slots.SETTINGS,
            "precision": {
                "enum": ["float32", "bfloat16", "int8"],
                "description": "of the matrix products; int8: what is not quantised runs in float32",
            },
        },
    },
    start_and_load_seconds=8,
    needs=needs,
    refuses=onnxruntime.FRAMEWORK.refuses,
    engine_alone=True,
    search={"threads_a_slot": divisors},
    snippet=snippet,
)
