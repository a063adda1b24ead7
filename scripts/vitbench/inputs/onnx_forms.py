"""What ONNX Runtime loads: the exported graph, as it is or quantised, beside what says how images are prepared."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from vitbench import processor
from vitbench.errors import UserError
from vitbench.files import staged

MODEL = "model.onnx"
# Of the checkpoint: the labels, and the image processor.
BESIDE = ("config.json", "preprocessor_config.json")
# Where nearly all arithmetic is. The convolution of the patches stays in float32: it is 0.7% of ViT-B/16.
QUANTISED = ("MatMul", "Gemm")
# Flags of x86 processors that add products of int8 in 32 bits.
VNNI = {"avx512_vnni", "avx_vnni", "amx_int8"}
# Crops that no data set holds (their role is their own), from which the ranges of a static quantisation are measured.
CALIBRATION = {"images": 32, "seed": 1, "role": "calibration"}


def make(checkpoint: Path, export: Path, weights: str, folder: Path) -> None:
    """Write `folder`: MODEL and the files BESIDE it.

    Args:
        checkpoint: folder of the model as Hugging Face has it.
        export: folder of its ONNX export.
        weights: one of WRITERS.

    Raises:
        UserError: nothing of the graph could be quantised.
    """
    with staged(folder) as place:
        place.mkdir()
        for name in BESIDE:
            shutil.copyfile(checkpoint / name, place / name)
        # The quantisers write beside what they read.
        float_model = place / "float.onnx"
        _link(export / MODEL, float_model)
        WRITERS[weights](float_model, place / MODEL, checkpoint)
        float_model.unlink(missing_ok=True)


def sums_overflow(processor: dict[str, Any]) -> bool:
    """Whether a processor (`vitbench.processor.read`) adds pairs of int8 products in 16 bits, so that weights have
    to keep within 7: x86 without VNNI (ONNX Runtime, "Quantize ONNX models", "When and why do I need to try U8U8?").
    """
    sets = set(processor["instruction_sets"])
    return "avx2" in sets and not sets & VNNI


def _link(source: Path, target: Path) -> None:
    """A second name of a file or, on another disk, a copy: hundreds of MB need not be there twice."""
    with suppress(OSError):
        os.link(source.resolve(), target)
        return
    shutil.copyfile(source, target)


def _keep(source: Path, target: Path, _: Path) -> None:
    source.rename(target)


def _quantise_dynamically(source: Path, target: Path, _: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=list(QUANTISED),
        per_channel=True,
        reduce_range=sums_overflow(processor.read()),
        weight_type=QuantType.QInt8,
    )
    _check_quantised(target)


def _quantise_statically(source: Path, target: Path, checkpoint: Path) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        source,
        target,
        _reader(checkpoint),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(QUANTISED),
        # Products with weights alone, as the dynamic one takes them.
        nodes_to_quantize=_with_weights(source),
        per_channel=True,
        reduce_range=sums_overflow(processor.read()),
        # Unsigned by signed is what the instructions for int8 multiply (VNNI, AMX).
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        # Their results stay floats: what follows, but the next product, computes in floats.
        extra_options={"OpTypesToExcludeOutputQuantization": list(QUANTISED)},
    )
    _check_quantised(target)


def _with_weights(path: Path) -> list[str]:
    """Names of a graph's QUANTISED nodes that multiply with weights."""
    import onnx

    graph = onnx.load(path).graph
    weights = {one.name for one in graph.initializer}
    return [node.name for node in graph.node if node.op_type in QUANTISED and node.input[1] in weights]


def _reader(checkpoint: Path) -> Any:
    """The pixels of the CALIBRATION images, one at a time, as ONNX Runtime's calibration wants them."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.pixels = _calibration_pixels(checkpoint)

        def get_next(self) -> dict[str, Any] | None:
            return next(self.pixels, None)

    return Reader()


def _calibration_pixels(checkpoint: Path) -> Iterator[dict[str, Any]]:
    from PIL import Image
    from transformers import AutoImageProcessor

    from vitbench.inputs import photographs

    processor = AutoImageProcessor.from_pretrained(checkpoint, backend="pil")
    for crop in photographs.crops(**CALIBRATION):
        with Image.open(io.BytesIO(crop.jpeg)) as image:
            yield {"pixel_values": processor(images=image.convert("RGB"), return_tensors="np")["pixel_values"]}


def _check_quantised(path: Path) -> None:
    """Raise UserError where a graph has no weights in int8."""
    import onnx

    graph = onnx.load(path).graph
    if not any(one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 2 for one in graph.initializer):
        raise UserError(
            f"{path.parent.name}: ONNX Runtime quantised none of {' and '.join(QUANTISED)} of this model: leave the "
            "int8 variants out"
        )


WRITERS: dict[str, Callable[[Path, Path, Path], None]] = {
    "float32": _keep,
    "dynamic": _quantise_dynamically,
    "static": _quantise_statically,
}
