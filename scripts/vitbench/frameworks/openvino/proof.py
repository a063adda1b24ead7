"""What OpenVINO says of the precision of its products: its execution graph, and the error of one product.

The execution graph is that of the compiled model which the passes ran on, after all that the optimiser has put together
and with the implementation that was chosen for each node. It names the type that a product's operands have.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from vitbench.frameworks.onnxruntime.proof import error_of
from vitbench.frameworks.precision import Evidence, Kernel, check

if TYPE_CHECKING:
    from vitbench.frameworks.openvino.adapter import Adapter

# Nodes that multiply matrices, and the types of their operands.
PRODUCTS = {"FullyConnected", "MatMul", "Convolution", "ScaledDotProductAttention", "MHA"}
# What it fused into one kernel, among which attention is; a name of a node of ours tells that there are products in it.
FUSED, PRODUCT_NAME = "Subgraph", "MatMul"
TYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "i8": "int8", "u8": "int8"}


def kernels_in(nodes: list[dict[str, str]]) -> Counter[Kernel]:
    """The matrix products among the nodes of an execution graph (see `nodes_of`)."""
    found: Counter[Kernel] = Counter()
    for node in nodes:
        names = [name.rpartition("/")[2] for name in node["originalLayersNames"].split(",")]
        fused = node["layerType"] == FUSED and any(name.startswith(PRODUCT_NAME) for name in names)
        if fused or node["layerType"] in PRODUCTS:
            kind = node["runtimePrecision"].lower()
            what = f"{PRODUCT_NAME} in {FUSED}" if fused else node["layerType"]
            found[Kernel(f"{what} {node['primitiveType']} ({kind})", TYPES[kind])] += 1
    return found


def nodes_of(compiled: Any) -> list[dict[str, str]]:
    """The nodes of a compiled model's execution graph: kind, implementation, type of the input, what it was made of."""
    wanted = ("layerType", "primitiveType", "runtimePrecision", "originalLayersNames")
    told = [operation.get_rt_info() for operation in compiled.get_runtime_model().get_ops()]
    return [{name: info[name].astype(str) for name in wanted} for info in told if all(name in info for name in wanted)]


def proven(adapter: Adapter, wanted: str) -> dict[str, Any]:
    """The record's fields `precision` and `executed`.

    Raises:
        Unavailable: the products did not run in the precision that the variant is meant to have.
    """
    error = error_of(adapter)
    method = "OpenVINO's execution graph" + ("; error of a product" if error is not None else "")
    return check(wanted, Evidence(method, error, kernels_in(nodes_of(adapter.compiled))))
