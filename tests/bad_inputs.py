"""Bad input and what is said to it: the table in docs/troubleshooting.md, made by giving each bad input for real.

`PYTHONPATH=scripts:tests/unit python tests/bad_inputs.py` writes the table anew; a test compares it with what is said.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import check_ready
import classify_images
import damaged_images
import hub_server
import measure
import numpy
import surroundings
import test_images
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from vitbench import machine
from vitbench.errors import UserError
from vitbench.files import write_atomically
from vitbench.frameworks import ADAPTERS, spark
from vitbench.inputs import contents, downloads, images, jars, java, models, parquet
from vitbench.inputs.datasets import COLUMNS
from vitbench.inputs.datasets import build as build_dataset
from vitbench.inputs.model_assets import FIXED_LOGITS, FIXED_TENSORS
from vitbench.plan import estimate, readiness, workers
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid
from vitbench.present.markdown import BLOCK, filled

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "troubleshooting.md"
SOURCE = "tests/bad_inputs.py"
Usage = namedtuple("Usage", "total used free")

# A bad value for every key of the schema that is no list of keys itself.
VALUES: dict[str, Any] = {
    "model": "Not A Name",
    "datasets": "photos-32",
    "datasets.sample": "Photos 32",
    "datasets.full": None,
    "datasets.sizes": "photos-16",
    "photos": "/no/such/folder",
    "frameworks": ["huggingface/pipeline", "huggingface/pipeline"],
    "baseline": "huggingface",
    "devices": ["tpu"],
    "batch_sizes": [0],
    "batch_sizes.cpu": [8, 8],
    "batch_sizes.gpu": [],
    "workers": [0],
    "spark": "yarn",
    "spark.master": "local[2]",
    "spark.worker_cores": 0,
    "spark.worker_memory_gb": "4g",
    "spark.hadoop": "",
    "spark.settings": {"executor.memory": "4g"},
    "repeats": "3",
    "repeats.sample": 0,
    "repeats.full": 2.5,
    "repeats.sizes": 0,
    "margin": 0,
    "most_repeats": 4,
    "budget_hours": 0,
    "tune_minutes": 0,
    "trials": {"huggingface/pipeline": 0},
    "machine": "My Laptop",
    "protocol": 0,
    "seed": 1.5,
    "passes": 3,
    "passes.short_passes": -1,
    "passes.warm_images": 0,
    "passes.warm_seconds": -1,
    "passes.shift": 0,
    "passes.settling": -1,
    "passes.timed": 0,
    "passes.timed_images": 0,
    "passes.extensions": -1,
    "passes.most_seconds": 0,
    "quiet": True,
    "quiet.canary_seconds": 0,
    "quiet.gemm_slower": 0,
    "quiet.decode_slower": 0,
    "quiet.steal": 2,
    "quiet.foreign_cpu": -1,
    "quiet.free_memory_gb": "4 GB",
    "quiet.retries": 6,
    "control": "yes",
    "profile": "yes",
    "timeout_minutes": 0,
    "parity": 0.99,
    "parity.agreement": 0.9,
    "campaign": "../up",
    "records": 7,
    "baseline_records": 7,
    "candidate_records": 7,
    "baseline_campaign": "../up",
    "candidate_campaign": "../up",
    "other_machine": "perhaps",
    "fail_on": "fast",
    "images": 0,
    "deadline_hours": 0,
    "variant": "pipeline",
    "batch_size": 0,
    "out": 7,
    "most_refused": 5,
    "part_images": 0,
    "define": [],
    "define.datasets": {"mine": {"kind": "zip"}},
    "define.models": {"mine": {"kind": "hub", "hub": "some/vit@main"}},
    "define.variants": {"keras": {"plain": {}}},
    "define.variants.huggingface": {"mine": {"image_processor": "opencv"}},
    "define.variants.onnxruntime": {"mine": {"image_processor": "pil", "threads_a_slot": 0}},
    "define.variants.openvino": {"mine": {"image_processor": "pil", "threads_a_slot": 1, "precision": "float16"}},
    "define.variants.spark-huggingface": {
        "mine": {"image_processor": "pil", "precision": "float64", "threads_a_slot": 1}
    },
    "define.variants.spark-onnxruntime": {"mine": {"image_processor": "pil", "threads_a_slot": "cores"}},
    "define.variants.spark-openvino": {"mine": {"image_processor": "pil", "threads_a_slot": 1}},
    "define.variants.sparknlp": {"mine": {"engine": "onnx", "threads": 2}},
}


def keys(schema: dict[str, Any], outer: str = "") -> Iterator[str]:
    """Every key of the configuration, nested ones as outer.inner; of definitions, only the kinds."""
    for name, value in schema.get("properties", {}).items():
        yield f"{outer}{name}"
        for one in [value, *value.get("oneOf", [])]:
            yield from keys(one, f"{outer}{name}.")


def configured(folder: Path, content: dict[str, Any] | str) -> Grid:
    """The grid of a configuration file with this content."""
    path = folder / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return Grid(load(path))


def nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


# --- the classes of failure: each function gets an empty folder, in which it also works, and raises or prints the line


@contextmanager
def on(**facts: Any) -> Iterator[None]:
    """This machine, with other facts: cores, memory_bytes, gpus, free bytes on its disks."""
    free = facts.pop("free", None)
    with ExitStack() as stack:
        for name, value in facts.items():
            stack.enter_context(mock.patch.object(machine, name, lambda *_, value=value: value))
        if free is not None:
            stack.enter_context(mock.patch.object(shutil, "disk_usage", lambda _: Usage(1e12, 0, free)))
        yield


def large_batch(folder: Path) -> None:
    estimate.check_start(configured(folder, {"batch_sizes": [1, 64]}))


def full_disk(folder: Path) -> None:
    with on(free=2e9):
        estimate.check_start(configured(folder, {}))


def gpu_on_a_machine_without(folder: Path) -> None:
    with on(gpus=()):
        readiness.check_gpu(["cpu", "gpu"])


def gpu_cell_on_a_machine_without(folder: Path) -> None:
    grid = configured(folder, {"devices": ["cpu", "gpu"]})
    plant_dataset(Path(grid.manifest("sample")), valid=3)
    Path(grid.model_folder(grid.sweep[0])).mkdir(parents=True)
    with on(gpus=()):
        measured(folder, "huggingface/pipeline/gpu/w1/bs8")


def too_few_cores(folder: Path) -> None:
    with on(cores=8):
        readiness.check_cores(2)


def too_many_workers(folder: Path) -> None:
    workers.check_room(configured(folder, {"workers": [1, 4]}).config, False, 2)


def little_memory(folder: Path) -> None:
    with on(memory_bytes=4_000_000_000):
        readiness.check_memory()


def another_machine(folder: Path) -> None:
    with on(machine_id="laptop-8c-16g"):
        machine.check_configured("server-32c-128g")


def plant_dataset(manifest: Path, valid: int) -> None:
    (manifest.parent / "images").mkdir(parents=True)
    with open(manifest, "w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(COLUMNS)
        for number in range(valid + 1):
            sha256 = hashlib.sha256(b"cat").hexdigest()
            row = {"id": f"i{number}", "path": f"images/i{number}.txt", "sha256": sha256, "size": 3, "valid": 1}
            if number == valid:
                row |= {"path": "", "valid": 0, "reason": "not an image"}
            else:
                (manifest.parent / row["path"]).write_text("cat")
            rows.writerow([row.get(column, "") for column in COLUMNS])


def no_valid_image(folder: Path) -> None:
    manifest = folder / "sample-mine-0" / "manifest.csv"
    plant_dataset(manifest, valid=0)
    opened(folder, manifest, [1])


def opened(folder: Path, manifest: Path, batch_sizes: list[int]) -> None:
    """Check this machine and one data set before the first measurement."""
    here = machine.machine_id()
    check_ready.main(here, machine.cores(), ["cpu"], batch_sizes, False, 0.1, [manifest], folder / "ready.json")


def batch_at_the_gate(folder: Path) -> None:
    manifest = folder / "sample-mine-0" / "manifest.csv"
    plant_dataset(manifest, valid=3)
    opened(folder, manifest, [1, 8])


def folder_without_images(folder: Path) -> None:
    (folder / "pictures").mkdir()
    (folder / "pictures" / "notes.jpg").write_text("not an image")
    build_dataset({"kind": "folder", "folder": str(folder / "pictures")}, "sample", folder / "out")


def no_folder_of_images(folder: Path) -> None:
    build_dataset({"kind": "folder", "folder": str(folder / "pictures")}, "sample", folder / "out")


def too_few_images(folder: Path) -> None:
    (folder / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "pictures" / "one.png")
    build_dataset({"kind": "folder", "folder": str(folder / "pictures"), "images": 5}, "sample", folder / "out")


def no_list_of_images(folder: Path) -> None:
    build_dataset({"kind": "list", "list": str(folder / "paths.txt")}, "sample", folder / "out")


def listed(folder: Path, content: bytes) -> None:
    (folder / "paths.txt").write_bytes(content)
    build_dataset({"kind": "list", "list": str(folder / "paths.txt")}, "sample", folder / "out")


def too_many_refused(folder: Path) -> None:
    (folder / "pictures").mkdir()
    for name in ("1.png", "2.png"):
        Image.new("RGB", (8, 8)).save(folder / "pictures" / name)
    for name in ("3.jpg", "4.jpg"):
        (folder / "pictures" / name).touch()
    (folder / "pictures" / "5.jpg").write_bytes(test_images.UNLISTED["EPS"])
    definition = {"kind": "folder", "folder": str(folder / "pictures"), "most_refused": 0.05}
    build_dataset(definition, "full", folder / "out")


def few_photographs(folder: Path) -> None:
    for number in range(5):
        Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
    estimate.check_start(configured(folder, {"photos": str(folder)}))


def no_archive(folder: Path) -> None:
    (folder / "images.zip").write_bytes(b"not a zip")
    build_dataset({"kind": "archive"}, "sample", folder / "out", folder / "images.zip")


def archive_that_reaches_out(folder: Path) -> None:
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        archive.writestr("../../out.jpg", b"x")
    build_dataset({"kind": "archive"}, "sample", folder / "out", folder / "images.zip")


def archive_out_of_reach(folder: Path) -> None:
    expected = downloads.Expected(None, None, "nobody")
    with mock.patch.object(downloads, "PAUSES", ()), mock.patch.dict(os.environ, {"NO_PROXY": "127.0.0.1"}):
        downloads.fetch(["http://127.0.0.1:9/images.zip"], folder / "images.zip", expected)


def edited_image(folder: Path) -> None:
    manifest = folder / "sample-mine-0" / "manifest.csv"
    plant_dataset(manifest, valid=1)
    (manifest.parent / "images" / "i0.txt").write_text("dog")
    opened(folder, manifest, [1])


def measured(folder: Path, cell: str) -> None:
    with mock.patch.dict(ADAPTERS, {"huggingface": lambda definition: "fake_adapter"}):
        measure.main(["--config", str(folder / "mine.yaml"), "--cell", cell, "--out", str(folder / "rep0.json")])


def unknown_cell(folder: Path) -> None:
    configured(folder, {"batch_sizes": [1]})
    measured(folder, "huggingface/pipeline/cpu/w1/bs3")


def no_dataset(folder: Path) -> None:
    configured(folder, {"batch_sizes": [1]})
    measured(folder, "huggingface/pipeline/cpu/w1/bs1")


# --- Java and Spark

START = """
import sys
from pathlib import Path
from vitbench.errors import exit_with_user_errors
from vitbench.frameworks.spark import start_session
folder, settings = Path(sys.argv[1]), {}
exec(sys.argv[2])
exit_with_user_errors(lambda: start_session([], folder, "local[1]", folder, settings) and None)
"""


def start_spark(folder: Path, prelude: str = "", before: tuple[str, ...] = ()) -> None:
    """A real start of Spark without any jar, in a process of its own."""
    said(
        subprocess.run(
            [*before, sys.executable, "-c", START, str(folder), prelude],
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "scripts")},
            capture_output=True,
            text=True,
        )
    )


def said(done: subprocess.CompletedProcess) -> None:
    """Raise what a process said in its one line."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("vitbench: ")]
    assert done.returncode == 1 and len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    raise UserError(lines[0].removeprefix("vitbench: "))


