"""The programs that advice gives to be pasted run, once paths stand in them, and label as what was measured."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import tiny

from vitbench.environment import variables
from vitbench.files import HOME
from vitbench.frameworks import FRAMEWORKS
from vitbench.frameworks.declaration import Setting
from vitbench.inputs import packages
from vitbench.processor import multiplies_bfloat16

pytestmark = pytest.mark.ci

HAS_BFLOAT16 = multiplies_bfloat16()
# One of each kind of program without Spark; tests/unit/test_snippets.py reads those of all variants.
PROGRAMS = [
    "huggingface/pipeline-workers", "huggingface/processes", "huggingface/processes-bfloat16",
    "huggingface/dataloader-int8", "onnxruntime/float32", "onnxruntime/int8", "onnxruntime/int8-static",
    "openvino/float32", "openvino/bfloat16", "openvino/int8",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tiny.copy(tmp_path_factory, tmp_path_factory.mktemp("programs") / "tiny")
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


@pytest.fixture(scope="module")
def beside(place):
    """Framework → the folder of the packages that a user of its programs installs; nothing where there are none."""
    folders = {name.split("/")[0]: tiny.task(place, name).packages for name in PROGRAMS}
    for folder in filter(None, folders.values()):
        packages.install(HOME / "envs" / f"{Path(folder).name}.txt", Path(folder))
    return folders


def answers(
    variant: str, definition: dict, paths: dict[str, str], folder: Path, beside: str | None = None
) -> dict[str, str]:
    """File → label, as the program prints them, run in a folder of its own by an activated environment's Python, which
    finds the packages in the folder `beside` too."""
    program = FRAMEWORKS[variant.split("/")[0]].snippet(definition, Setting("cpu", 4, 2))
    for asked, there in paths.items():
        assert f'"{asked}' in program, f"{asked} is asked for nowhere"
        program = program.replace(f'"{asked}"', f'"{there}"')
    folder.mkdir()
    (folder / "program.py").write_text(program)
    # As in a user's shell: a long TMPDIR would leave no room for the sockets of torch's workers.
    environment = variables() | ({"PYTHONPATH": beside} if beside else {})
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    command = [sys.executable, "program.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    return {path.rsplit("/", 1)[-1]: label for path, label, *_ in lines}


def refused(place: Path, name: str) -> bool:
    """Whether a variant ends in one line here, in a process of its own, as it is measured."""
    code = "import sys, tiny; from importlib import import_module; from pathlib import Path; name = sys.argv[2]; "
    code += "tiny.run(import_module(tiny.module(name)).Adapter(tiny.task(Path(sys.argv[1]), name)))"
    paths = {"PYTHONPATH": f"{HOME / 'scripts'}:{HOME / 'tests'}"}
    command = [sys.executable, "-c", code, str(place), name]
    done = subprocess.run(command, cwd=place, env=variables() | paths, capture_output=True, text=True, timeout=1800)
    return done.returncode != 0 and "Unavailable: this cpu has no products in bfloat16" in done.stderr


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_prints_the_pipelines_labels(place, expected, beside, name):
    if "bfloat16" in name and not HAS_BFLOAT16:
        # What is not measured is not advised: nobody gets this program here.
        assert refused(place, name)
        return
    definition = tiny.definition(name)
    paths = {"path/to/model": place / "checkpoint", "path/to/images": place / "images"}
    if "onnxruntime" in name or "openvino" in name:
        # The program makes its graphs itself.
        made = place / name.replace("/", "-")
        paths |= {"path/to/model.onnx": f"{made}.onnx"}
        if "int8" in name:
            paths |= {"path/to/model.int8.onnx": f"{made}.int8.onnx"}
        if "static" in FRAMEWORKS[name.split("/")[0]].needs(definition, "cpu").form:
            paths |= {"path/to/calibration images": place / "images"}
    given = {key: str(path) for key, path in paths.items()}
    found = answers(name, definition, given, place / f"run-{name.replace('/', '-')}", beside[name.split("/")[0]])
    assert found.keys() == expected.keys()
    same = sum(found[image] == label for image, label in expected.items())
    assert same >= len(expected) - ("int8" in name or "bfloat16" in name)


SIMPLEJPEG, TENSORS = {"decoder": "simplejpeg"}, {"image_processor": "torchvision"}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("huggingface/dataloader", SIMPLEJPEG),
        ("onnxruntime/float32", SIMPLEJPEG),
        # The shipped ones are in bfloat16; here the device is the CPU.
        ("huggingface/dataloader", TENSORS | {"on_device": "preprocessing"}),
        ("huggingface/dataloader", TENSORS | {"on_device": "decoding"}),
    ],
)
def test_a_program_with_another_decoder_prints_the_pipelines_labels(place, expected, name, more):
    paths = {"path/to/model": place / "checkpoint", "path/to/images": place / "images"}
    if "onnxruntime" in name:
        paths["path/to/model.onnx"] = place / "onnx" / "model.onnx"
    given = {key: str(path) for key, path in paths.items()}
    folder = place / "-".join(["run", *name.split("/"), *more.values()])
    assert answers(name, tiny.definition(name) | more, given, folder) == expected
