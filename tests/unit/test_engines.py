"""Every variant of a CPU that runs in one process gives the pipeline's labels, and tells what its products ran in."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import jsonschema
import numpy
import pytest
import tiny
import torch
import yaml
from example_records import example_record
from tree import ROOT

from vitbench.frameworks import Adapter, Unavailable, plans_each_pass, spark_profiler, spark_tasks
from vitbench.frameworks.huggingface import processes, workers
from vitbench.frameworks.openvino import adapter as openvino
from vitbench.frameworks.stages import STAGES
from vitbench.inputs import onnx_forms
from vitbench.measure import harness
from vitbench.processor import multiplies_bfloat16
from vitbench.records import record as records

# Those that start interpreters or a compiler are in tests/smoke/test_engines_apart.py.
ELSEWHERE = {name for name in tiny.ENGINES if {"threads_a_process", "compile"} & tiny.definition(name).keys()}
HERE = [name for name in tiny.ENGINES if name not in ELSEWHERE]
HAS_BFLOAT16 = multiplies_bfloat16()
EXECUTED = yaml.safe_load((ROOT / "config/schema/record.schema.yaml").read_text())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tiny.copy(tmp_path_factory, tmp_path_factory.mktemp("engines") / "tiny")


@pytest.fixture(scope="module")
def labels(place):
    """What the article's way says of each image."""
    predictions, _ = run(place, "huggingface/pipeline")
    assert len({one.label for one in predictions}) > 3
    return {one.id: one.label for one in predictions}


def run(place, name, **changes):
    given = tiny.task(place, name, **changes)
    return tiny.run(import_module(tiny.module(name, given.variant)).Adapter(given))


def check_executed(described: dict) -> dict:
    """What a variant says that it ran in, once it fits a record."""
    assert records.problems(example_record(executed=described["executed"], precision=described["precision"])) == []
    executed = described["executed"]
    assert sum(executed["kernels"].values()) == sum(executed["products"].values()) > 0
    return executed


def test_only_workers_that_begin_anew_with_each_call_end_with_a_pass(place):
    """Those of the pipeline's own loader, alone or in each of several processes."""
    assert {name for name, one in tiny.VARIANTS["huggingface"].items() if not workers.stay(one, 2)} == {
        "pipeline-workers"
    }
    for name, more, stay in (
        ("huggingface/pipeline", {}, True),
        ("huggingface/pipeline-workers", {}, False),
        ("huggingface/processes", {}, True),
        ("huggingface/processes", {"loader_workers": 1}, False),
    ):
        given = tiny.task(place, name, **more)
        adapter = import_module(tiny.module(name, given.variant)).Adapter(given)
        adapter.start()
        adapter.load()
        assert adapter.helpers_stay == stay, (name, more)
        adapter.close()


EVERY = [f"{framework}/{name}" for framework, named in tiny.VARIANTS.items() for name in named]


@pytest.mark.parametrize("name", EVERY)
def test_an_adapter_has_all_that_a_repeat_asks_of_it(name):
    """Of every variant that is shipped, of those too whose engine is not here."""
    asked = {member for member in vars(Adapter) if not member.startswith("_")} | set(Adapter.__annotations__)
    assert asked >= {"streams", "classify", "collecting_seconds", "short_pass"}
    if not plans_each_pass(name.partition("/")[0]):
        asked -= {"short_pass"}
    assert asked - set(dir(import_module(tiny.module(name)).Adapter)) == set()


@pytest.mark.parametrize("name", HERE)
def test_a_variant_gives_the_pipelines_labels_in_the_precision_that_it_is_named_after(place, labels, name):
    wanted = next((word for word in ("bfloat16", "int8") if word in name), "float32")
    if wanted == "bfloat16" and not HAS_BFLOAT16:
        with pytest.raises(Unavailable, match="bfloat16"):
            run(place, name)
        return
    predictions, described = run(place, name)
    assert sorted(one.id for one in predictions) == sorted(labels)
    same = sum(one.label == labels[one.id] for one in predictions)
    assert same == len(labels) if wanted == "float32" else same >= len(labels) - 1
    assert all(0 < one.score <= 1 for one in predictions)
    assert described["effective_batch_sizes"] == {"4": 3} and described["batches"] == "observed"
    assert described["precision"] == wanted
    executed = check_executed(described)
    assert executed["products"][wanted] >= 12, "two layers of six products with weights"
    if wanted == "float32":
        assert set(executed["products"]) == {"float32"} and executed["error"] < 1e-5


