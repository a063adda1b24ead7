"""The programs that advice gives to be pasted: they are Python, know all their names, and hold the settings."""

from __future__ import annotations

import ast
import builtins
from typing import Any

import pytest
import yaml

from vitbench.files import HOME
from vitbench.frameworks import FRAMEWORKS
from vitbench.frameworks.declaration import Setting

DEFINED = yaml.safe_load((HOME / "resources" / "variants.yaml").read_text())
SERVED = ("platforms", "otherwise")
VARIANTS = {
    f"{framework}/{name}": (framework, {key: value for key, value in definition.items() if key not in SERVED})
    for framework, names in DEFINED.items()
    for name, definition in names.items()
}


def program(variant: str, **setting: Any) -> str:
    framework, definition = VARIANTS[variant]
    return FRAMEWORKS[framework].snippet(
        definition, Setting(**{"device": "cpu", "batch_size": 24, "cores": 6} | setting)
    )


def unknown(text: str) -> set[str]:
    """Names that a program reads and never binds."""
    bound, read = set(dir(builtins)) | {"__name__"}, set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                bound.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                bound |= {(one.asname or one.name).partition(".")[0] for one in names}
    return read - bound


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_a_program_that_compiles_and_knows_its_names(variant, device):
    text = program(variant, device=device)
    compile(text, variant, "exec")
    assert unknown(text) == set()
    assert "24" in text and max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("variant", "way"),
    [
        ("spark-huggingface/float32", {"input": "bytes"}),
        ("spark-onnxruntime/float32", {"input": "bytes"}),
        ("spark-onnxruntime/float32", {"sink": "parquet"}),
        ("sparknlp/onnx", {"sink": "parquet"}),
    ],
)
def test_there_is_no_program_of_a_way_in_or_out_that_it_would_not_take(variant, way):
    framework, definition = VARIANTS[variant]
    setting = Setting("cpu", 24, 6)
    assert FRAMEWORKS[framework].snippet(definition | way, setting) is None
    usual = {"input": "files", "sink": "collect"}
    assert FRAMEWORKS[framework].snippet(definition | usual, setting) == program(variant)


def test_the_check_of_the_names_finds_what_is_missing():
    assert unknown("import a.b\ndef f(x):\n    return a.c(x, y)\n") == {"y"}


@pytest.mark.parametrize("framework", DEFINED)
def test_no_two_variants_have_the_same_program(framework):
    named = [variant for variant, (own, _) in VARIANTS.items() if own == framework]
    assert len({program(variant) for variant in named}) == len(named)


def test_threads_slots_and_processes_go_by_the_cores_as_those_that_were_measured():
    assert "THREADS, BATCH_SIZE = 6, 24" in program("huggingface/pipeline")
    assert "num_workers=6" in program("huggingface/pipeline-workers")
    several = program("huggingface/processes")
    assert "THREADS, BATCH_SIZE = 1, 24" in several and "PROCESSES = 6" in several
    assert "SLOTS, THREADS, BATCH_SIZE = 6, 1, 24" in program("onnxruntime/float32")
    tuned = program("sparknlp/onnx-tuned")
    assert 'master("local[6]")' in tuned and 'intraOpNumThreads", "1")' in tuned
    assert 'master("local[*]")' in program("sparknlp/tensorflow")
    # A task has one stream: six of them with one thread each would be made in each of six tasks.
    engine = program("spark-openvino/int8")
    assert "slots = 6" in engine and "SLOTS, THREADS, BATCH_SIZE = 1, 1, 24" in engine
    in_spark = program("spark-huggingface/bfloat16")
    assert "slots = 6" in in_spark and "THREADS, BATCH_SIZE = 1, 24" in in_spark and "torch.bfloat16" in in_spark


@pytest.mark.parametrize("variant", ["huggingface/dataloader", "onnxruntime/float32", "spark-huggingface/float32"])
def test_a_program_decodes_as_its_variant_does(variant):
    framework, definition = VARIANTS[variant]
    setting = Setting("cpu", 24, 6)
    text = FRAMEWORKS[framework].snippet(definition | {"decoder": "simplejpeg"}, setting)
    compile(text, variant, "exec")
    assert unknown(text) == set() and text.count("decoded(") == 2
    assert "simplejpeg" not in program(variant)


def test_a_quantised_graph_and_the_threads_of_an_engine_are_named():
    assert "int8" in program("sparknlp/onnx-int8") and "int8" not in program("sparknlp/onnx-tuned")
    tuned = program("sparknlp/tensorflow-tuned")
    assert 'INTRAOP_THREADS"] = "1"' in tuned and 'INTEROP_THREADS"] = "6"' in tuned and "local[6]" in tuned
    assert "INTRAOP" not in program("sparknlp/tensorflow")
    assert "dtype=torch.float16" in program("huggingface/guide", device="gpu")


@pytest.mark.parametrize("variant", ["sparknlp/onnx-tuned", "spark-onnxruntime/int8", "spark-huggingface/float32"])
@pytest.mark.parametrize(
    "more", [{"sink": "parquet"}, {"spark": {"master": "standalone"}}, {"spark": {"settings": "a"}}]
)
def test_what_no_program_of_one_node_does_has_none(variant, more):
    framework, definition = VARIANTS[variant]
    setting = Setting("cpu", 24, 6)
    assert FRAMEWORKS[framework].snippet(definition, setting)
    assert FRAMEWORKS[framework].snippet(definition | more, setting) is None


def test_onednn_is_what_the_variant_says():
    assert '"TF_ENABLE_ONEDNN_OPTS"] = "1"' in program("sparknlp/tensorflow")
    assert '"TF_ENABLE_ONEDNN_OPTS"] = "0"' in program("sparknlp/tensorflow-no-onednn")
    assert "ONEDNN" not in program("sparknlp/onnx")
