"""What a machine lacks is said in one line, with the key and the remedy, before the first measurement."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import namedtuple
from pathlib import Path

import check_ready
import doctor
import pytest
import yaml

from vitbench import machine
from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.inputs import datasets
from vitbench.plan import estimate, readiness
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid

Usage = namedtuple("Usage", "total used free")


def problem(action, *arguments) -> str:
    with pytest.raises(UserError) as raised:
        action(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def disk(monkeypatch):
    """Sets the room on every disk."""
    return lambda free: monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1e12, 1e12 - free, free))


def test_a_gpu_is_looked_for_where_it_would_be_used(monkeypatch):
    monkeypatch.setattr(machine, "gpus", lambda: ())
    assert problem(readiness.check_gpu, ["cpu", "gpu"]).startswith("devices: gpu")
    readiness.check_gpu(["cpu"])
    monkeypatch.setattr(machine, "gpus", lambda: ("NVIDIA T4",))
    readiness.check_gpu(["cpu", "gpu"])


def test_memory_is_that_of_the_doctor(monkeypatch):
    assert readiness.MEMORY == doctor.MEMORY
    monkeypatch.setattr(machine, "memory_bytes", lambda: 4_000_000_000)
    line = problem(readiness.check_memory)
    assert line.startswith("frameworks: Spark NLP needs 8.0 GB") and "4.0 GB" in line
    monkeypatch.setattr(machine, "memory_bytes", lambda: 8_200_000_000)
    readiness.check_memory()


def test_the_disk_is_that_of_the_working_directory(disk, tmp_path):
    disk(1.5e9)
    readiness.check_disk(tmp_path)
    line = problem(readiness.check_disk, tmp_path, 2e9)
    assert "1.5 GB free" in line and "3.0 GB are needed" in line and str(tmp_path) in line


def test_a_batch_is_no_larger_than_the_data_set():
    readiness.check_batch_sizes([1, 8, 32], "sample", 32)
    line = problem(readiness.check_batch_sizes, [1, 64, 8], "sample", 32)
    assert line.startswith("batch_sizes: 64 is larger than the 32 images of the data set `sample`")


# --- at the start


@pytest.fixture
def start(tmp_path, monkeypatch, disk):
    """The check at the start of a run of this configuration, in an empty folder on a disk with much room."""
    monkeypatch.chdir(tmp_path)
    disk(1e12)

    def start(**changes):
        (tmp_path / "mine.yaml").write_text(json.dumps(changes))
        estimate.check_start(Grid(load(tmp_path / "mine.yaml")))

    return start


def test_the_default_may_start(start):
    start()


def test_a_batch_that_a_counted_data_set_cannot_fill_is_told_at_the_start(start):
    assert problem(lambda: start(batch_sizes=[1, 64])).startswith("batch_sizes: 64 is larger than the 16 images")
    line = problem(lambda: start(batch_sizes=[1, 16], datasets={"full": "photos-12"}))
    assert "12 images of the data set `full`" in line


def test_a_disk_too_small_for_what_is_missing_is_told_at_the_start(start, disk):
    disk(2e9)
    assert "are needed" in problem(start)
    start(model="vit-tiny-seeded", frameworks=["huggingface/pipeline"])


def test_what_is_downloaded_needs_its_room_twice(start, disk):
    """As what it is, and as what it becomes."""
    grid = Grid(load(HOME / "config" / "config.yaml"))
    once = readiness.SCRATCH + 3 * estimate.weight_bytes(estimate.VIT_BASE) + estimate.to_prepare(grid)[1]
    assert estimate.to_prepare(grid)[1] > 1e8
    disk(once)
    assert "are needed" in problem(start)
    disk(once + estimate.to_prepare(grid)[1])
    start()


def test_a_folder_in_which_spark_cannot_work_is_told_at_the_start_to_those_who_run_it(start, tmp_path, monkeypatch):
    (tmp_path / "odd, for Spark").mkdir()
    monkeypatch.chdir(tmp_path / "odd, for Spark")
    assert "in a folder's name for something else" in problem(start)
    start(frameworks=["huggingface/pipeline"])


def test_weights_of_vit_base_are_346_megabytes():
    assert estimate.weight_bytes(estimate.VIT_BASE) == pytest.approx(346_293_852, rel=0.001)


def test_a_model_of_the_hub_counts_as_a_download(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load(HOME / "config" / "config.yaml")
    seeded, hub = (estimate.to_prepare(Grid(config | {"model": name}))[1] for name in SEEDED_AND_HUB)
    assert hub - seeded == estimate.weight_bytes(estimate.VIT_BASE)


QUIET = load(HOME / "config" / "config.yaml")["quiet"]
SEEDED_AND_HUB = ("vit-base-seeded", "vit-base-patch16-224")


# --- before the first measurement


@pytest.fixture
def gate(tmp_path, monkeypatch):
    """Checks a data set of so many images, on this machine or one that is a little different."""
    monkeypatch.setattr(check_ready.canary, "first", lambda *_: [])
    monkeypatch.setattr(machine, "check_configured", lambda *_: None)

    def gate(images: int = 3, devices=("cpu",), batch_sizes=(1,), wants_spark=False) -> dict:
        manifest = tmp_path / "full-mine-0" / "manifest.csv"
        (manifest.parent / "images").mkdir(parents=True)
        sha256 = hashlib.sha256(b"x").hexdigest()
        rows = [f"{n},images/{n}.jpg,{sha256},1,cat,1,,{n}.jpg" for n in range(images)]
        rows.append(f"x,,{'0' * 64},3,cat,0,not an image,x")
        manifest.write_text("\n".join([",".join(datasets.COLUMNS), *rows]) + "\n")
        for n in range(images):
            (manifest.parent / "images" / f"{n}.jpg").write_text("x")
        out = tmp_path / "ready.json"
        check_ready.main("auto", machine.cores(), list(devices), list(batch_sizes), wants_spark, QUIET, [manifest], out)
        return json.loads(out.read_text())

    return gate


def test_an_earlier_protocol_is_not_measured_by():
    today = yaml.safe_load((HOME / "config" / "config.yaml").read_text())["protocol"]
    assert problem(lambda: readiness.check_protocol(today - 1)).startswith(f"protocol: {today - 1} is configured")
    readiness.check_protocol(today)
    readiness.check_protocol(today + 1)  # raised to measure everything again


def test_a_sound_machine_passes_the_gate_and_is_described(gate):
    facts = gate()
    assert facts["cores"] == machine.cores() and facts["boot"] == machine.boot()


def test_a_shared_node_does_not_pass_the_gate(gate, slurm):
    slurm("echo OK")
    assert "needs a node of its own" in problem(gate)


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ({"images": 0}, "datasets: full: "),
        ({"batch_sizes": [1, 4]}, "batch_sizes: 4 is larger than the 3 images of the data set `full`"),
        ({"devices": ["gpu"]}, "devices: gpu was asked for"),
    ],
)
def test_the_gate_stays_shut_and_says_why(gate, monkeypatch, tmp_path, asked, begins):
    monkeypatch.setattr(machine, "gpus", lambda: ())
    assert problem(lambda: gate(**asked)).startswith(begins)
    assert not (tmp_path / "ready.json").exists()


def test_memory_is_asked_of_those_who_run_spark_only(gate, monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 4_000_000_000)
    assert problem(lambda: gate(wants_spark=True)).startswith("frameworks: Spark NLP needs")


def test_less_memory_will_do_for_hugging_face(gate, monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 4_000_000_000)
    assert gate(wants_spark=False)["memory_bytes"] == 4_000_000_000


def test_a_full_disk_is_told_at_the_gate(gate, disk):
    disk(1e6)
    assert "free on the disk" in problem(gate)
    assert not Path("ready.json").exists()


@pytest.fixture
def slurm(monkeypatch, tmp_path):
    """Makes this process a job of Slurm, whose squeue runs the lines given."""

    def make(*script: str) -> None:
        squeue = tmp_path / "squeue"
        squeue.write_text("\n".join(["#!/bin/sh", *script]) + "\n")
        squeue.chmod(0o755)
        monkeypatch.setenv("SLURM_JOB_ID", "17")
        monkeypatch.setenv("PATH", str(tmp_path))

    return make


def test_outside_of_slurm_nobody_is_asked(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    readiness.check_alone()


def test_a_job_of_slurm_that_has_its_node_to_itself_may_measure(slurm):
    slurm('[ "$*" = "--noheader --jobs=17 --format=%h" ] && echo "  NO"')
    readiness.check_alone()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo OK", "says OK"),
        ("echo USER", "says USER"),
        ("echo NO; echo OK", "says NO\nOK"),
        ("true", "says nothing"),
        ("echo no controller >&2; exit 1", "says (no controller)"),
        ("echo NO; exit 1", "says ()"),
    ],
)
def test_a_job_of_slurm_that_may_share_its_node_measures_nothing(slurm, script, words):
    slurm(script)
    line = problem(readiness.check_alone)
    assert "job 17 of Slurm" in line and words.replace("\n", " ") in line and "--exclusive" in line


def test_a_job_of_slurm_without_squeue_measures_nothing(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("PATH", "/nowhere")
    assert "squeue" in problem(readiness.check_alone)


def test_what_measures_asks_whether_it_is_alone(slurm):
    slurm("echo OK")
    here = machine.machine_id()
    assert "needs a node of its own" in problem(readiness.check_here, here, ["cpu"])
    assert "is configured" in problem(readiness.check_here, "xeon-2", ["cpu"])