@pytest.mark.parametrize("name", HERE)
def test_an_adapter_that_is_given_other_images_labels_those_and_no_others(place, labels, name):
    if "bfloat16" in name and not HAS_BFLOAT16:
        return
    given = tiny.task(place, name)
    adapter = import_module(tiny.module(name)).Adapter(replace(given, images=given.images[:5]))
    adapter.start()
    adapter.load()
    first = [*adapter.classify(), *adapter.written()]
    # Fewer than there are slots, and a last batch that is not full.
    for some in (given.images[5:6], given.images[6:]):
        adapter.give(some, given.images_folder)
        answers = [*adapter.classify(), *adapter.written()]
        assert sorted(one.id for one in answers) == sorted(image for image, _ in some)
        first += answers
    adapter.close()
    other = any(word in name for word in ("bfloat16", "int8"))
    assert sorted(one.id for one in first) == sorted(labels)
    assert sum(one.label == labels[one.id] for one in first) >= len(labels) - other


@pytest.mark.parametrize("name", [name for name in tiny.IN_SPARK if name not in tiny.BESIDE])
def test_what_a_task_does_inside_spark_gives_the_pipelines_labels_and_proves_its_precision(
    place, labels, name, monkeypatch
):
    """Without Spark: the tasks' functions one after another, in this process."""
    wanted = next((word for word in ("bfloat16", "int8") if word in name), "float32")
    monkeypatch.setattr(spark_tasks, "_own", None)
    adapter = import_module(tiny.module(name)).Adapter(tiny.task(place, name))
    module, inner, shares = adapter.module, adapter.inner, adapter.shares
    refused = [one for one in spark_tasks.load(module, inner, shares) if one is not None]
    if wanted == "bfloat16" and not HAS_BFLOAT16:
        assert len(refused) == 2 and "bfloat16" in str(refused[0])
        return
    assert refused == []
    batches = list(spark_tasks.classify(module, inner, shares))
    assert [len(batch) for batch in batches] == [4, 2, 4, 2]
    answers = {image: label for batch in batches for image, label, _ in batch}
    assert answers.keys() == labels.keys()
    assert sum(answers[image] == label for image, label in labels.items()) >= len(labels) - (wanted != "float32")
    (first, second) = spark_tasks.describe(module, inner, shares)
    assert first["precision"] == second["precision"] == wanted and first["threads"] == 1
    assert check_executed(first)["products"][wanted] >= 12
    before = dict(vars(spark_tasks._own))
    (seconds,) = spark_profiler.timed(module, inner, shares)
    assert all(seconds[stage] > 0 for stage in STAGES if stage != "other") and seconds["other"] == 0
    assert (
        vars(spark_tasks._own).keys() == before.keys() and list(spark_tasks.classify(module, inner, shares)) == batches
    )


def test_every_variant_of_the_list_is_tested_and_the_article_is_in_it():
    listed = yaml.safe_load((ROOT / "config/engines.yaml").read_text())["frameworks"]
    assert {"huggingface/pipeline", "sparknlp/tensorflow"} <= set(listed)
    cpu = {
        f"{framework}/{name}"
        for framework in ("huggingface", "onnxruntime", "openvino", *tiny.PYTHON_IN_SPARK)
        for name, settings in tiny.VARIANTS[framework].items()
        # TF32 is NVIDIA's, float16 has no products on most processors, and a device that prepares images is a GPU
        # (tests/unit/test_dataloader.py lets a CPU do it).
        if not {"tensorfloat32", "float16"} & {settings.get("precision"), settings.get("dtype")}
        and "on_device" not in settings
    }
    assert {*tiny.ENGINES, *tiny.IN_SPARK, *tiny.BESIDE} == cpu


