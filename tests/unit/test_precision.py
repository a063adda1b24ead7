"""What a product's error and the libraries' logs say of the precision; another than the wanted one is refused."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from vitbench.frameworks import Unavailable
from vitbench.frameworks.huggingface import precision
from vitbench.frameworks.huggingface.dataloader import quantised
from vitbench.frameworks.onnxruntime import proof
from vitbench.frameworks.openvino import proof as openvino
from vitbench.frameworks.precision import BITS_11, INT8, Evidence, Kernel, check

CONFIG = SimpleNamespace(image_size=32, patch_size=8)


def cut(tensor: torch.Tensor, bits: int, rounded: bool = True) -> torch.Tensor:
    """Float32 numbers with so many bits left in the significand, the leading one included."""
    dropped = 24 - bits
    whole = tensor.float().view(torch.int32)
    whole = whole + (1 << (dropped - 1)) if rounded else whole
    return ((whole >> dropped) << dropped).view(torch.float32)


def model(stored: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(2)
    layers = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.Linear(256, 256), torch.nn.Linear(256, 9999))
    return layers.to(stored)


def operands_cut(bits: int, rounded: bool = True):
    def make_ready(layer):
        weight = cut(layer.weight.detach(), bits, rounded)
        return lambda given: torch.nn.functional.linear(cut(given, bits, rounded), weight, layer.bias)

    return make_ready


def proven(stored, make_ready, wanted):
    return precision.proven(precision.layer_of(model(stored)), CONFIG, make_ready, batch_size=4, wanted=wanted)


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
    found = proven(stored, make_ready, expected)
    assert found["precision"] == expected and found["executed"]["error"] > 0 and found["executed"]["kernels"] == {}


@pytest.mark.parametrize(
    ("make_ready", "wanted"),
    [
        (operands_cut(8), "float32"),
        (operands_cut(11), "float32"),
        (lambda layer: layer, "tensorfloat32"),
        (operands_cut(4), "bfloat16"),
        (lambda layer: lambda given: torch.full((len(given), 256), torch.nan), "float32"),
        (quantised, "float32"),
        (quantised, "int8"),  # the error alone proves no int8
    ],
)
def test_another_precision_than_the_wanted_one_is_refused(make_ready, wanted):
    with pytest.raises(Unavailable, match=wanted):
        proven(torch.float32, make_ready, wanted)


def test_the_layer_is_one_of_the_many_and_not_the_head():
    assert precision.layer_of(model()).out_features == 256


def test_a_quantised_layer_has_the_error_of_int8_and_its_float_layer_stays():
    layer = precision.layer_of(model())
    before = layer.weight.clone()
    assert BITS_11 < precision.error_of(layer, CONFIG, quantised, 4) < INT8
    assert torch.equal(layer.weight, before)


# --- the libraries' logs

ONEDNN = """onednn_verbose,v1,info,oneDNN v3.10.2 (commit abc)
onednn_verbose,v1,info,cpu,isa:Intel AVX-512 with Intel DL Boost, and Intel AMX with bfloat16 and 8-bit integer support
onednn_verbose,v1,primitive,exec,cpu,reorder,jit:uni,undef,src:f32::blocked:ab::f0 dst:bf16::blocked:ab::f0,,,8x8,0.1
"""
LINE = (
    "onednn_verbose,v1,primitive,exec,cpu,{kind},{how},undef,src:{src}::blocked:ab::f0 "
    "wei:{wei}:a:blocked:ab::f0 {more},8x8:8x8,0.1"
)
MKL = (
    "MKL_VERBOSE oneMKL 2024.0 Update 2 Product build for Intel(R) 64 architecture Intel(R) Advanced Vector Extensions "
    "512 (Intel(R) AVX-512) enabled processors, Lnx 2.00GHz lp64 gnu_thread\n"
    "MKL_VERBOSE SGEMM(T,N,8,8,8,0x7f,0x7f,8,0x7f,8,0x7f,0x7f,8) 5.02ms CNR:OFF Dyn:1 FastMM:1 TID:0  NThr:2\n"
    "MKL_VERBOSE SGEMM(T,N,8,8,8,0x7f,0x7f,8,0x7f,8,0x7f,0x7f,8) 5.02ms CNR:OFF Dyn:1 FastMM:1 TID:0  NThr:2\n"
)


def onednn(src: str, wei: str, more: str = "dst:f32::blocked:ab::f0,", kind="matmul", how="brg_matmul:avx512_core_amx"):
    return LINE.format(kind=kind, how=how, src=src, wei=wei, more=more)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (onednn("f32", "f32"), "float32"),
        (onednn("bf16", "bf16"), "bfloat16"),
        (onednn("f16", "f16"), "float16"),
        (onednn("u8", "s8", "dst:f32::blocked:ab::f0,attr-scales:src0:0:f32+wei:2:f32"), "int8"),
        (onednn("f32", "f32", "dst:f32::blocked:ab::f0,attr-fpmath:bf16"), "bfloat16"),
        (onednn("f32", "s8"), "float32"),  # weights alone: they are made floats
        (onednn("bf16", "s8"), "bfloat16"),
        (onednn("bf16", "bf16", kind="convolution"), "bfloat16"),
        (onednn("f32", "f32", kind="softmax"), None),
        (onednn("bf16", "bf16").replace("exec", "create:cache_hit"), None),
        (onednn("bf16", "bf16").replace(":bf16:", "_bf16:"), "bfloat16"),  # as oneDNN wrote it before 3.0
        ("MKL_VERBOSE GEMM_BF16BF16F32(T,N) 1ms", "bfloat16"),
        ("MKL_VERBOSE GEMM_S8U8S32(T,N) 1ms", "int8"),
        ("MKL_VERBOSE SGEMM_COMPUTE(T,N) 1ms", "float32"),
        ("MKL_VERBOSE SGEMM_PACK_GET_SIZE(8) 1ms", None),
        ("MKL_VERBOSE SAXPY(8) 1ms", None),
        ("somebody printed SGEMM(", None),
    ],
)
def test_a_line_of_a_log_tells_of_one_product(line, expected):
    found = precision.kernels_in(ONEDNN + line, Counter())
    assert [kernel.precision for kernel in found] == ([expected] if expected else [])


def test_products_are_counted_and_instructions_named():
    log = MKL + ONEDNN + onednn("bf16", "bf16") + "\n"
    found = precision.kernels_in(log, Counter())
    assert found == {
        Kernel("MKL SGEMM", "float32"): 2,
        Kernel("oneDNN matmul brg_matmul:avx512_core_amx bf16 x bf16", "bfloat16"): 1,
    }
    told = precision.instructions_in(log)
    assert "oneDNN: Intel AVX-512 with Intel DL Boost, and Intel AMX" in told and "MKL: Intel(R) Advanced" in told
    assert precision.instructions_in("") is None


def test_torchs_own_int8_products_count_where_no_log_shows_them():
    operations = Counter({"quantized::linear_dynamic": 12, "aten::add": 3, "quantized::dropout": 1})
    assert precision.kernels_in(MKL, operations)[Kernel("quantized::linear_dynamic", "int8")] == 12
    shown = precision.kernels_in(onednn("u8", "s8"), operations)
    assert sum(shown.values()) == 1, "the same products under another name"


def test_what_the_libraries_really_print_is_read():
    """A product in float32, and one in bfloat16 where the processor has it, through the logs of this torch."""
    layers = model()
    log, _ = precision.logged(lambda: layers(torch.randn(64, 256)))
    assert precision.kernels_in(log, Counter()).keys() and {
        kernel.precision for kernel in precision.kernels_in(log, Counter())
    } == {"float32"}
    halves = model(torch.bfloat16)
    log, _ = precision.logged(lambda: halves(torch.randn(64, 256).bfloat16()))
    assert {kernel.precision for kernel in precision.kernels_in(log, Counter())} <= {"bfloat16", "float32"}


def test_what_is_printed_before_and_after_stays_on_standard_output(capfd):
    print("before")
    log, operations = precision.logged(lambda: torch.ones(4, 4) @ torch.ones(4, 4))
    print("after")
    assert capfd.readouterr().out.split() == ["before", "after"]
    assert operations["aten::mm"] == 1


def node(operation: str, *types: str, name: str = "node_kernel_time") -> dict:
    given = [{kind: [8, 8]} for kind in types]
    return {"cat": "Node", "name": name, "args": {"op_name": operation, "input_type_shape": given}}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (node("MatMul", "float", "float"), "float32"),
        (node("Gemm", "float16", "float16", "float16"), "float16"),
        (node("MatMulIntegerToFloat", "uint8", "float", "float", "uint8", "int8"), "int8"),
        (node("DynamicQuantizeMatMul", "float", "float", "int8"), "int8"),
        (node("Add", "float", "float"), None),
        (node("MatMul", "float", "float", name="node_fence_before"), None),
        ({"cat": "Session", "name": "model_run", "args": {}}, None),
    ],
)
def test_an_event_of_onnx_runtimes_profile_tells_of_one_product(event, expected):
    assert [kernel.precision for kernel in proof.kernels_in([event])] == ([expected] if expected else [])


# --- what is refused


def evidence(error: float | None = None, **kernels: int) -> Evidence:
    return Evidence("a log", error, {Kernel(f"product in {name}", name): times for name, times in kernels.items()})


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        ("float32", evidence(3e-7)),
        ("float32", evidence(3e-7, float32=73)),
        ("float32", evidence(None, float32=73)),
        ("bfloat16", evidence(2e-3, bfloat16=73, float32=24)),
        ("int8", evidence(None, int8=49, float32=25)),
        ("int8", evidence(2e-2, int8=49)),
        ("tensorfloat32", evidence(3e-4)),
    ],
)
def test_what_agrees_is_recorded(wanted, seen):
    found = check(wanted, seen)
    assert found["precision"] == wanted
    assert found["executed"]["products"] == {kernel.precision: times for kernel, times in seen.kernels.items()}


@pytest.mark.parametrize(
    ("wanted", "seen", "said"),
    [
        ("float32", evidence(3e-7, float32=72, bfloat16=1), "bfloat16, not in float32 .product in bfloat16"),
        ("float32", evidence(2e-3, float32=73), "bfloat16, not in float32 .relative error 2.0e-03"),
        ("float32", evidence(None, int8=49), "int8, not in float32"),
        ("bfloat16", evidence(2e-3, float32=73), "not one product ran in bfloat16, but in float32"),
        ("int8", evidence(2e-2, float32=73), "not one product ran in int8, but in float32"),
        ("int8", evidence(2e-2), "not one product ran in int8, but in none that is known"),
        ("int8", evidence(3e-7, int8=49), "have not the error of int8"),
        ("int8", evidence(float("nan"), int8=49), "have not the error of int8"),
        ("float32", evidence(), "nothing tells"),
    ],
)
def test_what_does_not_agree_is_one_line(wanted, seen, said):
    with pytest.raises(Unavailable, match=said) as raised:
        check(wanted, seen)
    assert "\n" not in str(raised.value) and str(raised.value).endswith("its time means nothing")


# --- OpenVINO


def planned(kind: str, precision: str, how: str = "brgemm_avx512", name: str = "Add") -> dict[str, str]:
    names = {"originalLayersNames": f"/vit/layers.0/{name},"}
    return {"layerType": kind, "primitiveType": how, "runtimePrecision": precision} | names


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (planned("FullyConnected", "f32"), "float32"),
        (planned("FullyConnected", "bf16"), "bfloat16"),
        (planned("FullyConnected", "u8", "brgemm_avx512_vnni_i8"), "int8"),
        (planned("MatMul", "I8"), "int8"),
        (planned("Convolution", "f32", "jit_avx512_f32"), "float32"),
        (planned("Reorder", "bf16"), None),
        (planned("Subgraph", "bf16", "jit_avx512_bf16", "attention/MatMul_1"), "bfloat16"),
        (planned("Subgraph", "f32", "jit_avx512_f32", "MatMuls/Add"), None),
    ],
)
def test_a_node_of_openvinos_execution_graph_tells_of_one_product(node, expected):
    found = openvino.kernels_in([node])
    assert [kernel.precision for kernel in found] == ([expected] if expected else [])
    assert all(node["primitiveType"] in kernel.name for kernel in found)
