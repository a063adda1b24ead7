"""What labels where nobody says: by this machine's records, on what is configured; and what cannot."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import planted
import pytest

from vitbench.classify import choice, job
from vitbench.classify.folder import Folder
from vitbench.errors import UserError
from vitbench.frameworks import Task
from vitbench.inputs import checkpoints
from vitbench.measure import repeat
from vitbench.plan import configuration
from vitbench.plan.grid import Grid


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def finished(run, monkeypatch) -> Path:
    """A run in which every variant gave the same labels and sparknlp/tensorflow was fastest; the working directory."""
    monkeypatch.chdir(run)
    return run


def test_the_fastest_variant_with_the_baselines_labels_is_taken_with_its_batch_size(finished):
    chosen = choice.choose(planted.CONFIG)
    assert chosen.variant == "sparknlp/tensorflow" and chosen.cell.batch_size == 8
    assert list(chosen.grid.variants) == ["sparknlp/tensorflow"]
    assert "2 of 2 variants" in chosen.why and "chosen from its sweep" in chosen.why


def test_a_faster_variant_with_other_labels_is_not(finished):
    for path in finished.glob("measurements/**/sparknlp/**/rep0.predictions.csv"):
        path.write_text(path.read_text().replace("coffee", "tea"))
    chosen = choice.choose(planted.CONFIG)
    assert chosen.variant == "huggingface/pipeline" and "1 of 2 variants" in chosen.why


def test_records_that_carry_no_claim_choose_nothing(finished):
    for path in finished.glob("measurements/**/huggingface/**/rep*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"flags": ["suspect"]}))
    chosen = choice.choose(planted.CONFIG)
    assert chosen.variant == "huggingface/pipeline" and "no usable record" in chosen.why


def test_records_that_the_reports_refuse_to_mix_choose_nothing(finished):
    path = next(finished.glob("measurements/**/full-*/**/rep1.json"))
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"hashes": record["hashes"] | {"manifest": "f" * 64}}))
    with pytest.raises(UserError, match="the records differ in the .*data"):
        choice.choose(planted.CONFIG)


def test_what_is_faster_than_the_machine_can_be_chooses_nothing(finished):
    grid = Grid(planted.CONFIG)
    place = Path(grid.peak)
    peak = json.loads(place.read_text())
    for rate in (*peak["rates"], *peak["peak"]):
        rate["gflops"] /= 1e6
    place.write_text(json.dumps(peak))
    chosen = choice.choose(planted.CONFIG)
    assert chosen.variant == "huggingface/pipeline" and "faster than this machine" in chosen.why


def test_of_variants_that_use_a_part_of_the_machine_and_all_of_it_the_latter_is_taken(finished):
    """The baseline of config/cluster.yaml has one core, whatever the machine has: a worker is held against it."""
    for path in finished.glob("measurements/**/full-*/**/huggingface/**/rep*.json"):
        record = json.loads(path.read_text())
        record["identity"]["definition"] |= {"slots": 1}
        path.write_text(json.dumps(record | {"slots": 1, "threads": 1}))
    chosen = choice.choose(planted.CONFIG)
    assert chosen.variant == "sparknlp/tensorflow"
    assert "1 of 2 variants, those with the labels of huggingface/pipeline that used the most cores" in chosen.why


def task_of(chosen: choice.Chosen, out: Path) -> Task:
    """What the adapter would be told, on a machine that has Java and the jars."""
    folder = Path(chosen.grid.model_folder(chosen.cell))
    folder.mkdir(parents=True)
    checkpoints.note_source(chosen.grid.model.definition, folder.parent)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(repeat, "find_java", lambda: None)
        patched.setattr(repeat, "_jars", lambda grid, cell: (None, []))
        return job.task_of(chosen, Folder(out), threads=2)


CHECKPOINT_FILES = {
    "config.json": json.dumps({"model_type": "vit", "architectures": ["ViTForImageClassification"]}),
    "preprocessor_config.json": json.dumps({"image_processor_type": "ViTImageProcessor"}),
    "model.safetensors": "weights",
}
CLUSTER = {"worker_cores": 1, "worker_memory_gb": 1, "settings": {"spark.locality.wait": 0}}


def test_what_can_run_on_a_configured_cluster_does_with_all_its_workers(tmp_path):
    config = planted.CONFIG | {"workers": [2, 1], "spark": planted.CONFIG["spark"] | CLUSTER}
    task = task_of(choice.choose(config, "sparknlp/tensorflow"), tmp_path / "out")
    assert task.workers == task.spark["cluster"]["workers"] == 2
    assert task.spark["settings"] == {"spark.locality.wait": "0"}


def test_what_cannot_runs_on_one_node_whatever_cluster_is_configured(tmp_path):
    config = planted.CONFIG | {"workers": [1, 2], "spark": planted.CONFIG["spark"] | CLUSTER}
    task = task_of(choice.choose(config, "huggingface/pipeline"), tmp_path / "out")
    assert task.workers == 1 and task.spark == {}


def test_a_checkpoint_that_has_changed_since_it_was_copied_is_one_line(tmp_path):
    (tmp_path / "my-vit").mkdir()
    for name, content in CHECKPOINT_FILES.items():
        (tmp_path / "my-vit" / name).write_text(content)
    weights = tmp_path / "my-vit" / "model.safetensors"
    define = {"models": {"mine": {"kind": "folder", "folder": str(tmp_path / "my-vit")}}}
    config = planted.CONFIG | {"model": "mine", "define": planted.CONFIG["define"] | define}
    chosen = choice.choose(configuration.resolve(config), "huggingface/pipeline")
    task_of(chosen, tmp_path / "out")
    os.utime(weights, (time.time() + 60, time.time() + 60))
    job.task_of(chosen, Folder(tmp_path / "out"), threads=2)  # a date says nothing
    weights.write_text("WEIGHTS")
    os.utime(weights, (0, 0))
    with pytest.raises(UserError, match="my-vit has changed since .*mine-.* was made of it: remove that folder"):
        job.task_of(chosen, Folder(tmp_path / "out"), threads=2)


def test_a_cluster_that_this_machine_has_no_room_for_is_one_line(tmp_path):
    config = planted.CONFIG | {"workers": [3], "spark": planted.CONFIG["spark"] | CLUSTER}
    with pytest.raises(UserError, match="3 workers of 1 core each are more than the 2 cores"):
        task_of(choice.choose(config, "sparknlp/tensorflow"), tmp_path / "out")


def test_records_of_one_node_choose_nothing_for_a_cluster_that_the_baseline_runs_on(finished):
    config = planted.CONFIG | {"baseline": "sparknlp/tensorflow"}
    assert "the fastest in this machine's records" in choice.choose(config).why
    chosen = choice.choose(config | {"workers": [1, 2]})
    assert "no usable record" in chosen.why and chosen.cell.workers == 2


def test_without_records_the_baseline_labels_with_a_batch_size_that_is_named():
    chosen = choice.choose(planted.CONFIG)
    assert chosen.variant == planted.CONFIG["baseline"] and "the baseline" in chosen.why
    assert chosen.cell.batch_size == 8 and "no sweep has chosen" in chosen.why
    assert choice.choose(planted.CONFIG | {"batch_sizes": [1, 4]}).cell.batch_size == 4
    assert choice.choose(planted.CONFIG, batch_size=3).cell.batch_size == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"variant": "pipeline"}, "variant: pipeline is none"),
        ({"variant": "keras/plain"}, "no such framework"),
        ({"variant": "huggingface/fast"}, "is not defined"),
        ({"device": "gpu"}, "device: gpu is not among `devices`"),
    ],
)
def test_what_cannot_label_is_one_line(arguments, words):
    with pytest.raises(UserError, match=words):
        choice.choose(planted.CONFIG, **arguments)