def labelled(folder: Path, *arguments: str) -> None:
    """Label the images of `folder`/pictures by the command."""
    classify_images.main(["--images", str(folder / "pictures"), "--out", str(folder / "out"), *arguments])


def nothing_to_label(folder: Path) -> None:
    (folder / "pictures").mkdir()
    (folder / "pictures" / "notes.txt").touch()
    labelled(folder)


def one_id_twice(folder: Path) -> None:
    rows = [("1.jpg", b"one"), ("1.jpg", b"another")]
    parquet.write(folder / "pictures", contents.COLUMNS, rows)
    labelled(folder)


def text_for_bytes(folder: Path) -> None:
    parquet.write(folder / "pictures", {"path": "varchar", "content": "varchar"}, [("1.jpg", "one")])
    labelled(folder)


def no_column_of_paths(folder: Path) -> None:
    parquet.write(folder / "pictures", {"file": "varchar", "content": "blob"}, [("1.jpg", b"one")])
    labelled(folder)


def folder_of_other_things(folder: Path) -> None:
    for name in ("pictures", "out"):
        (folder / name).mkdir()
    (folder / "out" / "thesis.tex").touch()
    labelled(folder)


def model_that_was_not_made(folder: Path) -> None:
    (folder / "pictures").mkdir()
    labelled(folder, "--variant", "onnxruntime/int8")


