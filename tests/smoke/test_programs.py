"""The programs that advice gives to be pasted run, once paths stand in them, and label as what was measured."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import tiny
import torch

from vitbench.environment import variables
from vitbench.frameworks import FRAMEWORKS
from vitbench.frameworks.declaration import Setting

HAS_BFLOAT16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
# One of each kind of program without Spark; tests/unit/test_snippets.py reads those of all variants.
PROGRAMS = [
    "huggingface/pipeline-workers", "huggingface/processes", "huggingface/processes-bfloat16",
    "huggingface/dataloader-int8", "onnxruntime/float32", "onnxruntime/int8", "onnxruntime/int8-static",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tiny.make(tmp_path_factory.mktemp("programs"))
    (place / "images").mkdir()
    for image in place.glob("*.jpg"):
        (place / "images" / image.name).symlink_to(image)
    return place


@pytest.fixture(scope="module")
def expected(place):
    """What the article's way says of each file."""
    given = tiny.task(place, "huggingface/pipeline")
    predictions, _ = tiny.run(import_module(tiny.module("huggingface/pipeline")).Adapter(given))
    return {f"{int(one.id):02d}.jpg": one.label for one in predictions}


def answers(variant: str, definition: dict, paths: dict[str, str], folder: Path) -> dict[str, str]:
    """File → label, as the program prints them, run in a folder of its own by an activated environment's Python."""
    program = FRAMEWORKS[variant.split("/")[0]].snippet(definition, Setting("cpu", 4, 2))
    for asked, there in paths.items():
        assert f'"{asked}' in program, f"{asked} is asked for nowhere"
        program = program.replace(f'"{asked}"', f'"{there}"')
    folder.mkdir()
    (folder / "program.py").write_text(program)
    # As in a user's shell: a long TMPDIR would leave no room for the sockets of torch's workers.
    environment = variables()
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    command = [sys.executable, "program.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    return {path.rsplit("/", 1)[-1]: label for path, label, *_ in lines}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_prints_the_pipelines_labels(place, expected, name):
    if "bfloat16" in name and not HAS_BFLOAT16:
        pytest.skip("no products in bfloat16")
    definition = tiny.definition(name)
    paths = {"path/to/model": place / "checkpoint", "path/to/images": place / "images"}
    if "onnxruntime" in name:
        static = definition.get("quantization") == "static"
        graph = place / ("onnxruntime-static" if static else "onnx") / "model.onnx"
        made = {"path/to/model.int8.onnx": place / f"{name.replace('/', '-')}.onnx"} if name.endswith("int8") else {}
        paths |= {"path/to/model.onnx": graph} | made
    given = {key: str(path) for key, path in paths.items()}
    found = answers(name, definition, given, place / f"run-{name.replace('/', '-')}")
    assert found.keys() == expected.keys()
    same = sum(found[image] == label for image, label in expected.items())
    assert same >= len(expected) - ("int8" in name or "bfloat16" in name)
