"""A measurement runs alone on the machine, and the measurements run in the seeded order."""

import json
import re

import planted
import pytest

from vitbench.inputs import photographs
from vitbench.plan.grid import Grid

pytestmark = pytest.mark.ci

GRID = Grid(planted.CONFIG | {"repeats": 2})

# Stands in for all that measures: notes when it ran, slowly enough for another job to run beside it, and leaves what
# was planted in its place.
STAND_IN = """
import shutil, sys, time
from pathlib import Path
asked = dict(zip(sys.argv[1::2], sys.argv[2::2]))
begin = time.monotonic()
time.sleep(0.3)
out = Path(asked["--out"])
for planted in Path("planted", out.parent).glob(f"{out.stem}.*"):
    shutil.copyfile(planted, out.with_name(planted.name))
with open("intervals.txt", "a") as intervals:
    print(*(asked.get(f"--{name}") for name in ("dataset", "cell", "repeat")), begin, time.monotonic(), file=intervals)
"""


@pytest.fixture
def unmeasured(tree):
    """A tree whose data sets are there, models and jars only by name, and whose measuring is acted."""
    for folder in ("measurements", "results", "reports"):
        for path in (tree.root / folder).rglob("*"):
            if path.is_file() and "captions" not in path.parts:
                path.unlink()
    for cell, repeat in GRID.order:
        planted.plant(tree.root, GRID, cell, repeat)
    for cell in GRID.profiles():
        planted.plant_profile(tree.root, GRID, cell)
    planted.plant_peak(tree.root, GRID)
    (tree.root / "planted").mkdir()
    (tree.root / "measurements").rename(tree.root / "planted/measurements")
    model = tree.root / "resources/models" / GRID.model.slug
    # In the order in which they depend on each other, for Snakemake goes by their times.
    for part in (tree.root / "resources/jars/tensorflow-cpu", model / "checkpoint", model / "tensorflow"):
        part.mkdir(parents=True)
        if part.name == "checkpoint":  # the tables ask it which labels the model has
            (part / "config.json").write_text(json.dumps({"id2label": dict(enumerate(photographs.labels()))}))
    (model / "sparknlp-tensorflow").mkdir()
    (model / "logits.json").write_text("{}")
    (tree.root / "results/provenance").mkdir(parents=True, exist_ok=True)
    (tree.root / "results/provenance/spark-tensorflow-cpu.json").write_text("{}")
    for command in ("measure.py", "profile_cell.py", "measure_peak.py"):
        (tree.root / "scripts" / command).write_text(STAND_IN)
    (tree.root / "two.yaml").write_text("repeats: 2\n")
    return tree


def alone(output: str) -> int:
    """How many measurements and profiles the output shows; fails if any other job ran beside one."""
    running: dict[str, bool] = {}
    count = 0
    for line in output.splitlines():
        if begun := re.match(r"Job (\d+): (measuring|profiling)?", line):
            assert not any(running.values()), f"a measurement was running when this began: {line}"
            assert not begun[2] or not running, f"something was running when this began: {line}"
            running[begun[1]] = bool(begun[2])
            count += bool(begun[2])
        elif ended := re.match(r"Finished jobid: (\d+)", line):
            running.pop(ended[1], None)
    return count


# Each of them takes away something that might keep jobs apart: cores, the resources of the profile, threads.
FLAGS = ("--cores", "8", "-j", "8", "--resources", "gpu=2", "--set-threads", "measure=1", "profile_cell=1")
# All that is measured, and what may be made as soon as no repeat is missing: tables and a chart, beside the profiles.
TARGETS = ("full", "results/stages.csv", "reports/wall_time.svg")


def test_a_measurement_runs_alone_whatever_the_flags(unmeasured):
    output = unmeasured.snakemake(*TARGETS, *FLAGS, "--verbose", "--configfile", "two.yaml")
    assert alone(output) == 1 + 2 * (6 + 4) + 2
    assert output.count("drawing wall_time") and output.count("comparing the cells")
    # Snakemake looks for jobs when one has ended, and does not wake up while a measurement runs.
    assert 20 < output.count("Ready jobs: ") <= output.count("Finished jobid: ") + 1
    ran = sorted((line.split() for line in (unmeasured.root / "intervals.txt").open()), key=lambda one: float(one[3]))
    assert all(float(before[4]) <= float(after[3]) for before, after in zip(ran, ran[1:], strict=False))
    peak, *measured = [tuple(one[:3]) for one in ran]
    assert peak == ("None", "None", "None"), "the machine's peak comes before the first measurement"
    wanted = [(cell.dataset, cell.name, str(repeat)) for cell, repeat in GRID.order]
    assert measured[: len(wanted)] == wanted
    # Profiles come last, each after its cell's repeats.
    assert {place[1:] for place in measured[len(wanted) :]} == {(cell.name, "None") for cell in GRID.profiles()}


def test_fewer_cores_than_the_machine_has_are_refused_before_the_first_measurement(unmeasured):
    output = unmeasured.snakemake("--cores", "1", "--configfile", "two.yaml", fails=True)
    assert "a measurement takes all" in output and "--cores all" in output
    assert not (unmeasured.root / "intervals.txt").exists()


def test_a_gpu_that_is_not_there_is_refused_before_the_first_measurement(unmeasured):
    (unmeasured.root / "gpu.yaml").write_text("devices: [cpu, gpu]\nframeworks: [huggingface/pipeline]\n")
    output = unmeasured.snakemake("--configfile", "gpu.yaml", fails=True, PATH="/usr/bin:/bin")
    assert "devices: gpu was asked for, and this machine shows none" in output
    assert not (unmeasured.root / "intervals.txt").exists()
