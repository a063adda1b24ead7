"""Images in from Parquet files, answers out into them: what is written and read, what is timed, and a real session."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import PIL.Image
import pytest
import tiny
from example_records import example_record

from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.frameworks import FRAMEWORKS, Plain, Prediction, Task, spark_tasks
from vitbench.frameworks.spark import batches_of
from vitbench.inputs import contents, datasets
from vitbench.measure import harness, repeat
from vitbench.measure.energy import Meter
from vitbench.measure.processes import MARK, machine_lock
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid
from vitbench.records import record as records

MB = 1_000_000


@pytest.mark.parametrize(
    ("size", "images", "partitions", "files"),
    [
        (5 * MB, 64, 2, 2),
        (5 * MB, 3, 8, 3),
        (150 * MB, 999, 2, 2),
        (201 * MB, 999, 2, 4),
        (10_000 * MB, 99_999, 8, 104),
    ],
)
def test_there_are_as_many_files_as_tasks_or_a_multiple_each_small_enough_for_one(size, images, partitions, files):
    assert contents.files_for(size, images, partitions) == files
    assert files == images or (files % partitions == 0 and size / files <= contents.MOST_BYTES)


@pytest.fixture
def manifest(tmp_path) -> Path:
    datasets.build({"kind": "photos", "images": 7, "seed": 1}, "full", tmp_path / "set")
    return tmp_path / "set" / "manifest.csv"


def test_a_data_set_is_written_once_with_every_image_by_its_id(manifest):
    folder = contents.of_data_set(manifest, 2)
    assert [path.name for path in sorted(folder.iterdir())] == ["part-00000.parquet", "part-00001.parquet"]
    found = dict(contents.read(folder))
    assert found == {image.id: (manifest.parent / image.path).read_bytes() for image in datasets.valid_images(manifest)}
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert contents.of_data_set(manifest, 2) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written
    assert contents.of_data_set(manifest, 3) != folder


def test_a_data_set_that_was_made_anew_is_written_anew(manifest):
    before = contents.of_data_set(manifest, 2)
    rows = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(rows[:-1]))
    after = contents.of_data_set(manifest, 2)
    assert after != before and len(dict(contents.read(after))) == 6


def test_only_a_variant_with_bytes_has_them_written(manifest):
    assert repeat.contents_of(task(), manifest) is None
    assert repeat.contents_of(task(input="files"), manifest) is None
    assert sorted(path.name for path in manifest.parent.iterdir()) == ["images", "manifest.csv"]
    folder = Path(repeat.contents_of(task(input="bytes"), manifest))
    assert folder.is_absolute() and len(list(folder.iterdir())) == 2
    assert len(list(Path(repeat.contents_of(task(threads_a_slot=2, input="bytes"), manifest)).iterdir())) == 1


def test_on_a_cluster_there_are_as_many_files_as_tasks_of_all_its_executors(manifest):
    cluster = {"master": None, "workers": 2, "cores": 3, "memory_mb": 1024, "hadoop": None}
    given = replace(task(input="bytes"), workers=2, spark={"cluster": cluster})
    assert len(list(Path(repeat.contents_of(given, manifest)).iterdir())) == 6


# --- what is timed


class Writes(Plain):
    """Hands nothing over; what it wrote takes long to read, and settles the run time meanwhile."""

    streams = False

    def __init__(self, images: list[str], seconds: float) -> None:
        self.ids, self.seconds, self.settled = images, seconds, 0.0

    def classify(self) -> Iterator[Prediction]:
        return iter(())

    def written(self) -> Iterator[Prediction]:
        time.sleep(self.seconds)
        self.settled += 100
        for image in self.ids:
            yield Prediction(image, "cat", 0.5)

    def settling_seconds(self) -> float:
        return self.settled

    def collecting_seconds(self) -> None:
        return None


def test_reading_back_what_was_written_is_no_part_of_a_pass_and_what_is_read_is_its_answer():
    told: list[dict] = []
    images = ["a", "b"]
    adapter = Writes(images, seconds=0.5)
    predictions, course = harness.run_passes(
        adapter, images, tiny.TWO_PASSES, [Meter("cpu")], lambda _event, **facts: told.append(facts)
    )
    assert [one.id for one in predictions] == images
    assert [one["valid"] for one in told] == [2] * len(course.passes)
    assert all(one["seconds"] < adapter.seconds and one["settling_seconds"] == 0 for one in told)


# --- settings


@pytest.mark.parametrize(
    ("framework", "settings", "words"),
    [
        ("sparknlp", {"engine": "onnx", "input": "bytes"}, "unknown key input"),
        ("huggingface", {"image_processor": "pil", "sink": "parquet"}, "unknown key sink"),
        ("spark-onnxruntime", {"image_processor": "pil", "threads_a_slot": 1, "input": "tar"}, "input: 'tar'"),
        ("spark-onnxruntime", {"image_processor": "pil", "threads_a_slot": 1, "sink": "csv"}, "sink: 'csv'"),
    ],
)
def test_a_framework_has_only_the_ways_that_it_declares(tmp_path, framework, settings, words):
    (tmp_path / "mine.yaml").write_text(json.dumps({"define": {"variants": {framework: {"mine": settings}}}}))
    with pytest.raises(UserError, match=words):
        load(tmp_path / "mine.yaml")


@pytest.mark.parametrize("framework", ["spark-huggingface", "spark-onnxruntime", "sparknlp"])
def test_frameworks_inside_spark_declare_where_answers_may_go(framework):
    assert FRAMEWORKS[framework].settings["properties"]["sink"]["enum"] == ["collect", "parquet"]


def test_a_record_says_which_ways_were_taken_and_may_say_nothing():
    assert records.problems(example_record(input="bytes", sink="parquet")) == records.problems(example_record()) == []
    assert records.problems(example_record(sink="csv")) != []


def test_the_ways_can_be_measured_side_by_side():
    grid = Grid(load(HOME / "config" / "in_out.yaml"))
    ways = {(one.definition.get("input"), one.definition.get("sink")) for one in grid.variants.values()}
    assert ways == {(None, None), ("bytes", None), (None, "parquet"), ("bytes", "parquet")}


def adapter_of(given: Task) -> spark_tasks.Adapter:
    return import_module("vitbench.frameworks.spark_huggingface.adapter").Adapter(given)


def task(**settings) -> Task:
    settings = {"image_processor": "pil", "precision": "float32", "threads_a_slot": 1} | settings
    images = [(str(number), f"{number}.jpg") for number in range(11)]
    return Task(settings, "cpu", 1, 4, 2, images, "images", "model", [], "natives", "temporary", "/the/bytes")


def test_what_runs_in_a_task_does_not_know_the_ways_in_and_out():
    adapter = adapter_of(task(input="bytes", sink="parquet"))
    assert adapter.inner.variant.keys() & {"input", "sink", "threads_a_slot"} == set()
    assert adapter.answers == "temporary/answers"


def test_rows_become_batches_of_images_that_are_not_decoded_yet():
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (7, 5)).save(buffer, "JPEG")
    rows = iter([(str(number), bytearray(buffer.getvalue())) for number in range(7)])
    shares = list(spark_tasks.opened(3, rows))
    assert [[image for image, _ in share] for share in shares] == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert all(picture.size == (7, 5) for share in shares for _, picture in share)
    assert next(rows, None) is None
    assert [len(batch) for batch in spark_tasks.batches(SimpleNamespace(batch_size=3), shares)] == [3, 3, 1]


def test_batches_follow_from_the_rows_of_the_partitions():
    assert batches_of([9, 8, 0, 3], 4) == {4: 4, 1: 1, 3: 1}


# --- a session

SESSION = (
    tiny.FAILURE
    + """
