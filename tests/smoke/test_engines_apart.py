"""Variants that start interpreters, Spark or a compiler give the pipeline's labels, in the precision of their name."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from functools import cache
from importlib import import_module

import pytest
import tiny
import torch

from vitbench.environment import variables
from vitbench.files import HOME

APART = [name for name in tiny.ENGINES if {"threads_a_process", "compile"} & tiny.definition(name).keys()]
# The remaining one is looked at closely in tests/unit/test_spark_tasks.py.
IN_SPARK = [name for name in tiny.IN_SPARK if name != "spark-huggingface/float32"]
HAS_BFLOAT16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
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
# The same for a job of several parts: fewer images than processes, then more than there were at first.
PARTS = """
import json, pickle, sys
from dataclasses import replace
from importlib import import_module

if __name__ == "__main__":
    [(module, task)] = pickle.loads(bytes.fromhex(sys.argv[1]))
    adapter = import_module(module).Adapter(replace(task, images=task.images[:3]))
    adapter.start()
    adapter.load()
    labels = {one.id: one.label for one in adapter.classify()}
    for part in (task.images[3:4], task.images[4:]):
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
    """What a program prints of (module, task), each a list on a line of its own."""
    (place / "run.py").write_text(program)
    paths = {"PYTHONPATH": f"{HOME / 'scripts'}:{HOME / 'tests'}"}
    command = [sys.executable, "run.py", pickle.dumps(tasks).hex()]
    environment = variables(place) | paths | more
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


@cache
def run(place, *names, **more):
    """For each variant labels by image, and what it says of itself; or None, and why it cannot be."""
    tasks = [(tiny.module(name), tiny.task(place, name)) for name in names]
    return dict(zip(names, told_by(place, RUN, tasks, **more), strict=True))


@pytest.fixture(scope="module")
def expected(place):
    name = "huggingface/pipeline"
    predictions, _ = tiny.run(import_module(tiny.module(name)).Adapter(tiny.task(place, name)))
    return {one.id: one.label for one in predictions}


@pytest.fixture(scope="module")
def in_spark(place, java):
    """All that runs in Spark, one session after another: the model lies in workers that no two of them share."""
    return run(place, *IN_SPARK, **java)


def check(name, labels, described, expected):
    wanted = next((word for word in ("bfloat16", "int8") if word in name), "float32")
    if wanted == "bfloat16" and not HAS_BFLOAT16:
        assert labels is None and "no products in bfloat16" in described
        return
    assert labels is not None, described
    same = sum(labels[image] == label for image, label in expected.items())
    assert labels.keys() == expected.keys() and same >= len(expected) - (wanted != "float32")
    assert described["precision"] == wanted and described["executed"]["products"][wanted] > 0
    if "compile" not in tiny.definition(name):
        assert (described["slots"], described["threads"]) == (2, 1)
        assert described["partition_rows"] == {"6": 2} and described["effective_batch_sizes"] == {"2": 2, "4": 2}
    else:
        assert described["effective_batch_sizes"] == {"4": 3} and "compiled" in described["setting"]


# Compiling takes half a minute a variant, and a C++ compiler.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * ("compile" in tiny.definition(name))) for name in APART]
)
def test_labels_precision_and_batches_of_processes_and_compilers(place, expected, name):
    check(name, *run(place, name)[name], expected)


@pytest.mark.jvm
@pytest.mark.parametrize("name", IN_SPARK)
def test_labels_precision_and_batches_in_spark(in_spark, expected, name):
    check(name, *in_spark[name], expected)


def test_several_processes_can_be_given_other_images(place):
    name = "huggingface/processes"
    [(labels, rows)] = told_by(place, PARTS, [(tiny.module(name), tiny.task(place, name))])
    whole, _ = run(place, name)[name]
    assert labels == whole and rows == {"4": 2}
