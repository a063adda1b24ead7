"""Hugging Face transformers, as a framework that can be measured."""

from __future__ import annotations

from typing import Any

from vitbench.frameworks.declaration import Framework, Needs, divisors
from vitbench.frameworks.decoders import SETTING
from vitbench.frameworks.huggingface.preparation import DECODING, PREPROCESSING
from vitbench.frameworks.huggingface.snippets import snippet
from vitbench.inputs.checkpoints import Checkpoint

# Filters of resizing that torchvision has for tensors (0.29 takes the others' numbers and then ends in an error).
TORCHVISION = ("nearest", "lanczos", "bilinear", "bicubic")


def precision_of(definition: dict[str, Any]) -> str:
    """The precision of a variant's products."""
    return definition.get("precision", definition.get("dtype", "float32"))


def needs(definition: dict[str, Any], device: str) -> Needs:
    """The checkpoint as it is; torch multiplies, without TF32 unless it is told to, and oneDNN in it int8."""
    precision = precision_of(definition)
    return Needs(library="oneDNN in torch" if precision == "int8" else "torch", precision=precision)


def module_of(definition: dict[str, Any]) -> str:
    """The module that runs a variant: several processes, a DataLoader of ours, or `pipeline`."""
    return "processes" if "threads_a_process" in definition else definition.get("runner", "adapter")


def refuses(variant: dict[str, Any], checkpoint: Checkpoint) -> str | None:
    """Why a variant cannot do a model; None where it can. See `Framework.refuses`."""
    wanted = checkpoint.preprocessing.filter
    if "on_device" in variant and wanted == "lanczos":
        return "a GPU does not resize by lanczos (`resample` in preprocessor_config.json): bicubic would take its place"
    if variant["image_processor"] == "torchvision" and wanted not in TORCHVISION:
        return (
            f"torchvision resizes by {', '.join(TORCHVISION)} only, and the model wants {wanted} (`resample` in "
            "preprocessor_config.json)"
        )
    return None


def unprofiled(definition: dict[str, Any], on_cluster: bool) -> str | None:
    """Why a variant's stages cannot be timed; None where they can. See `Framework.unprofiled`."""
    if "threads_a_process" in definition:
        return "no profile: the processes work at the same time, their stages do not add up"
    if "runner" in definition or definition.get("loader_workers"):
        return "no profile: workers read, decode and preprocess while the model runs, stages do not add up"
    return None


def helpers(definition: dict[str, Any]) -> int | str:
    """The DataLoader's workers; where several processes share the images, each has its own."""
    workers, threads = definition.get("loader_workers", 0), definition.get("threads_a_process")
    return f"{workers} in each process of {threads} threads" if workers and threads else workers


FRAMEWORK = Framework(
    name="huggingface",
    title="Hugging Face",
    package="transformers",
    color="#0072B2",
    settings={
        "required": ["image_processor"],
        "dependentRequired": {
            "runner": ["loader_workers", "precision"],
            "precision": ["runner"],
            "compile": ["runner"],
            "decoder": ["runner"],
            "on_device": ["runner"],
        },
        "dependentSchemas": {
            # What `pipeline` is told; of `runner` it is `precision` that says so.
            "dtype": {"properties": {"runner": {"not": {}}}},
            # The one on Pillow works on the computer's memory.
            "on_device": {"properties": {"image_processor": {"const": "torchvision"}}},
            # The device decodes with its own.
            "decoder": {"properties": {"on_device": {"const": PREPROCESSING}}},
        },
        "properties": {
            "image_processor": {"enum": ["pil", "torchvision"]},
            "decoder": SETTING,
            "dtype": {"enum": ["bfloat16", "float16"], "description": "of the weights that `pipeline` loads"},
            "runner": {"enum": ["dataloader"], "description": "the model itself behind torch's DataLoader"},
            "loader_workers": {
                "oneOf": [{"enum": ["cores"]}, {"type": "integer", "minimum": 0}],
                "description": "processes of the DataLoader, the pipeline's own or that of `runner`",
            },
            "precision": {
                "enum": ["float32", "tensorfloat32", "bfloat16", "float16", "int8"],
                "description": "of the matrix products",
            },
            "compile": {
                "enum": ["default", "reduce-overhead", "max-autotune"],
                "description": "the mode of torch.compile",
            },
            "on_device": {
                "enum": [PREPROCESSING, DECODING],
                "description": "what the device does beside the model: `preprocessing`, or `decoding` and that",
            },
            "threads_a_process": {
                "type": "integer",
                "minimum": 1,
                "description": "as many processes as go into the cores, each with its share of the images",
            },
        },
    },
    start_and_load_seconds=10,
    needs=needs,
    adapter=module_of,
    refuses=refuses,
    unprofiled=unprofiled,
    # transformers had no other image processor then than the one on Pillow.
    of_article=lambda definition: definition == {"image_processor": "pil"},
    helpers=helpers,
    defaults={"loader_workers": 0, "precision": "float32"},
    search={
        "threads_a_process": divisors,
        "loader_workers": lambda cores: sorted({1, cores, 2 * cores}),
    },
    snippet=snippet,
)
