"""The programs that advice gives to be pasted: they are Python, know all their names, and hold the settings."""

from __future__ import annotations

import ast
import builtins
from types import SimpleNamespace
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


@pytest.mark.parametrize("variant", ["spark-huggingface/float32", "spark-onnxruntime/float32", "spark-openvino/int8"])
def test_a_task_takes_no_more_threads_than_there_are_cores(variant):
    """As when it is measured; Spark refuses tasks that take more than it has."""
    framework, definition = VARIANTS[variant]
    text = FRAMEWORKS[framework].snippet(definition | {"threads_a_slot": 16}, Setting("cpu", 24, 6))
    assert 'master("local[6]")' in text and '"spark.task.cpus", "6"' in text and "slots = 1\n" in text
    assert "THREADS, BATCH_SIZE = 6, 24" in text or "SLOTS, THREADS, BATCH_SIZE = 1, 6, 24" in text


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant.startswith("spark-")])
def test_tasks_of_spark_run_the_python_that_runs_the_program(variant):
    text = program(variant)
    chosen = text.index('os.environ.setdefault("PYSPARK_PYTHON", sys.executable)')
    assert text.index("paths = sorted(") < chosen < text.index("SparkSession.builder")


def loads(text: str) -> list[dict[str, str]]:
    """The named arguments of each call of a program that loads a checkpoint's weights."""
    loading = ("pipeline", "AutoModelForImageClassification.from_pretrained")
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return [
        {given.arg: ast.unparse(given.value) for given in call.keywords}
        for call in calls
        if ast.unparse(call.func) in loading
    ]


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if not variant.startswith("sparknlp/")])
def test_a_program_says_in_which_precision_weights_are_loaded(variant):
    """By itself transformers takes them as they are stored; what is measured is a copy in float32."""
    (given,) = loads(program(variant))
    _, definition = VARIANTS[variant]
    halves = {definition.get("dtype"), definition.get("precision")} & {"bfloat16", "float16"}
    in_float32 = not halves or "openvino" in variant  # whose engine rounds a graph in float32
    assert given["dtype"] == ("torch.float32" if in_float32 else f"torch.{halves.pop()}")


@pytest.mark.parametrize(("there", "device"), [(True, "cuda"), (False, "mps")])
def test_a_program_for_a_gpu_finds_which_it_is(there, device):
    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: there))
    for variant in ("huggingface/pipeline", "huggingface/dataloader-bfloat16-device-decoding"):
        text = program(variant, device="gpu")
        (chosen,) = (line for line in text.splitlines() if line.startswith("DEVICE = "))
        assert eval(chosen.removeprefix("DEVICE = "), {"torch": torch}) == device
        assert text.count("DEVICE") > 1
    assert 'DEVICE = "cpu"\n' in program("huggingface/pipeline")


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
