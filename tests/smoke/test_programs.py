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
from vitbench.inputs.datasets import read_manifest
from vitbench.inputs.java import find_java
from vitbench.records.record import read_predictions

HAS_BFLOAT16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
# One of each kind of program; tests/unit/test_snippets.py reads those of all variants.
PROGRAMS = [
    "huggingface/pipeline-workers", "huggingface/processes", "huggingface/processes-bfloat16",
    "huggingface/dataloader-int8", "onnxruntime/float32", "onnxruntime/int8", "onnxruntime/int8-static",
]  # fmt: skip
IN_SPARK = ["spark-huggingface/float32", "spark-onnxruntime/int8"]


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


def answers(variant: str, definition: dict, paths: dict[str, str], folder: Path, **more: str) -> dict[str, str]:
    """File → label, as the program prints them, run in a folder of its own by an activated environment's Python."""
    program = FRAMEWORKS[variant.split("/")[0]].snippet(definition, Setting("cpu", 4, 2))
    for asked, there in paths.items():
        assert f'"{asked}' in program, f"{asked} is asked for nowhere"
        program = program.replace(f'"{asked}"', f'"{there}"')
    folder.mkdir()
    (folder / "program.py").write_text(program)
    environment = variables(folder) | {"SPARK_LOCAL_IP": "127.0.0.1"} | more
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    command = [sys.executable, "program.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    return {path.rsplit("/", 1)[-1]: label for path, label, *_ in lines}


@pytest.mark.parametrize("name", PROGRAMS + [pytest.param(name, marks=pytest.mark.jvm) for name in IN_SPARK])
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
    java = {"JAVA_HOME": str(find_java()[0])} if name in IN_SPARK else {}
    found = answers(name, definition, {key: str(path) for key, path in paths.items()},
                    place / name.replace("/", "-"), **java)  # fmt: skip
    assert found.keys() == expected.keys()
    same = sum(found[image] == label for image, label in expected.items())
    assert same >= len(expected) - ("int8" in name or "bfloat16" in name)


@pytest.mark.jvm
@pytest.mark.parametrize("name", ["sparknlp/tensorflow", "sparknlp/onnx"])
def test_a_program_of_spark_nlp_prints_the_labels_that_were_measured(smoke, tmp_path, name):
    """With the annotator and the jars of the smoke run, under a name without the blank that Spark NLP does not take."""
    (tmp_path / "run").symlink_to(smoke)
    resources = tmp_path / "run" / "resources"
    needs = FRAMEWORKS["sparknlp"].needs(tiny.definition(name), "cpu")
    jars = sorted((resources / "jars" / needs.jars).glob("*.jar"), key=lambda jar: "protobuf-java-3.19" not in jar.name)
    (annotator,) = resources.glob(f"models/*/{needs.form}")
    (images,) = resources.glob("datasets/full-*/images")
    paths = {"path/to/spark-nlp.jar,path/to/engine.jar": ",".join(map(str, jars)), "path/to/images": str(images)}
    paths |= {"path/to/annotator": str(annotator)}
    if needs.export == "tensorflow":
        paths |= {"path/to/protobuf-java-3.19.4.jar": str(jars[0])}
    natives = f"-Dorg.bytedeco.javacpp.cachedir={tmp_path / 'natives'}"
    more = {"JAVA_HOME": str(find_java()[0]), "JAVA_TOOL_OPTIONS": natives}
    found = answers(name, tiny.definition(name), paths, tmp_path / "program", **more)
    framework, variant = name.split("/")
    (said,) = smoke.glob(f"measurements/*/*/*/full-*/{framework}/{variant}-*/cpu/w1/bsbest/rep0.predictions.csv")
    names = {image.id: Path(image.path).name for image in read_manifest(images.parent / "manifest.csv")}
    assert found == {names[image]: label for image, label, _ in read_predictions(said)}
