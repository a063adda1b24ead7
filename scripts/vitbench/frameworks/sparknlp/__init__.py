"""Spark NLP, as a framework that can be measured."""

from __future__ import annotations

from typing import Any

from vitbench.frameworks import declaration
from vitbench.frameworks.declaration import SINK, Framework, Needs, divisors
from vitbench.frameworks.sparknlp.snippets import snippet
from vitbench.inputs import model_assets
from vitbench.inputs.checkpoints import Checkpoint

# The library of `peak.json` that an engine inside Spark NLP multiplies with; TensorFlow's own lives in the JVM.
LIBRARIES = {"onnx": "ONNX Runtime"}


def needs(definition: dict[str, Any], device: str) -> Needs:
    """An annotator, imported from the engine's export or downloaded ready-made, and the engine's jars."""
    engine, pretrained = definition["engine"], definition.get("pretrained")
    quantization = definition.get("quantization")
    imported = f"{engine}-{quantization}" if quantization else engine
    # TensorFlow and ONNX Runtime use TF32 for float32 products on an NVIDIA GPU unless told not to.
    in_floats = "tensorfloat32" if device == "gpu" else "float32"
    return Needs(
        form=f"sparknlp-pretrained-{pretrained}" if pretrained else f"sparknlp-{imported}",
        export=None if pretrained else engine,
        jars=f"{engine}-{device}",
        spark=True,
        library=LIBRARIES.get(engine),
        precision="int8" if quantization else in_floats,
    )


def refuses(variant: dict[str, Any], checkpoint: Checkpoint) -> str | None:
    """Why a variant cannot do a model; None where it can. See `Framework.refuses`."""
    # A ready-made model of John Snow Labs brings its own preprocessing.
    return None if "pretrained" in variant else model_assets.refusal(checkpoint)


def unprofiled(definition: dict[str, Any], on_cluster: bool) -> str | None:
    """Why a variant's stages cannot be timed; None where they can. See `Framework.unprofiled`."""
    if on_cluster:
        return "no profile on a cluster: partial pipelines and samples look into one virtual machine"
    return declaration.unprofiled(definition, on_cluster)


FRAMEWORK = Framework(
    name="sparknlp",
    title="Spark NLP",
    package="spark-nlp",
    color="#D55E00",
    settings={
        "required": ["engine"],
        "dependentRequired": {"pretrained": ["of"], "of": ["pretrained"]},
        "dependentSchemas": {
            "tensorflow_threads": {"properties": {"engine": {"const": "tensorflow"}}},
            "onednn": {"properties": {"engine": {"const": "tensorflow"}}},
            "onnx_threads": {"properties": {"engine": {"const": "onnx"}}},
            # What is ready-made is not quantised here.
            "quantization": {"properties": {"engine": {"const": "onnx"}, "pretrained": {"not": {}}}},
        },
        "properties": {
            "engine": {"enum": ["tensorflow", "onnx"]},
            "onednn": {"type": "boolean", "description": "TensorFlow only"},
            "onnx_threads": {"type": "integer", "minimum": 1, "description": "ONNX only: threads a slot"},
            "tensorflow_threads": {"type": "integer", "minimum": 1, "description": "TensorFlow only: threads a slot"},
            "quantization": {
                "enum": ["dynamic", "static"],
                "description": "ONNX only: products in int8, quantised as for onnxruntime",
            },
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
    unprofiled=unprofiled,
    clustered=True,
    model_of=lambda definition: definition.get("of"),
    # With Spark's and TensorFlow's own numbers of threads.
    of_article=lambda definition: (
        definition["engine"] == "tensorflow"
        and definition.get("onednn", False)
        and "tensorflow_threads" not in definition
    ),
    search={"onnx_threads": divisors},
    snippet=snippet,
)
