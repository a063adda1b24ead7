"""What ONNX Runtime says of the precision of its products: its profile of one batch, and the error of one product.

The profile is made by a second session on the same file with the same settings, after the passes: profiling a session
slows it. It names each node that ran, after all that the optimiser has put together, with the types that went in; it
does not say with which instructions.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.frameworks.precision import Evidence, Kernel, check

if TYPE_CHECKING:
    from vitbench.frameworks.onnxruntime.adapter import Adapter

# Nodes that multiply matrices, ONNX's own and what the optimiser makes of several: in the type of what goes in, and
# in int8, whatever else goes in.
PRODUCTS = {
    *("MatMul", "FusedMatMul", "TransposeMatMul", "Gemm", "FusedGemm", "Conv", "FusedConv", "Attention"),
    "MultiHeadAttention",
}
INTEGER_PRODUCTS = {
    *("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm", "QAttention"),
    *("ConvInteger", "QLinearConv"),
}
TYPES = {"float": "float32", "bfloat16": "bfloat16", "float16": "float16"}
COMPARED = 64


def kernels_in(profile: list[dict[str, Any]]) -> Counter[Kernel]:
    """The matrix products in ONNX Runtime's profile (its JSON, parsed)."""
    found: Counter[Kernel] = Counter()
    for event in profile:
        operation = event.get("args", {}).get("op_name")
        if operation not in PRODUCTS | INTEGER_PRODUCTS or not event["name"].endswith("_kernel_time"):
            continue
        # Weights that it has laid out anew are not among them.
        types = [kind for given in event["args"]["input_type_shape"] for kind in given]
        precision = "int8" if operation in INTEGER_PRODUCTS else TYPES[types[0]]
        found[Kernel(f"{operation} ({', '.join(types)})", precision)] += 1
    return found


def profile_of(adapter: Adapter, pixels: Any) -> list[dict[str, Any]]:
    """ONNX Runtime's profile of one batch through a second session with the adapter's settings."""
    options = adapter.options()
    options.enable_profiling = True
    # Several processes may do so at the same time, in the same folder.
    options.profile_file_prefix = str(Path(adapter.task.temporary) / f"onnxruntime-{os.getpid()}")
    session = adapter.session_of(str(Path(adapter.task.model) / "model.onnx"), options)
    session.run(["logits"], {"pixel_values": pixels})
    return json.loads(Path(session.end_profiling()).read_text())


def largest_batch(adapter: Adapter) -> int:
    """Images of the largest batch of the last pass."""
    return max(adapter.batches, default=adapter.task.batch_size)


def error_of(adapter: Adapter) -> float | None:
    """Relative error (Frobenius norm) against float64 of random numbers, with as many rows as the largest batch gives a
    product, times the largest weights of the graph, of which there are several of the same shape: as a graph of its own
    under the adapter's settings.

    None where no node multiplies with floats: a quantised product stands in several nodes.
    """
    import numpy
    import onnx

    graph = onnx.load(Path(adapter.task.model) / "model.onnx").graph
    multiplied = {node.input[1] for node in graph.node if node.op_type == "MatMul"}
    weights = [one for one in graph.initializer if one.name in multiplied and len(one.dims) == 2]
    if not weights:
        return None
    alike = Counter(tuple(one.dims) for one in weights)
    chosen = max(weights, key=lambda one: (alike[tuple(one.dims)] > 1, one.dims[0] * one.dims[1]))
    config = adapter.config
    rows = largest_batch(adapter) * ((config.image_size // config.patch_size) ** 2 + 1)
    inner, columns = chosen.dims
    given = numpy.random.default_rng(1).standard_normal((rows, inner), dtype=numpy.float32)
    kind = onnx.TensorProto.FLOAT
    product = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["given", chosen.name], ["out"])],
        "product",
        [onnx.helper.make_tensor_value_info("given", kind, [rows, inner])],
        [onnx.helper.make_tensor_value_info("out", kind, [rows, columns])],
        initializer=[chosen],
    )
    model = onnx.helper.make_model(product, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    answer = adapter.multiply(model.SerializeToString(), given)
    places = numpy.linspace(0, rows - 1, min(rows, COMPARED)).astype(int)
    exact = given[places].astype(numpy.float64) @ onnx.numpy_helper.to_array(chosen).astype(numpy.float64)
    return float(numpy.linalg.norm(answer[places] - exact) / numpy.linalg.norm(exact))


def proven(adapter: Adapter, wanted: str) -> dict[str, Any]:
    """The record's fields `precision` and `executed`, of a batch as large as the largest of the last pass.

    Raises:
        Unavailable: the products did not run in the precision that the variant is meant to have.
    """
    import numpy

    config = adapter.config
    shape = (largest_batch(adapter), config.num_channels, config.image_size, config.image_size)
    pixels = numpy.random.default_rng(1).standard_normal(shape, dtype=numpy.float32)
    error = error_of(adapter)
    method = "ONNX Runtime's profile" + ("; error of a product" if error is not None else "")
    return check(wanted, Evidence(method, error, kernels_in(profile_of(adapter, pixels))))