@pytest.mark.parametrize(("threads_a_slot", "slots"), [(1, 2), (2, 1), ("cores", 1), (7, 1)])
def test_slots_and_their_threads_are_the_cores(place, labels, threads_a_slot, slots):
    predictions, described = run(place, "onnxruntime/float32", threads_a_slot=threads_a_slot)
    assert {one.id: one.label for one in predictions} == labels
    assert (described["slots"], described["threads"]) == (slots, 2 // slots)


@pytest.mark.parametrize(("wanted", "taken"), [(1, 1), (2, 2), (7, 2)])
def test_fewer_slots_leave_cores_idle_and_more_than_fit_are_not_taken(place, labels, wanted, taken):
    predictions, described = run(place, "onnxruntime/float32", slots=wanted)
    assert {one.id: one.label for one in predictions} == labels
    assert (described["slots"], described["threads"]) == (taken, 1)


@pytest.mark.parametrize(
    ("sets", "overflow"),
    [
        (["avx", "avx2", "fma"], True),
        (["avx2", "avx512f", "avx512bw"], True),
        (["avx2", "avx512f", "avx512_vnni"], False),
        (["avx2", "avx_vnni"], False),
        (["asimd", "asimddp"], False),
        ([], False),
    ],
)
def test_weights_keep_within_seven_bits_where_sums_of_eight_overflow(sets, overflow):
    assert onnx_forms.sums_overflow({"instruction_sets": sets}) is overflow


def test_a_batch_of_one_image_gives_the_same_labels(place, labels):
    predictions, described = run(place, "huggingface/pipeline", batch_size=1)
    assert {one.id: one.label for one in predictions} == labels
    assert described["effective_batch_sizes"] == {"1": len(labels)}


def test_a_batch_that_is_not_full_is_the_last_one(place, labels):
    given = tiny.task(place, "onnxruntime/float32", batch_size=5)
    predictions, described = tiny.run(import_module(tiny.module("onnxruntime/float32")).Adapter(given))
    assert [one.id for one in predictions] == list(labels), "in the order of the images"
    assert described["effective_batch_sizes"] == {"2": 1, "5": 2}


def test_a_graph_in_int8_that_is_run_as_float32_is_refused(place):
    """As if the quantiser had quantised nothing, or the float file had been taken by mistake."""
    given = tiny.task(place, "onnxruntime/int8")
    given = type(given)(**vars(given) | {"model": str(place / "onnxruntime-float32")})
    with pytest.raises(Unavailable, match="not one product ran in int8, but in float32"):
        tiny.run(import_module(tiny.module("onnxruntime/int8")).Adapter(given))


def test_a_graph_in_float32_that_is_run_in_int8_is_refused(place):
    given = tiny.task(place, "onnxruntime/float32")
    given = type(given)(**vars(given) | {"model": str(place / "onnxruntime-dynamic")})
    with pytest.raises(Unavailable, match="in int8, not in float32"):
        tiny.run(import_module(tiny.module("onnxruntime/float32")).Adapter(given))


def test_slots_of_openvino_that_answer_one_image_differently_are_refused():
    """As one of two streams of a compiled graph did in some processes, with all that it was given."""

    def request(*logits: float) -> SimpleNamespace:
        return SimpleNamespace(infer=lambda images: {"logits": numpy.array([logits] * len(images[0]))})

    openvino.Adapter._check_answers([request(1.0, 2.0), request(1.0, 2.0001)], [1, 3, 4, 4])
    with pytest.raises(Unavailable, match="answers the same image differently in two of its slots"):
        openvino.Adapter._check_answers([request(1.0, 2.0), request(1.0, 2.0), request(2.0, 1.0)], [1, 3, 4, 4])


def test_torch_that_multiplies_float32_in_bfloat16_is_refused(place):
    """oneDNN may be told to round; what a record says is what it did."""
    if not HAS_BFLOAT16:
        return
    adapter = import_module(tiny.module("huggingface/dataloader")).Adapter(tiny.task(place, "huggingface/dataloader"))
    adapter.start()
    adapter.load()
    before = torch.backends.mkldnn.matmul.fp32_precision
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    try:
        list(adapter.classify())
        with pytest.raises(Unavailable, match="bfloat16, not in float32"):
            adapter.describe()
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before
        adapter.close()


def test_the_record_of_what_ran_is_closed():
    part = EXECUTED["properties"]["executed"] | {"$defs": EXECUTED["$defs"]}
    told = {"method": "a log", "error": None, "kernels": {}, "products": {}, "instructions": None}
    jsonschema.validate(told, part)
    for wrong in ({"more": 1}, {"kernels": {"x": 0}}, {"error": -1}, {"method": ""}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(told | wrong, part)


def test_a_pipeline_runs_in_the_type_that_it_is_told_and_proves_it(place, labels):
    if not HAS_BFLOAT16:
        with pytest.raises(Unavailable, match="no products in bfloat16"):
            run(place, "huggingface/pipeline", dtype="bfloat16")
        return
    predictions, described = run(place, "huggingface/pipeline", dtype="bfloat16")
    assert sum(one.label == labels[one.id] for one in predictions) >= len(labels) - 1
    assert described["precision"] == "bfloat16" and check_executed(described)["products"]["bfloat16"] >= 12


def test_float16_without_instructions_for_it_is_refused_before_anything_is_loaded(place):
    if torch.cpu._is_amx_fp16_supported():
        return
    with pytest.raises(Unavailable, match="no products in float16"):
        run(place, "huggingface/guide")


@pytest.mark.parametrize("name", ["huggingface/dataloader", "onnxruntime/float32"])
def test_another_decoder_gives_the_same_labels_and_is_named(place, labels, name):
    predictions, described = run(place, name, decoder="simplejpeg")
    assert {one.id: one.label for one in predictions} == labels
    assert "decoder simplejpeg" in described["setting"] and described["versions"]["simplejpeg"]
    _, plain = run(place, name)
    assert "decoder" not in plain["setting"] and "simplejpeg" not in plain["versions"]


@pytest.mark.parametrize("decoder", ["pil", "simplejpeg"])
def test_the_stages_of_slots_are_wall_seconds_and_their_timers_are_taken_out_again(place, labels, decoder):
    name = "onnxruntime/float32"
    adapter = import_module(tiny.module(name)).Adapter(tiny.task(place, name, decoder=decoder))
    adapter.start()
    adapter.load()
    before = vars(adapter).copy()
    told = adapter.profile(2)
    assert vars(adapter) == before and len(told["passes"]) == len(told["details"]["slot_seconds"]) == 2
    for one in told["passes"]:
        assert list(one["stages"]) == list(STAGES) and min(one["stages"].values()) >= 0
        assert sum(one["stages"].values()) == pytest.approx(one["seconds"])
        assert all(one["stages"][stage] > 0 for stage in STAGES if stage != "other")
    assert {one.id: one.label for one in adapter.classify()} == labels
    adapter.close()


def test_what_is_timed_inside_spark_as_decoding_is_the_decoder_of_the_variant(place, monkeypatch):
    monkeypatch.setattr(spark_tasks, "_own", None)
    settings = tiny.definition("spark-onnxruntime/float32") | {"decoder": "simplejpeg"}
    adapter = import_module(tiny.module("spark-onnxruntime/float32", settings)).Adapter(
        tiny.task(place, "spark-onnxruntime/float32", decoder="simplejpeg")
    )
    module, inner, shares = adapter.module, adapter.inner, adapter.shares
    list(spark_tasks.load(module, inner, shares))
    (seconds,) = spark_profiler.timed(module, inner, shares)
    assert seconds["read"] > 0 and seconds["decode"] > 0


def test_a_process_that_is_killed_is_a_lack_of_memory_and_no_broken_pool():
    """Whoever calls has pools of its own, and would say that these are broken."""
    several = processes.Adapter.__new__(processes.Adapter)
    several.processes = [ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))]
    with pytest.raises(MemoryError, match="one of 1 processes was killed") as caught:
        several._all(os._exit, [(1,)])
    assert harness.says_out_of_memory(f"{type(caught.value).__name__}: {caught.value}")
