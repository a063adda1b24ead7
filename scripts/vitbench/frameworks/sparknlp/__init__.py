"""Spark NLP, as a framework that can be measured."""

from __future__ import annotations

from typing import Any

from vitbench.frameworks.declaration import SINK, Framework, Needs, divisors
from vitbench.frameworks.sparknlp.snippets import snippet
from vitbench.inputs import model_assets
from vitbench.inputs.checkpoints import Checkpoint

# The library of `peak.json` that an engine inside Spark NLP multiplies with; TensorFlow's own lives in the JVM.
LIBRARIES = {"onnx": "ONNX Runtime"}


def needs(definition: dict[str, Any], device: str) -> Needs:
    """An annotator, imported from the engine's export or downloaded ready-made, and the engine's jars."""
    engine, pretrained = definition["engine"], definition.get("pretrained")
    return Needs(
        form=f"sparknlp-pretrained-{pretrained}" if pretrained else f"sparknlp-{engine}",
        export=None if pretrained else engine,
        jars=f"{engine}-{device}",
        spark=True,
        library=LIBRARIES.get(engine),
        # TensorFlow and ONNX Runtime use TF32 for float32 products on an NVIDIA GPU unless told not to.
        precision="tensorfloat32" if device == "gpu" else "float32",
    )


def refuses(variant: dict[str, Any], checkpoint: Checkpoint) -> str | None:
    """Why a variant cannot do a model; None where it can. See `Framework.refuses`."""
    # A ready-made model of John Snow Labs brings its own preprocessing.
    return None if "pretrained" in variant else model_assets.refusal(checkpoint)


FRAMEWORK = Framework(
    name="sparknlp",
    title="Spark NLP",
    package="spark-nlp",
    color="#D55E00",
    settings={
        "required": ["engine"],
        "dependentRequired": {"pretrained": ["of"], "of": ["pretrained"]},
        "properties": {
            "engine": {"enum": ["tensorflow", "onnx"]},
            "onednn": {"type": "boolean", "description": "TensorFlow only"},
            "onnx_threads": {"type": "integer", "minimum": 1, "description": "ONNX only: threads a slot"},
            # Its readers decode files; there is no way in for what a Parquet file holds.
            "sink": SINK,
            "pretrained": {
                "type": "string",
                "pattern": "^[a-z0-9][a-z0-9_]*$",
                "description": "name in John Snow Labs' hub",
            },
            "of": {"type": "string", "minLength": 1, "description": "the hub: NAME of the model that `pretrained` is"},
        },
    },
    start_and_load_seconds=21,
    planning_seconds=0.2,
    needs=needs,
    refuses=refuses,
    clustered=True,
    model_of=lambda definition: definition.get("of"),
    of_article=lambda definition: definition["engine"] == "tensorflow" and definition.get("onednn", False),
    search={"onnx_threads": divisors},
    snippet=snippet,
)
