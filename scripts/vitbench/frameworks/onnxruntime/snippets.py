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

MODEL, GRAPH, IMAGES = "path/to/model", "path/to/model.onnx", "path/to/images"
SLOTS, THREADS, BATCH_SIZE = {slots}, {threads}, {batch_size}
{made}

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

# What a program makes of MODEL where its graph is not there yet: in float32, however its weights are stored.
EXPORT = """
# Once: the model as a graph, from pixel_values to logits.
if not Path(GRAPH).exists():
    import torch
    from transformers import AutoModelForImageClassification

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AutoModelForImageClassification.from_pretrained(MODEL, dtype=torch.float32).eval()

        def forward(self, pixel_values):
            return self.model(pixel_values=pixel_values).logits

    logits = Logits()
    side = logits.model.config.image_size
    torch.onnx.export(
        logits,
        (torch.zeros(1, 3, side, side),),
        GRAPH,
        input_names=["pixel_values"],
        output_names=["logits"],
        dynamic_axes={"pixel_values": {0: "batch"}, "logits": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
"""

# Of 7 bits where sums of 8 overflow.
_NARROW = """
CPU = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
NARROW = "avx2" in CPU and "vnni" not in CPU and "amx_int8" not in CPU
"""

DYNAMIC = f"""
# Once: MatMul and Gemm in int8, their weights by channel, and of 7 bits where sums of 8 overflow: on x86 without VNNI.
QUANTISED = "path/to/model.int8.onnx"{_NARROW}if not Path(QUANTISED).exists():
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        GRAPH,
        QUANTISED,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        reduce_range=NARROW,
        weight_type=QuantType.QInt8,
    )
GRAPH = QUANTISED
"""

STATIC = f"""
# Once: products with weights in int8, weights by channel, and of 7 bits where sums of 8 overflow: on x86 without VNNI.
# Their ranges are measured on some dozens of images like yours, which you do not classify with it.
QUANTISED = "path/to/model.int8.onnx"
CALIBRATION = "path/to/calibration images"{_NARROW}if not Path(QUANTISED).exists():
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from PIL import Image

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.processor = AutoImageProcessor.from_pretrained(MODEL, backend="pil")
            self.paths = iter(sorted(path for path in Path(CALIBRATION).iterdir() if path.is_file()))

        def get_next(self):
            path = next(self.paths, None)
            if path is None:
                return None
            image = Image.open(path).convert("RGB")
            return {{"pixel_values": self.processor(images=[image], return_tensors="np")["pixel_values"]}}

    parts = onnx.load(GRAPH).graph
    weights = {{one.name for one in parts.initializer}}
    quantize_static(
        GRAPH,
        QUANTISED,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul", "Gemm"],
        nodes_to_quantize=[
            node.name for node in parts.node if node.op_type in ("MatMul", "Gemm") and node.input[1] in weights
        ],
        per_channel=True,
        reduce_range=NARROW,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={{"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]}},
    )
GRAPH = QUANTISED
"""

QUANTISED = {None: "", "dynamic": DYNAMIC, "static": STATIC}


def snippet(definition: dict[str, Any], setting: Setting) -> str:
    """A program that classifies a folder as this variant does: see `Framework.snippet`."""
    slots, threads = slots_and_threads(definition, setting.cores)
    program = (PROGRAM + IN_SLOTS).format(
        slots=slots,
        threads=threads,
        batch_size=setting.batch_size,
        made=EXPORT + QUANTISED[definition.get("quantization")],
        backend=definition["image_processor"],
        main=MAIN,
        images=IMAGES_OF_A_FOLDER,
    )
    return decoders.in_program(program, definition, "def load():")
