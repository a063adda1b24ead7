"""Variants that start interpreters, Spark or a compiler give the pipeline's labels, in the precision of their name."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest
import tiny
import torch

from vitbench.environment import variables
from vitbench.files import HOME

APART = [name for name in tiny.ENGINES if {"threads_a_process", "compile"} & tiny.definition(name).keys()]
HAS_BFLOAT16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
# A process of its own, as in a repeat: what a variant sets holds for all of it. Prints the labels and the description.
RUN = """
import json, pickle, sys
from importlib import import_module
import tiny

def main():
    module, task = sys.argv[1], pickle.loads(bytes.fromhex(sys.argv[2]))
    adapter = import_module(module).Adapter(task)
    if "compile" in task.variant:
        import torch
        run_once = adapter.run_once

        def without_compiling(pixels):
            # The batch that proves the precision must meet what the passes had compiled.
            with torch.compiler.set_stance("fail_on_recompile"):
                return run_once(pixels)

        adapter.run_once = without_compiling
    predictions, described = tiny.run(adapter)
    print(json.dumps([[[one.id, one.label] for one in predictions], described]))

if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("engines"))


def run(place, name):
    """Labels by image, and what the variant says of itself; or the last line of what it said instead."""
    (place / "run.py").write_text(RUN)
    paths = {"PYTHONPATH": f"{HOME / 'scripts'}:{HOME / 'tests'}"}
    command = [sys.executable, "run.py", tiny.module(name), pickle.dumps(tiny.task(place, name)).hex()]
    done = subprocess.run(command, cwd=place, env=variables(place) | paths, capture_output=True, text=True, timeout=600)
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1]
    labels, described = json.loads(done.stdout.strip().splitlines()[-1])
    return dict(labels), described


@pytest.fixture(scope="module")
def expected(place):
    labels, described = run(place, "huggingface/pipeline")
    assert labels, described
    return labels


# Compiling takes half a minute a variant, and a C++ compiler.
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.long] * ("compile" in tiny.definition(name))) for name in APART]
    + [pytest.param(name, marks=pytest.mark.jvm) for name in tiny.IN_SPARK],
)
def test_labels_precision_and_batches(place, expected, name):
    labels, described = run(place, name)
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
