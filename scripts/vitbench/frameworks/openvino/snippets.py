"""The settings of a variant as a program of one's own: see `Framework.snippet`."""

from __future__ import annotations

from typing import Any

from vitbench.frameworks import decoders
from vitbench.frameworks.declaration import IMAGES_OF_A_FOLDER, MAIN, Setting
from vitbench.frameworks.onnxruntime.slots import slots_and_threads
from vitbench.frameworks.onnxruntime.snippets import EXPORT, IN_SLOTS, STATIC

# In which OpenVINO is to compute what a variant does not quantise.
HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}

PROGRAM = """\
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import numpy
import openvino
from transformers import AutoConfig, AutoImageProcessor
from transformers.image_utils import load_image

MODEL, GRAPH, IMAGES = "path/to/model", "path/to/model.onnx", "path/to/images"
SLOTS, THREADS, BATCH_SIZE = {slots}, {threads}, {batch_size}
{made}

def load():
    # Two threads that make a process's first tensor at the same time would wait for each other for ever.
    openvino.Tensor(numpy.zeros(1, numpy.float32), shared_memory=True)
    settings = {{
        "INFERENCE_PRECISION_HINT": {hint!r},
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": THREADS,
        "ENABLE_HYPER_THREADING": True,
        "ENABLE_CPU_PINNING": False,
    }}
    core, requests = openvino.Core(), SimpleQueue()
    graph = core.read_model(GRAPH)
    image = numpy.zeros([1, *(side.get_length() for side in graph.input(0).partial_shape[1:])], numpy.float32)
    # A graph each, and each answers before the next is made: of several streams of one some answer wrongly.
    for _ in range(SLOTS):
        request = core.compile_model(graph, "CPU", settings).create_infer_request()
        request.infer([image])
        requests.put(request)
    processor = AutoImageProcessor.from_pretrained(MODEL, backend={backend!r})
    return requests, processor, AutoConfig.from_pretrained(MODEL).id2label


def answer(loaded, paths):
    requests, processor, names = loaded
    pixels = processor(images=[load_image(path) for path in paths], return_tensors="np")["pixel_values"]
    request = requests.get()
    request.start_async({{"pixel_values": pixels}}, share_inputs=True)
    request.wait()
    logits = request.get_tensor("logits").data.copy()
    requests.put(request)
"""


def snippet(definition: dict[str, Any], setting: Setting) -> str:
    """A program that classifies a folder as this variant does: see `Framework.snippet`."""
    slots, threads = slots_and_threads(definition, setting.cores)
    program = (PROGRAM + IN_SLOTS).format(
        slots=slots,
        threads=threads,
        batch_size=setting.batch_size,
        made=EXPORT + (STATIC if definition["precision"] == "int8" else ""),
        hint=HINTS[definition["precision"]],
        backend=definition["image_processor"],
        main=MAIN,
        images=IMAGES_OF_A_FOLDER,
    )
    return decoders.in_program(program, definition, "def load():")