def share_of_more_than_all(folder: Path) -> None:
    (folder / "pictures").mkdir()
    labelled(folder, "--most-refused", "5")


def port_taken(folder: Path) -> None:
    start_spark(
        folder,
        "import socket; taken = socket.create_server(('127.0.0.1', 0));"
        "settings = {'spark.driver.port': str(taken.getsockname()[1]), 'spark.port.maxRetries': '0'}",
    )


def no_room_for_the_heap(folder: Path) -> None:
    start_spark(folder, before=("bash", "-c", 'ulimit -v 5000000; exec "$@"', "-"))


def explained(error: str) -> Callable[[Path], None]:
    """What Spark says where it cannot be made to say it here."""

    def act(folder: Path) -> None:
        raise UserError(spark.explain(error, java.Java(folder, "17.0.9", "PATH")))

    return act


def unfit_java(folder: Path) -> None:
    program = folder / "bin" / "java"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '    java.home = {folder}\n    java.version = 21.0.1' >&2\n")
    program.chmod(0o755)
    with mock.patch.dict(os.environ, JAVA_HOME=str(folder)):
        java.find_java()


def no_java_there(folder: Path) -> None:
    with mock.patch.dict(os.environ, JAVA_HOME=str(folder)):
        java.find_java()


def other_scala(folder: Path) -> None:
    (folder / "jars").mkdir()
    (folder / "jars" / "scala-library-2.13.8.jar").touch()
    spark.check_scala([Path("spark-nlp_2.12-5.5.3.jar")], folder)


