"""The precision in which matrix products really ran: found from their error, not from what was set.

A linear layer of the model multiplies random numbers, in the process that was measured and after its passes, with as
many rows as a batch gives it. The relative error of the result against float64 tells how many bits the operands kept
(Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3: of random numbers about the unit roundoff):
about 3e-7 in float32, 3e-4 with the 11 bits of TF32 and float16 (7e-4 where they are cut off, not rounded), and 2e-3
with the 8 bits of bfloat16. No name of a kernel has to be known, and it is the same on a CPU and on a GPU. What it
cannot see: bfloat16 that is emulated, which has the same error and is only slow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from vitbench.frameworks import Unavailable

# Errors up to which a product has the 24 bits of float32, the 11 of TF32 and float16, the 8 of bfloat16.
BITS_24, BITS_11, BITS_8 = 1e-5, 1.1e-3, 1e-2
# Rows of the result that are compared: the error of one number in a million decides nothing.
COMPARED = 64


def layer_of(model: Any) -> Any:
    """The largest linear layer of which the model has several of the same shape: the head has not."""
    import torch

    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    alike = Counter(layer.weight.shape for layer in layers)
    return max(layers, key=lambda layer: (alike[layer.weight.shape] > 1, layer.weight.numel()))


def error_of(model: Any, make_ready: Callable[[Any], Any], batch_size: int) -> float:
    """Relative error (Frobenius norm) of a product of the model's shape against float64.

    Args:
        make_ready: layer → what the variant runs in its place: the layer itself, or the compiled one.
    """
    import torch

    layer, config = layer_of(model), model.config
    rows = batch_size * ((config.image_size // config.patch_size) ** 2 + 1)
    given = torch.randn(rows, layer.in_features, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        answer = make_ready(layer)(given.to(layer.weight.device).to(layer.weight.dtype))
    places = torch.linspace(0, rows - 1, min(rows, COMPARED)).long()
    bias = None if layer.bias is None else layer.bias.detach().cpu().double()
    with torch.no_grad():
        exact = torch.nn.functional.linear(given[places].double(), layer.weight.detach().cpu().double(), bias)
    return float((answer.cpu()[places].double() - exact).norm() / exact.norm())


def name_of(error: float, stored: str) -> str:
    """The precision that gives this error; `stored` is the type of the weights, float16 or another."""
    if error <= BITS_24:
        return "float32"
    if error <= BITS_11:
        return "float16" if stored == "float16" else "tensorfloat32"
    return "bfloat16" if error <= BITS_8 else "none that is known"


def proven(model: Any, make_ready: Callable[[Any], Any], batch_size: int, wanted: str) -> str:
    """The precision in which the model's products ran.

    Raises:
        Unavailable: it is not the one that the variant is meant to have.
    """
    error = error_of(model, make_ready, batch_size)
    found = name_of(error, str(layer_of(model).weight.dtype).removeprefix("torch."))
    if found != wanted:
        raise Unavailable(
            f"the products ran in {found}, not in {wanted} (relative error {error:.1e}): its time means nothing"
        )
    return found
