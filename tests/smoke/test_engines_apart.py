"""Variants that start interpreters, Spark or a compiler give the pipeline's labels, in the precision of their name."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import tiny

from vitbench.environment import variables
from vitbench.files import HOME
from vitbench.inputs import packages
from vitbench.processor import multiplies_bfloat16

pytestmark = pytest.mark.ci

APART = [name for name in tiny.ENGINES if {"threads_a_process", "compile"} & tiny.definition(name).keys()]
# The remaining one is looked at closely in tests/unit/test_spark_tasks.py.
IN_SPARK = [name for name in tiny.IN_SPARK if name != "spark-huggingface/float32"]
ALONE = [name for name in tiny.BESIDE if name not in IN_SPARK]
HAS_BFLOAT16 = multiplies_bfloat16()
# A process of its own, as in a repeat: what a variant sets holds for all of it. Prints the labels and the description
# of each variant, or why it cannot be.
RUN = """
import json, pickle, sys
from importlib import import_module
import tiny
from vitbench.frameworks import Unavailable

def answers(module, task):
    adapter = import_module(module).Adapter(task)
    if "compile" in task.variant:
        import torch
        run_once = adapter.run_once

        def without_compiling(pixels):
            # The batch that proves the precision must meet what the passes had compiled.
            with torch.compiler.set_stance("fail_on_recompile"):
                return run_once(pixels)

        adapter.run_once = without_compiling
    try:
        predictions, described = tiny.run(adapter)
    except Unavailable as reason:
        return None, str(reason)
    return {one.id: one.label for one in predictions}, described

if __name__ == "__main__":
    for module, task in pickle.loads(bytes.fromhex(sys.argv[1])):
        print(json.dumps(answers(module, task)), flush=True)
"""
# The same for a job of several parts: fewer images than processes, at first and again, then more.
PARTS = """
import json, pickle, sys
from dataclasses import replace
from importlib import import_module

if __name__ == "__main__":
    [(module, task)] = pickle.loads(bytes.fromhex(sys.argv[1]))
    adapter = import_module(module).Adapter(replace(task, images=task.images[:1]))
    adapter.start()
    adapter.load()
    labels = {one.id: one.label for one in adapter.classify()}
    for part in (task.images[1:3], task.images[3:4], task.images[4:]):
        adapter.give(part, task.images_folder)
        labels |= {one.id: one.label for one in adapter.classify()}
    described = adapter.describe()
    adapter.close()
    print(json.dumps([labels, described["partition_rows"]]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tiny.copy(tmp_path_factory, tmp_path_factory.mktemp("engines") / "tiny")


def told_by(place, program, tasks, **more):
    """What a program prints of each variant's task, a list on a line of its own."""
    (place / "run.py").write_text(program)
    paths = {"PYTHONPATH": f"{HOME / 'scripts'}:{HOME / 'tests'}"}
    jobs = [(tiny.module(name), task) for name, task in tasks.items()]
    command = [sys.executable, "run.py", pickle.dumps(jobs).hex()]
    environment = variables(place) | paths | more
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def run(place, tasks, **more):
    """For each variant's task labels by image, and what it says of itself; or None, and why it cannot be."""
    return dict(zip(tasks, told_by(place, RUN, tasks, **more), strict=True))


def run_one(place, name, **changes):
    """What `run` has of one variant; `changes` are of its task."""
    return run(place, {name: replace(tiny.task(place, name), **changes)})[name]


@pytest.fixture(scope="module")
def expected(place):
    name = "huggingface/pipeline"
    predictions, _ = tiny.run(import_module(tiny.module(name)).Adapter(tiny.task(place, name)))
    return {one.id: one.label for one in predictions}


@pytest.fixture(scope="module")
def in_spark(place, java, installed):
    """All that runs in Spark, one session after another: the model lies in workers that no two of them share."""
    return run(place, {name: tiny.task(place, name) for name in IN_SPARK}, **java)


def check(name, labels, described, expected):
    wanted = next((word for word in ("bfloat16", "int8") if word in name), "float32")
    if wanted == "bfloat16" and not HAS_BFLOAT16:
        assert labels is None and "no products in bfloat16" in described
        return
    assert labels is not None, described
    same = sum(labels[image] == label for image, label in expected.items())
    assert labels.keys() == expected.keys() and same >= len(expected) - (wanted != "float32")
    assert described["precision"] == wanted and described["executed"]["products"][wanted] > 0
    if "compile" in tiny.definition(name):
        assert described["effective_batch_sizes"] == {"4": 3} and "compiled" in described["setting"]
        return
    assert (described["slots"], described["threads"]) == (2, 1)
    if name in tiny.BESIDE:
        assert described["executed"]["products"][wanted] >= 12
        if wanted == "float32":
            assert set(described["executed"]["products"]) == {"float32"} and described["executed"]["error"] < 1e-5
        locked = (HOME / "envs" / "openvino.txt").read_text()
        assert f"openvino=={described['versions']['openvino']} " in locked
    if name in ALONE:
        assert described["effective_batch_sizes"] == {"4": 3} and described["batches"] == "observed"
    else:
        assert described["partition_rows"] == {"6": 2} and described["effective_batch_sizes"] == {"2": 2, "4": 2}


# Compiling takes half a minute a variant, and a C++ compiler.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * ("compile" in tiny.definition(name))) for name in APART]
)
def test_labels_precision_and_batches_of_processes_and_compilers(place, expected, name):
    check(name, *run_one(place, name), expected)


@pytest.mark.jvm
@pytest.mark.parametrize("name", IN_SPARK)
def test_labels_precision_and_batches_in_spark(in_spark, expected, name):
    check(name, *in_spark[name], expected)


def test_several_processes_can_be_given_other_images(place, expected):
    name = "huggingface/processes"
    [(labels, rows)] = told_by(place, PARTS, {name: tiny.task(place, name)})
    assert labels == expected and rows == {"4": 2}


@pytest.fixture(scope="module")
def installed(place):
    """The packages beside the environment, from the registry, as a run installs them."""
    for name in {tiny.task(place, each).packages for each in tiny.BESIDE}:
        packages.install(HOME / "envs" / f"{Path(name).name}.txt", Path(name))


@pytest.mark.parametrize("name", ALONE)
def test_labels_precision_and_batches_of_what_is_installed_beside_the_environment(place, expected, installed, name):
    check(name, *run_one(place, name), expected)


@pytest.mark.parametrize(
    ("name", "form", "said"),
    [
        ("openvino/int8", "onnxruntime-float32", "not one product ran in int8, but in float32"),
        ("openvino/float32", "onnxruntime-static", "in int8, not in float32"),
    ],
)
def test_openvino_with_the_file_of_another_precision_is_refused(place, installed, name, form, said):
    labels, why = run_one(place, name, model=str(place / form))
    assert labels is None and said in why


def test_openvino_that_takes_fewer_threads_than_were_asked_for_is_refused(place, installed):
    settings = tiny.definition("openvino/float32") | {"threads_a_slot": 1000}
    labels, why = run_one(place, "openvino/float32", threads=1000, variant=settings)
    assert labels is None and "OpenVINO took" in why and "its time means nothing" in why