def missing_jar(folder: Path) -> None:
    (folder / "onnx-cpu").mkdir()
    jars.verify(ROOT / "envs" / "jars" / "onnx-cpu", folder / "onnx-cpu")


def altered_jar(folder: Path) -> None:
    name = jars.file_name(jars.locked(ROOT / "envs" / "jars" / "onnx-cpu")[0])
    (folder / name).write_text("something else")
    jars.verify(ROOT / "envs" / "jars" / "onnx-cpu", folder)


def no_jar_lock(folder: Path) -> None:
    jars.locked(folder)


# --- models


def checkpoint(folder: Path, **changes: Any) -> Path:
    """A folder that says that it is a ViT; it holds no weights."""
    place = folder / "my-vit"
    place.mkdir()
    config = {"model_type": "vit", "architectures": ["ViTForImageClassification"]} | changes
    (place / "config.json").write_text(json.dumps(config))
    (place / "preprocessor_config.json").write_text("{}")
    return place


def built(folder: Path, **definition: Any) -> None:
    models.build_checkpoint({"kind": "folder", "folder": str(folder / "my-vit")} | definition, folder / "checkpoint")


def no_model_folder(folder: Path) -> None:
    built(folder)


def other_architecture(folder: Path) -> None:
    checkpoint(folder, model_type="swin", architectures=["SwinForImageClassification"])
    built(folder)


