"""What a product's error says of the precision that it ran in, and what becomes of one that is not the wanted one."""

from types import SimpleNamespace

import pytest
import torch

from vitbench.frameworks import Unavailable
from vitbench.frameworks.huggingface import precision


def cut(tensor: torch.Tensor, bits: int, rounded: bool = True) -> torch.Tensor:
    """Float32 numbers with so many bits left in the significand, the leading one included."""
    dropped = 24 - bits
    whole = tensor.float().view(torch.int32)
    whole = whole + (1 << (dropped - 1)) if rounded else whole
    return ((whole >> dropped) << dropped).view(torch.float32)


def model(stored: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(2)
    layers = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.Linear(256, 256), torch.nn.Linear(256, 9999))
    layers = layers.to(stored)
    layers.config = SimpleNamespace(image_size=32, patch_size=8)
    return layers


def operands_cut(bits: int, rounded: bool = True):
    def make_ready(layer):
        weight = cut(layer.weight.detach(), bits, rounded)
        return lambda given: torch.nn.functional.linear(cut(given, bits, rounded), weight, layer.bias)

    return make_ready


@pytest.mark.parametrize(
    ("make_ready", "stored", "expected"),
    [
        (lambda layer: layer, torch.float32, "float32"),
        (operands_cut(11), torch.float32, "tensorfloat32"),
        (operands_cut(11, rounded=False), torch.float32, "tensorfloat32"),
        (operands_cut(8), torch.float32, "bfloat16"),
        (lambda layer: layer, torch.bfloat16, "bfloat16"),
        (lambda layer: layer, torch.float16, "float16"),
    ],
)
def test_the_precision_is_found_by_the_error_of_a_product(make_ready, stored, expected):
    assert precision.proven(model(stored), make_ready, batch_size=4, wanted=expected) == expected


@pytest.mark.parametrize(
    ("make_ready", "wanted"),
    [
        (operands_cut(8), "float32"),
        (operands_cut(11), "float32"),
        (lambda layer: layer, "tensorfloat32"),
        (operands_cut(4), "bfloat16"),
        (lambda layer: lambda given: torch.full((len(given), 256), torch.nan), "float32"),
    ],
)
def test_another_precision_than_the_wanted_one_is_refused(make_ready, wanted):
    with pytest.raises(Unavailable, match=wanted):
        precision.proven(model(), make_ready, batch_size=4, wanted=wanted)


def test_the_layer_is_one_of_the_many_and_not_the_head():
    assert precision.layer_of(model()).out_features == 256
