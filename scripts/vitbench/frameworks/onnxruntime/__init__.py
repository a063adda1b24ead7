"""ONNX Runtime from Python, as a framework that can be measured: the exported graph without a framework around it."""

from __future__ import annotations

from typing import Any

from vitbench.frameworks.declaration import Framework, Needs, divisors
from vitbench.frameworks.decoders import SETTING
from vitbench.frameworks.huggingface import refuses
from vitbench.frameworks.onnxruntime import slots
from vitbench.frameworks.onnxruntime.snippets import snippet

LIBRARY = "ONNX Runtime"


def precision(definition: dict[str, Any]) -> str:
    """The precision of a variant's products."""
    return "int8" if "quantization" in definition else "float32"


def needs(definition: dict[str, Any], device: str) -> Needs:
    """The graph that was exported for Spark NLP's ONNX engine too, quantised where the variant says so."""
    return Needs(
        form=f"onnxruntime-{definition.get('quantization', 'float32')}",
        export="onnx",
        library=LIBRARY,
        precision=precision(definition),
    )


FRAMEWORK = Framework(
    name="onnxruntime",
    title="ONNX Runtime",
    package="onnxruntime",
    color="#CC79A7",
    settings={
        "required": ["image_processor", "threads_a_slot"],
        "properties": {
            "image_processor": {"enum": ["pil", "torchvision"]},
            "decoder": SETTING,
            **slots.SETTINGS,
            "quantization": {
                "enum": ["dynamic", "static"],
                "description": "products in int8, ranges measured batch by batch or beforehand; left out: float32",
            },
        },
    },
    start_and_load_seconds=6,
    needs=needs,
    # The image processor is Hugging Face's.
    refuses=refuses,
    engine_alone=True,
    search={"threads_a_slot": divisors},
    snippet=snippet,
)