def no_safetensors(folder: Path) -> None:
    checkpoint(folder)
    built(folder)


def broken_weights(folder: Path) -> None:
    (checkpoint(folder) / "model.safetensors").write_bytes(b"half a file")
    built(folder)


def brought(name: str, **changes: Any) -> Callable[[Path], None]:
    """Build a ViT of one layer, 32 pixels and three labels, whose file NAME.json has these keys instead."""

    def act(folder: Path) -> None:
        config = ViTConfig(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32,
            patch_size=8, id2label={0: "cat", 1: "dog", 2: "owl"}, label2id={"cat": 0, "dog": 1, "owl": 2},
        )  # fmt: skip
        ViTForImageClassification(config).save_pretrained(folder / "my-vit")
        ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "my-vit")
        path = folder / "my-vit" / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        built(folder)

    return act


def not_finite(folder: Path) -> None:
    brought("config")(folder)
    shutil.rmtree(folder / "checkpoint")
    weights = load_file(folder / "my-vit" / "model.safetensors")
    weights["classifier.bias"][0] = float("nan")
    save_file(weights, folder / "my-vit" / "model.safetensors", metadata={"format": "pt"})
    built(folder)


def refusing(frameworks: list[str], **changes: Any) -> Callable[[Path], None]:
    """A configuration of these frameworks on a model whose preprocessor_config.json has these keys."""

    def act(folder: Path) -> None:
        (checkpoint(folder) / "preprocessor_config.json").write_text(json.dumps(changes))
        own = {"models": {"mine": {"kind": "folder", "folder": str(folder / "my-vit")}}}
        configured(folder, {"model": "mine", "define": own, "frameworks": frameworks, "baseline": frameworks[0]})

    return act


def fetched(folder: Path, endpoint: str, hub: str = hub_server.HUB, **environment: str) -> None:
    said(hub_server.fetch(folder, endpoint, hub, **environment))


def hub_unreachable(folder: Path) -> None:
    fetched(folder, "http://127.0.0.1:9")


