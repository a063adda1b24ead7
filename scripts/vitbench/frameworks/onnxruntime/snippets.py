"""The settings of a variant as a program of one's own: see `Framework.snippet`."""

from __future__ import annotations

from typing import Any

from vitbench.frameworks import decoders
from vitbench.frameworks.declaration import IMAGES_OF_A_FOLDER, MAIN, Setting
from vitbench.frameworks.onnxruntime.slots import slots_and_threads

# How a program ends that has the logits of a batch: labels and scores, batches in as many slots at a time.
IN_SLOTS = """\
    shares = numpy.exp(logits - logits.max(-1, keepdims=True))
    scores = (shares.max(-1) / shares.sum(-1)).tolist()
    return [(path, names[number], score) for path, number, score in zip(paths, logits.argmax(-1).tolist(), scores)]


{main}{images}    batches = [paths[begin : begin + BATCH_SIZE] for begin in range(0, len(paths), BATCH_SIZE)]
    with ThreadPoolExecutor(SLOTS) as pool:
        for answers in pool.map(partial(answer, load()), batches):
            for found in answers:
                print(*found, sep="\\t")
"""

PROGRAM = """\
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy
import onnxruntime
from transformers import AutoConfig, AutoImageProcessor
from transformers.image_utils import load_image

# MODEL holds config.json and preprocessor_config.json, GRAPH is its export (input pixel_values, output logits).
MODEL, GRAPH, IMAGES = "path/to/model", "path/to/model.onnx", "path/to/images"
SLOTS, THREADS, BATCH_SIZE = {slots}, {threads}, {batch_size}
{quantised}

def load():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(GRAPH, options, providers=["CPUExecutionProvider"])
    processor = AutoImageProcessor.from_pretrained(MODEL, backend={backend!r})
    return session, processor, AutoConfig.from_pretrained(MODEL).id2label


def answer(loaded, paths):
    session, processor, names = loaded
    pixels = processor(images=[load_image(path) for path in paths], return_tensors="np")["pixel_values"]
    logits = session.run(["logits"], {{"pixel_values": pixels}})[0]
"""

DYNAMIC = """
# Once: MatMul and Gemm in int8, their weights by channel, and of 7 bits where sums of 8 overflow: on x86 without VNNI.
QUANTISED = "path/to/model.int8.onnx"
CPU = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
if not Path(QUANTISED).exists():
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        GRAPH,
        QUANTISED,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        reduce_range="avx2" in CPU and "vnni" not in CPU and "amx_int8" not in CPU,
        weight_type=QuantType.QInt8,
    )
GRAPH = QUANTISED
"""

STATIC = """
# GRAPH must be quantised already: ranges measured on images of your own that you do not measure with
# (onnxruntime.quantization.quantize_static, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True,
# activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, quant_format=QuantFormat.QDQ,
# extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]}, and nodes_to_quantize: those that multiply
# with weights).
"""

QUANTISED = {None: "", "dynamic": DYNAMIC, "static": STATIC}


def snippet(definition: dict[str, Any], setting: Setting) -> str:
    """A program that classifies a folder as this variant does: see `Framework.snippet`."""
    slots, threads = slots_and_threads(definition, setting.cores)
    program = (PROGRAM + IN_SLOTS).format(
        slots=slots,
        threads=threads,
        batch_size=setting.batch_size,
        quantised=QUANTISED[definition.get("quantization")],
        backend=definition["image_processor"],
        main=MAIN,
        images=IMAGES_OF_A_FOLDER,
    )
    return decoders.in_program(program, definition, "def load():")
