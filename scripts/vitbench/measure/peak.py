"""What the machine can do at most: the best rate of each library at the model's matrix products, and JPEG decoding.

Heavy libraries are imported where they are used. TensorFlow's own rate cannot be had here, since it lives in the JVM:
the oneDNN that torch brings stands for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata, util
from pathlib import Path
from typing import Any

from vitbench.inputs.arithmetic import Product, Shape, products

# A processor is at its best on few images, whose matrices fit its caches; a GPU on many.
BATCH_SIZES = {"cpu": (1, 8), "gpu": (8, 64)}
# How often all is gone through (a neighbour on the machine is seldom there each time), seconds for each product in each
# library and precision in each round, and the least length of what is timed in one go.
ROUNDS, SECONDS, SPAN = 2, 0.12, 0.02


def best_rate(work: Callable[[], Any], wait: Callable[[], Any], flop: float, seconds: float = SECONDS) -> float:
    """Highest GFLOP/s of `work`, which does `flop`, over spans of SPAN seconds or one call, for `seconds`.

    `wait` returns when everything that `work` has begun is done.
    """
    work()
    wait()
    begin = time.perf_counter()
    work()
    wait()
    calls = max(1, int(SPAN / max(time.perf_counter() - begin, 1e-6)))
    fastest, end = float("inf"), time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end:
        for _ in range(calls):
            work()
        wait()
        fastest = min(fastest, (time.perf_counter() - begin) / calls)
    return flop / fastest / 1e9


@dataclass(frozen=True)
class Arm:
    """A library in one precision on one device."""

    library: str
    version: str
    precision: str
    device: str
    prepare: Callable[[Product], tuple[Callable[[], Any], Callable[[], Any]]]
    """product → (what does it once, what waits until it is done)"""
    any_product: bool = True
    """False: only products with weights"""


def torch_arms(threads: int, device: str) -> Iterator[Arm]:
    """torch's own matrix product and, on the CPU, the oneDNN that is built into it.

    On a GPU that is cuBLAS or Metal's; neither was run here.
    """
    import torch

    version = torch.__version__.split("+")[0]
    torch.set_num_threads(threads)
    place, wait = "cpu", _nothing
    if device == "gpu":
        place = "cuda" if torch.cuda.is_available() else "mps"
        wait = torch.cuda.synchronize if place == "cuda" else torch.mps.synchronize

    def plain(dtype: torch.dtype, tf32: bool = False) -> Callable:
        def prepare(product: Product) -> tuple[Callable, Callable]:
            if place == "cuda":
                torch.backends.cuda.matmul.allow_tf32 = tf32
            left = torch.rand(product.count, product.rows, product.inner, device=place).to(dtype)
            # A linear layer keeps its weights transposed.
            right = torch.rand(product.count, product.columns, product.inner, device=place).to(dtype).transpose(1, 2)
            out = torch.empty(product.count, product.rows, product.columns, dtype=dtype, device=place)
            multiply = torch.bmm
            if product.count == 1:
                left, right, out, multiply = left[0], right[0], out[0], torch.mm
            return lambda: multiply(left, right, out=out), wait

        return prepare

    def onednn(dtype: torch.dtype) -> Callable:
        def prepare(product: Product) -> tuple[Callable, Callable]:
            left = torch.rand(product.rows, product.inner).to(dtype).to_mkldnn()
            weights = torch.rand(product.columns, product.inner).to(dtype).to_mkldnn()
            return lambda: torch.nn.functional.linear(left, weights), _nothing

        return prepare

    yield Arm("torch", version, "float32", device, plain(torch.float32))
    yield Arm("torch", version, "bfloat16", device, plain(torch.bfloat16))
    if device == "gpu":
        yield Arm("torch", version, "float16", device, plain(torch.float16))
    if place == "cuda":
        yield Arm("torch", version, "tensorfloat32", device, plain(torch.float32, tf32=True))
    if place == "cpu" and torch.backends.mkldnn.is_available():
        yield Arm("oneDNN in torch", version, "float32", device, onednn(torch.float32), any_product=False)
        if torch.ops.mkldnn._is_mkldnn_bf16_supported():
            yield Arm("oneDNN in torch", version, "bfloat16", device, onednn(torch.bfloat16), any_product=False)
        if torch.cpu._is_vnni_supported():  # without these instructions a product takes seconds
            yield Arm("oneDNN in torch", version, "int8", device, _int8_of_torch, any_product=False)


def _int8_of_torch(product: Product) -> tuple[Callable, Callable]:
    """Signed by signed, into int32; torch hands it to oneDNN."""
    import torch

    left = torch.randint(-128, 128, (product.rows, product.inner), dtype=torch.int8)
    weights = torch.randint(-128, 128, (product.columns, product.inner), dtype=torch.int8).t()
    return lambda: torch._int_mm(left, weights), _nothing


def _nothing() -> None:
    """The CPU is done when the call returns."""


def onnxruntime_arms(threads: int) -> Iterator[Arm]:
    """ONNX Runtime's MatMul and MatMulInteger on the CPU, with weights inside the model, packed when it loads."""
    import numpy
    import onnxruntime
    from onnx import helper, numpy_helper

    def prepare_in(operation: str, left_type: Any, right_type: Any, out_type: Any, product: Product) -> tuple:
        many = [product.count] if product.count > 1 else []
        left_shape, right_shape = [*many, product.rows, product.inner], [*many, product.inner, product.columns]
        out_shape = [*many, product.rows, product.columns]
        generator = numpy.random.default_rng(1)
        # Of int8 the whole range; of float32 0 to 1.
        scale = 1 if left_type == numpy.float32 else 127
        left = (scale * generator.random(left_shape, dtype=numpy.float32)).astype(left_type)
        right = (scale * generator.random(right_shape, dtype=numpy.float32)).astype(right_type)

        def value(name: str, kind: Any, shape: list[int]):
            return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(numpy.dtype(kind)), shape)

        inputs = [value("left", left_type, left_shape)]
        graph = helper.make_graph(
            [helper.make_node(operation, ["left", "right"], ["out"])],
            "product",
            inputs if product.weights else [*inputs, value("right", right_type, right_shape)],
            [value("out", out_type, out_shape)],
            initializer=[numpy_helper.from_array(right, "right")] if product.weights else [],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        given = {"left": left} | ({} if product.weights else {"right": right})
        values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in given.items()}
        for name, one in values.items():
            binding.bind_ortvalue_input(name, one)
        out = onnxruntime.OrtValue.ortvalue_from_numpy(numpy.empty(out_shape, out_type))
        binding.bind_ortvalue_output("out", out)

        def run(_keep=(values, out)) -> None:
            session.run_with_iobinding(binding)

        return run, _nothing

    floats = ("MatMul", numpy.float32, numpy.float32, numpy.float32)
    # Unsigned by signed, as it quantises models.
    integers = ("MatMulInteger", numpy.uint8, numpy.int8, numpy.int32)
    for precision, given in (("float32", floats), ("int8", integers)):
        yield Arm("ONNX Runtime", onnxruntime.__version__, precision, "cpu", partial(prepare_in, *given))