def hub_forbidden(folder: Path) -> None:
    fetched(folder, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")


def hub_by_hand(folder: Path) -> None:
    (folder / "download").mkdir()
    fetched(folder, "http://127.0.0.1:9")


def no_such_model(folder: Path) -> None:
    (folder / "empty").mkdir()
    with hub_server.serving(folder / "empty") as server:
        fetched(folder, server.address, f"no/such@{hub_server.COMMIT}")


def no_such_commit(folder: Path) -> None:
    (folder / "empty").mkdir()
    with hub_server.serving(folder / "empty") as server:
        fetched(folder, server.address, f"{hub_server.NAME}@{hub_server.COMMIT[::-1]}")


def busy_hub(folder: Path) -> None:
    (folder / "empty").mkdir()
    with hub_server.serving(folder / "empty") as server:
        server.faults["tree"] = [429] * 100
        fetched(folder, server.address)


def other_logits(folder: Path) -> None:
    numpy.savez(folder / FIXED_TENSORS, pixel_values=numpy.zeros(1), logits=numpy.zeros((3, 10)))
    numpy.save(folder / FIXED_LOGITS, numpy.full((3, 10), 0.5))
    models.check_logits(folder, tensorflow=folder)


CLASSES: dict[str, dict[str, Callable[[Path], Any]]] = {
    "The configuration as a whole": {
        "a key that there is not": lambda folder: configured(folder, {"batchsizes": [8]}),
        "… inside another": lambda folder: configured(folder, {"passes": {"warmimages": 3}}),
        "a key that stands twice": lambda folder: configured(folder, "repeats: 3\nrepeats: 5\n"),
        "a file that is no YAML": lambda folder: configured(folder, "model: [\n"),
        "a file that is not there": lambda folder: load(folder / "mine.yaml"),
        "a GPU without batch sizes": lambda folder: configured(
            folder, {"devices": ["cpu", "gpu"], "batch_sizes": {"cpu": [8]}}
        ),
        "a baseline that is not measured": lambda folder: configured(folder, {"baseline": "sparknlp/onnx"}),
        "a model that is not defined": lambda folder: configured(folder, {"model": "vit-huge"}),
        "a data set that is not defined": lambda folder: configured(folder, {"datasets": {"full": "imagenet"}}),
        "a framework that there is not": lambda folder: configured(
            folder, {"frameworks": ["huggingface/pipeline", "keras/plain"]}
        ),
        "a variant that is not defined": lambda folder: configured(
            folder, {"frameworks": ["huggingface/pipeline", "sparknlp/openvino"]}
        ),
        "a name that is taken": lambda folder: configured(
            folder, {"define": {"models": {"vit-base-seeded": {"kind": "folder", "folder": "x"}}}}
        ),
        "a ready-made model beside another": lambda folder: configured(
            folder, {"frameworks": ["huggingface/pipeline", "sparknlp/pretrained"]}
        ),
        "a batch larger than the data set": large_batch,
        "more workers than the master has": lambda folder: configured(
            folder, {"workers": [1, 4], "spark": {"master": "local-cluster[2,1,4096]"}}
        ),
        "a cluster of nobody knows what": lambda folder: configured(folder, {"spark": {"master": "spark://node:7077"}}),
        "a setting that another key says": lambda folder: configured(
            folder, {"spark": {"settings": {"spark.executor.memory": "8g"}}}
        ),
        "a secret among the settings": lambda folder: configured(
            folder, {"spark": {"settings": {"spark.hadoop.fs.s3a.secret.key": "x"}}}
        ),
    },
    "Surroundings": surroundings.BROUGHT,
    "The machine": {
        "another machine than configured": another_machine,
        "fewer cores than it has": too_few_cores,
        "a GPU where there is none": gpu_on_a_machine_without,
        "… with `measure.py`": gpu_cell_on_a_machine_without,
        "a disk too small": full_disk,
        "memory too small for Spark": little_memory,
        "more workers than cores": too_many_workers,
        "… found by Java only": no_room_for_the_heap,
        "a Java that does not fit": unfit_java,
        "`JAVA_HOME` without Java": no_java_there,
        "a Java that Spark cannot use": explained("java.lang.UnsupportedClassVersionError"),
        "a Scala that does not fit": other_scala,
        "… found by Spark only": explained("java.lang.NoClassDefFoundError: scala/Serializable"),
        "Spark NLP's jars not found": start_spark,
        "a port taken": port_taken,
        "a VPN or firewall": explained("BindException: Service 'sparkDriver' failed after 16 retries"),
        "a name of this machine that nobody knows": explained("java.net.UnknownHostException: laptop"),
    },
    "Images": {
        "a folder that is not there": no_folder_of_images,
        "a folder without images": folder_without_images,
        "fewer images than asked for": too_few_images,
        "a list that is not there": no_list_of_images,
        "a list with paths of Windows": lambda folder: listed(folder, b"\\\\server\\share\\1.jpg\r\n"),
        "a list that only begins as UTF-16": lambda folder: listed(folder, b"\xff\xfe/\0\0\xd8/\0"),
        "more refused than `most_refused`": too_many_refused,
        "`photos`: five of them": few_photographs,
        "an archive that is none": no_archive,
        "an archive that reaches outside": archive_that_reaches_out,
        "an archive out of reach": archive_out_of_reach,
        "a data set without valid images": no_valid_image,
        "… with fewer than a batch has": batch_at_the_gate,
        "an image that was edited since": edited_image,
    },
    "Models and jars": {
        "a folder that is not there": no_model_folder,
        "another architecture": other_architecture,
        "weights that are no safetensors": no_safetensors,
        "a broken file": broken_weights,
        "numbers that are not finite": not_finite,
        "weights of another model": brought("config", hidden_size=16),
        "`image_size: [32, 48]`": brought("config", image_size=[32, 48]),
        "`patch_size: 64`": brought("config", patch_size=64),
        "`problem_type: regression`": brought("config", problem_type="regression"),
        "`id2label` from 1": brought("config", id2label={"1": "cat", "2": "dog", "3": "owl"}),
        "… with a gap": brought("config", id2label={"0": "cat", "2": "dog", "3": "owl"}),
        "… with too few": brought("config", id2label={"0": "cat", "1": "dog"}),
        "… missing": brought("config", id2label=None, label2id=None),
        "`resample: 6`": brought("preprocessor_config", resample=6),
        "`image_mean: [0.5, 0.5]`": brought("preprocessor_config", image_mean=[0.5, 0.5]),
        "`image_std: 0`": brought("preprocessor_config", image_std=0),
        "`size: 224` of a model of 32 pixels": brought("preprocessor_config", size=224),
        "`resample: 1`, and no framework that has it": refusing(["sparknlp/onnx"], resample=1),
        "`resample: 4`, and a baseline that has it not": refusing(
            ["sparknlp/onnx", "huggingface/pipeline"], resample=4
        ),
        "exports that differ": other_logits,
        "no network": hub_unreachable,
        "`HF_HUB_OFFLINE=1`": hub_forbidden,
        "half of the files put there by hand": hub_by_hand,
        "a model that the hub has not": no_such_model,
        "a commit that it has not": no_such_commit,
        "a hub that asks to wait": busy_hub,
        "a jar that is missing": missing_jar,
        "a jar that was altered": altered_jar,
        "a set of jars without lock": no_jar_lock,
    },
    "`measure.py`": {
        "a cell that is not configured": unknown_cell,
        "before `snakemake prepare`": no_dataset,
    },
    "`classify_images.py` and `snakemake classify`": {
        "images that are not there": labelled,
        "a URL with a password": lambda folder: classify_images.main(["--images", "s3://me:secret@bucket/photos"]),
        "a folder in which no file is named as an image": nothing_to_label,
        "Parquet files with one id twice": one_id_twice,
        "… whose contents are text": text_for_bytes,
        "… without a column `path`": no_column_of_paths,
        "`--out` that holds other things": folder_of_other_things,
        "a variant whose form of the model was not made": model_that_was_not_made,
        "`--most-refused 5`": share_of_more_than_all,
        "a folder of a model that is not there": lambda folder: configured(folder, {"model": "./my-vit"}),
    },
}


# The rows for which a Java virtual machine is started; with those for which Snakemake is, other tests give them.
STARTS_JAVA = ("Spark NLP's jars not found", "a port taken", "… found by Java only")
SLOW = (*STARTS_JAVA, *surroundings.STARTS_SNAKEMAKE)


def message(act: Callable[[Path], Any]) -> str:
    """The one line that an action ends in, without what differs from machine to machine."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        os.chdir(folder)
        try:
            act(folder)
        except UserError as error:
            line = str(error)
        finally:
            os.chdir(before)
        assert "\n" not in line, line
        assert not (folder / "rep0.json").exists() and not list(folder.rglob("measurements")), "something was measured"
    line = line.replace(f"{folder}/", "…/").replace(str(folder), "…").replace(str(ROOT), "…")
    line = re.sub(r"http://127\.0\.0\.1:\d+", "http://…", line)
    line = re.sub(r"Java \d+\.[\d.]+ \([^)]*\)", "Java … (…)", line)
    line = re.sub(r"heap is \d+ GB", "heap is … GB", line)
    return re.sub(r"-[0-9a-f]{8}/", "-…/", line)


# What people bring, and what becomes of it.
IMAGES = {
    **{
        f"{what} with a damaged colour profile": test_images.ODD[f"damaged profile.{suffix}"][0]
        for what, suffix in {"JPEG": "jpg", "PNG": "png", "WebP": "webp", "TIFF": "tif"}.items()
    },
    "PNG, a bit turned in its profile": test_images.ODD["flipped profile.png"][0],
    "JPEG with damaged EXIF": test_images.ODD["damaged EXIF.jpg"][0],
    "PNG with damaged EXIF": test_images.ODD["damaged EXIF.png"][0],
    "WebP with damaged EXIF": test_images.ODD["damaged EXIF.webp"][0],
    "JPEG, orientation 0": test_images.ODD["orientation 0.jpg"][0],
    "JPEG, orientation 99": test_images.ODD["orientation 99.jpg"][0],
    "JPEG, orientation 1/0": test_images.ODD["orientation 1 of 0.jpg"][0],
    "PNG with 2 MB of compressed text": test_images.ODD["text.png"][0],
    "JPEG 4:4:4 without a marker, component ids 0, 1, 2": test_images.ODD["ids from 0.jpg"][0],
    "JPEG of 40,000 x 2 pixels": test_images.ODD["wide.jpg"][0],
    "PNG of 3 x 32,768 pixels": test_images.ODD["high.png"][0],
    "AVIF with 64 damaged bytes": damaged_images.overwritten(damaged_images.whole()["AVIF"], b"mdat"),
    **{f"{name} named photo.jpg": content for name, content in test_images.UNLISTED.items()},
}


def became(content: bytes) -> str:
    """What becomes of an image file, in words."""
    try:
        taken = images.take(content)
    except images.Rejected as error:
        return f"left out: `{error}`"
    return f"rendered: `{taken.form}`" if taken.rendered else "used as it is"


def table(slow: bool = True) -> str:
    """The Markdown tables, each bad input given for real; without those of SLOW if not `slow`."""
    lines = ["### Each key", "| given | what is said |", "| --- | --- |"]
    for key, value in VALUES.items():
        given = yaml.safe_dump(nested(key, value), default_flow_style=True, width=1000).strip().removesuffix("\n...")
        given = given.removeprefix("{").removesuffix("}")
        lines.append(row(f"`{given}`", message(lambda folder, k=key, v=value: configured(folder, nested(k, v)))))
    for title, cases in CLASSES.items():
        lines += ["", f"### {title}", "| given | what is said |", "| --- | --- |"]
        lines += [row(given, message(act)) for given, act in cases.items() if slow or given not in SLOW]
    lines += ["", "### Image files", "| given | what becomes of it |", "| --- | --- |"]
    lines += [f"| {given} | {became(content)} |" for given, content in IMAGES.items()]
    return "\n".join(lines) + "\n"


def row(given: str, line: str) -> str:
    quoted = f"`` {line} ``" if "`" in line else f"`{line}`"
    return f"| {given} | {quoted.replace('|', chr(92) + '|')} |"


def written() -> str:
    """The tables as they stand in the documentation."""
    return next(
        block["lines"] for block in BLOCK.finditer(DOCS.read_text(encoding="utf-8")) if block["source"] == SOURCE
    )


def written_of(given: str) -> str:
    """The row of a bad input as it stands in the documentation, with the end of its line."""
    (line,) = (one for one in written().splitlines(keepends=True) if one.startswith(f"| {given} |"))
    return line


if __name__ == "__main__":
    write_atomically(DOCS, filled(DOCS.read_text(encoding="utf-8"), SOURCE, lambda what: table()))
