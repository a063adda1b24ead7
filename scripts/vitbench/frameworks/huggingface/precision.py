"""What torch says of the precision of its products: the error of one of them, and the kernels of one batch.

A linear layer of the model multiplies random numbers with as many rows as a batch gives it. On the CPU one batch more
goes through the model while oneDNN and MKL, which multiply there, write down what they do (their "verbose" modes), and
torch's profiler counts the quantised products of FBGEMM, which has no log.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from vitbench.frameworks.precision import Evidence, Kernel, check

# Rows of the result that are compared: the error of one number in a million decides nothing.
COMPARED = 64

ONEDNN_PRODUCTS = ("matmul", "inner_product", "convolution")
ONEDNN_TYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "tf32": "tensorfloat32"}
ONEDNN_INT8 = ("s8", "u8")
# In the name of a routine, looked for in this order; SGEMM has none of them.
MKL_TYPES = {"BF16": "bfloat16", "F16": "float16", "HGEMM": "float16", "S8": "int8"}
_ONEDNN_TYPE = re.compile(r"\b(src|wei)\w*?[:_](f32|bf16|f16|s8|u8)\b(?=:|_|\s|,)")
# A float32 product that may be rounded first: attr-fpmath:bf16.
_ONEDNN_ROUNDED = re.compile(r"fpmath:(bf16|f16|tf32)\b")
_ONEDNN_INSTRUCTIONS = re.compile(r"^onednn_verbose,.*\bisa:(.+)$", re.MULTILINE)
# Laying out weights (SGEMM_PACK…) is no product.
_MKL_PRODUCT = re.compile(r"^MKL_VERBOSE (\w*GEMM(?!_PACK)\w*)\(", re.MULTILINE)
_MKL_INSTRUCTIONS = re.compile(r"^MKL_VERBOSE .*? architecture (.+?), (?:Lnx|Mac|OSX|Win)", re.MULTILINE)
# torch's own names of int8 products.
_QUANTISED = re.compile(r"^(quantized|onednn)::q?linear|^aten::_int_mm")


def layer_of(model: Any) -> Any:
    """The largest linear layer of which the model has several of the same shape: the head has not."""
    import torch

    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    alike = Counter(layer.weight.shape for layer in layers)
    return max(layers, key=lambda layer: (alike[layer.weight.shape] > 1, layer.weight.numel()))


def error_of(layer: Any, config: Any, make_ready: Callable[[Any], Any], batch_size: int) -> float:
    """Relative error (Frobenius norm) of a product of the model's shape against float64.

    Args:
        layer: a linear layer of the model, as it was loaded.
        config: the model's.
        make_ready: layer → what the variant runs in its place: the layer itself, a compiled or a quantised one.
    """
    import torch

    rows = batch_size * ((config.image_size // config.patch_size) ** 2 + 1)
    given = torch.randn(rows, layer.in_features, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        answer = make_ready(layer)(given.to(layer.weight.device).to(layer.weight.dtype))
    places = torch.linspace(0, rows - 1, min(rows, COMPARED)).long()
    bias = None if layer.bias is None else layer.bias.detach().cpu().double()
    with torch.no_grad():
        exact = torch.nn.functional.linear(given[places].double(), layer.weight.detach().cpu().double(), bias)
    return float((answer.cpu()[places].double() - exact).norm() / exact.norm())


def logged(run: Callable[[], Any]) -> tuple[str, Counter[str]]:
    """What oneDNN and MKL print while `run` runs, and how often it called each of torch's operations.

    They print from C, so the descriptor of standard output is another one meanwhile.
    """
    import torch
    from torch.profiler import ProfilerActivity, profile

    libc = ctypes.CDLL(None)
    sys.stdout.flush()
    libc.fflush(None)
    kept = os.dup(1)
    try:
        with tempfile.TemporaryFile() as said:
            os.dup2(said.fileno(), 1)
            try:
                with ExitStack() as stack:
                    for library in (torch.backends.mkldnn, torch.backends.mkl):
                        if library.is_available():
                            stack.enter_context(library.verbose(library.VERBOSE_ON))
                    profiler = stack.enter_context(profile(activities=[ProfilerActivity.CPU]))
                    run()
            finally:
                libc.fflush(None)
                os.dup2(kept, 1)
            said.seek(0)
            text = said.read().decode(errors="replace")
    finally:
        os.close(kept)
    return text, Counter({event.key: event.count for event in profiler.key_averages()})


def kernels_in(log: str, operations: Counter[str]) -> Counter[Kernel]:
    """The matrix products in a log of `logged`, with torch's own int8 ones where oneDNN shows none."""
    found: Counter[Kernel] = Counter()
    for line in log.splitlines():
        if line.startswith("onednn_verbose,") and (kernel := _onednn(line)):
            found[kernel] += 1
    for name in _MKL_PRODUCT.findall(log):
        found[Kernel(f"MKL {name}", next((word for sign, word in MKL_TYPES.items() if sign in name), "float32"))] += 1
    if not any(kernel.precision == "int8" for kernel in found):
        for name, times in operations.items():
            if _QUANTISED.match(name):
                found[Kernel(name, "int8")] += times
    return found


def _onednn(line: str) -> Kernel | None:
    """The product that a line of oneDNN's log tells of, None where it is none that was executed."""
    fields = line.split(",")
    if "exec" not in fields:
        return None
    kind, implementation = fields[fields.index("exec") + 2 :][:2]
    # The first of each is the operand; attributes follow.
    types = dict(reversed(_ONEDNN_TYPE.findall(line)))
    if kind not in ONEDNN_PRODUCTS or "src" not in types or "wei" not in types:
        return None
    name = f"oneDNN {kind} {implementation} {types['src']} x {types['wei']}"
    rounded = _ONEDNN_ROUNDED.search(line)
    if types["src"] in ONEDNN_INT8 and types["wei"] in ONEDNN_INT8:
        return Kernel(name, "int8")
    if types["src"] == "f32" and rounded:
        return Kernel(f"{name} as {rounded[1]}", ONEDNN_TYPES[rounded[1]])
    # Weights alone in int8 are made floats before they are multiplied.
    return Kernel(name, ONEDNN_TYPES[types["wei"] if types["src"] in ONEDNN_INT8 else types["src"]])


def instructions_in(log: str) -> str | None:
    """The instruction sets that oneDNN and MKL name in a log of `logged`."""
    named = {"oneDNN": _ONEDNN_INSTRUCTIONS.search(log), "MKL": _MKL_INSTRUCTIONS.search(log)}
    return "; ".join(f"{library}: {found[1].strip()}" for library, found in named.items() if found) or None


def proven(
    layer: Any,
    config: Any,
    make_ready: Callable[[Any], Any],
    batch_size: int,
    wanted: str,
    run: Callable[[], Any] | None = None,
) -> dict[str, Any]:
    """The record's fields `precision` and `executed`.

    Args:
        layer, config, make_ready, batch_size: see `error_of`.
        run: sends one batch through the model as the passes do; None where the libraries have no log, as on a GPU.

    Raises:
        Unavailable: the products did not run in the precision that the variant is meant to have.
    """
    error = error_of(layer, config, make_ready, batch_size)
    stored = str(layer.weight.dtype).removeprefix("torch.")
    if run is None:
        return check(wanted, Evidence("error of a product", error), stored)
    log, operations = logged(run)
    evidence = Evidence(
        "error of a product; oneDNN's and MKL's own logs, torch's profiler",
        error,
        kernels_in(log, operations),
        instructions_in(log),
    )
    return check(wanted, evidence, stored)