def openvino_arms(threads: int) -> Iterator[Arm]:
    """OpenVINO's MatMul on the CPU (oneDNN), where it is on the path: where one of its variants is measured."""
    if util.find_spec("openvino") is None:
        return
    import numpy
    import openvino
    from openvino import opset13

    def prepare_in(precision: str) -> Callable:
        def prepare(product: Product) -> tuple[Callable, Callable]:
            many = [product.count] if product.count > 1 else []
            left = numpy.random.rand(*many, product.rows, product.inner).astype(numpy.float32)
            right = numpy.random.rand(*many, product.inner, product.columns).astype(numpy.float32)
            first = opset13.parameter(left.shape, numpy.float32)
            second = opset13.constant(right) if product.weights else opset13.parameter(right.shape, numpy.float32)
            model = openvino.Model(
                [opset13.matmul(first, second, False, False)], [first] if product.weights else [first, second]
            )
            hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
            request = openvino.Core().compile_model(model, "CPU", hints).create_infer_request()
            given = [left] if product.weights else [left, right]
            for number, array in enumerate(given):
                request.set_input_tensor(number, openvino.Tensor(array, shared_memory=True))
            return request.infer, _nothing

        return prepare

    precisions = {"float32": "f32"}
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        precisions["bfloat16"] = "bf16"
    for precision, hint in precisions.items():
        yield Arm("OpenVINO", metadata.version("openvino"), precision, "cpu", prepare_in(hint))


def arms(device: str, threads: int) -> Iterator[Arm]:
    """Every library that could be what an engine multiplies with on this device."""
    yield from torch_arms(threads, device)
    if device == "cpu":
        yield from onnxruntime_arms(threads)
        yield from openvino_arms(threads)


def measure_rates(
    shape: Shape, device: str, threads: int, rounds: int = ROUNDS, seconds: float = SECONDS
) -> list[dict[str, Any]]:
    """The best rate (GFLOP/s) of each product of the model in each arm, as the entries of `rates` in peak.json.

    The head is left out: with so little in it, it is no one's peak.
    """
    wanted = [product for size in BATCH_SIZES[device] for product in products(shape, size) if product.name != "head"]
    found: dict[tuple[Arm, Product], float] = {}
    several = list(arms(device, threads))
    for _ in range(rounds):
        for arm in several:
            for product in wanted:
                if product.weights or arm.any_product:
                    rate = best_rate(*arm.prepare(product), product.flop, seconds)
                    found[arm, product] = max(rate, found.get((arm, product), 0.0))
    return [
        {
            "library": arm.library,
            "version": arm.version,
            "precision": arm.precision,
            "device": arm.device,
            "product": product.name,
            "batch_size": product.batch_size,
            "shape": product.text,
            "gflops": round(rate, 2),
        }
        for (arm, product), rate in found.items()
    ]


def decode_rate(paths: list[Path], seconds: float = 2.0) -> float:
    """Images a second that one core reads and decodes to RGB with Pillow, in the fastest traversal of these files."""
    from PIL import Image

    def traverse() -> float:
        begin = time.perf_counter()
        for path in paths:
            with Image.open(path) as image:
                image.convert("RGB").load()
        return time.perf_counter() - begin

    traverse()
    fastest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        fastest = min(fastest, traverse())
    return len(paths) / fastest