import json, pickle, sys
from importlib import import_module
from pathlib import Path

def main():
    told = {}
    for name, module, task in pickle.loads(bytes.fromhex(sys.argv[1])):
        adapter = import_module(module).Adapter(task)
        adapter.start()
        adapter.load()
        passes = []
        for _ in range(2):
            collected = sorted(map(list, adapter.classify()))
            passes.append([collected, sorted(map(list, adapter.written()))])
        told[name] = {"passes": passes, "described": adapter.describe()}
        some = task.images[:3]
        if task.contents is None:
            adapter.give(some, task.images_folder)
            told[name]["given"] = sorted(one.id for one in [*adapter.classify(), *adapter.written()])
            path = Path(some[0][1])
            whole = path.read_bytes()
            path.write_bytes(b"no image")
            told[name]["damaged"] = failure(adapter)
            path.write_bytes(whole)
        else:
            adapter.give(some, task.images_folder, task.contents + " damaged")
            told[name]["damaged"] = failure(adapter)
        adapter.close()
    print(json.dumps(told))

main()
"""
)
WAYS = {
    "as before": {},
    "parquet": {"sink": "parquet"},
    "bytes": {"input": "bytes"},
    "both": {"input": "bytes", "sink": "parquet"},
}


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict:
    """What each way in and out answers, of the same images, one session after another."""
    place = tiny.copy(tmp_path_factory, tmp_path_factory.mktemp("in and out") / "tiny")
    given = []
    for name, settings in WAYS.items():
        own = place / f"temporary of {name}"  # as each repeat has
        own.mkdir()
        one = replace(tiny.task(place, "spark-onnxruntime/float32", **settings), temporary=str(own))
        if "input" in settings:
            packed = place / f"bytes-{name}"
            contents.write(packed, one.images, 2)
            (place / "damaged").write_bytes(b"no image")
            contents.write(place / f"{packed.name} damaged", [("0", str(place / "damaged"))], 1)
            one = replace(one, contents=str(packed))
        given.append((name, tiny.module("spark-onnxruntime/float32"), one))
    with machine_lock():
        done = subprocess.run(
            [sys.executable, "-c", SESSION, pickle.dumps(given).hex()],
            cwd=place / "temporary",
            env=os.environ | {"PYTHONPATH": str(HOME / "scripts"), MARK: str(place)},
            capture_output=True,
            text=True,
            timeout=1800,
        )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.ci
@pytest.mark.jvm
@pytest.mark.parametrize("name", WAYS)
def test_every_way_in_and_out_gives_the_same_answers_in_every_pass(told, name):
    (expected, nothing), _ = told["as before"]["passes"]
    assert len(expected) == tiny.IMAGES and nothing == []
    for collected, written in told[name]["passes"]:
        handed, read = (written, collected) if WAYS[name].get("sink") else (collected, written)
        assert read == [] and [one[:2] for one in handed] == [one[:2] for one in expected]
        assert [one[2] for one in handed] == pytest.approx([one[2] for one in expected], abs=1e-5)


@pytest.mark.ci
@pytest.mark.jvm
@pytest.mark.parametrize("name", WAYS)
def test_each_way_says_what_it_was_and_what_spark_made_of_it(told, name):
    described = told[name]["described"]
    assert (described["input"], described["sink"]) == (
        WAYS[name].get("input", "files"),
        WAYS[name].get("sink", "collect"),
    )
    # Twelve images in two partitions, in batches of four.
    assert described["partition_rows"] == {"6": 2} and described["effective_batch_sizes"] == {"2": 2, "4": 2}
    assert described["batches"] == ("computed" if WAYS[name].get("sink") else "observed")


@pytest.mark.ci
@pytest.mark.jvm
def test_inside_spark_an_adapter_can_be_given_other_images_too(told):
    assert told["as before"]["given"] == told["parquet"]["given"] == ["0", "1", "2"]


@pytest.mark.ci
@pytest.mark.jvm
@pytest.mark.parametrize("name", WAYS)
def test_an_image_that_is_none_is_one_line_whichever_way_it_came(told, name):
    kind, text, ours = told[name]["damaged"]
    assert kind == "UserError" and not ours
    assert "cannot identify image file" in text and "\n" not in text
