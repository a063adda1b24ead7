"""Ctrl-C in mid-measurement: soon nothing runs, nothing is half written, and the user knows how to go on."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import planted
import pytest
import yaml
from tree import Tree, clone, found, hear_signals, processes_of
from unlock import lock_files

from vitbench.files import HOME
from vitbench.inputs import photographs
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid

# Seconds until two repeats are there: a neighbour may be busy, or hold the machine to measure.
PATIENCE = 900
PATIENT = Path(__file__).parents[1] / "patient_framework"


def half_written(folder: Path) -> list[Path]:
    """What files are staged in, and where repeats work."""
    return [*found(folder, ".*.partial"), *found(folder, ".*.repeat")]


def patient(folder: Path) -> Tree:
    """A clone with a framework that waits, and needs of its model the labels alone; the peak is planted."""
    tree = clone(folder)
    shutil.copytree(PATIENT, tree.root / "scripts/vitbench/frameworks/patient")
    (tree.root / "envs/patient.yaml").write_text("channels: [nodefaults]\ndependencies: [psutil]\n")
    with open(tree.root / "resources/variants.yaml", "a") as variants:
        variants.write("patient:\n  plain: {}\n")
    (tree.root / "mine.yaml").write_text(
        yaml.safe_dump(
            {"frameworks": ["patient/plain"], "baseline": "patient/plain", "control": False, "profile": False}
            | {"batch_sizes": [1, 2, 4], "repeats": 2}
        )
    )
    grid = Grid(load(tree.root / "config/smoke.yaml"))
    planted.plant_peak(tree.root, grid)
    model = tree.root / "resources/models" / grid.model.slug
    (model / "checkpoint").mkdir(parents=True)
    labels = dict(enumerate(photographs.labels()))
    (model / "checkpoint/config.json").write_text(json.dumps({"id2label": labels}))
    (model / "logits.json").write_text("{}")
    return tree


def records(tree: Tree) -> dict[Path, int]:
    """Each record that is there, and when it was written."""
    return {path: path.stat().st_mtime_ns for path in found(tree.root / "measurements", "rep*.json")}


def stop(tree: Tree, command: list[str], output: Path) -> tuple[dict[Path, int], str]:
    """Run a command in the tree and press Ctrl-C in mid-measurement; the records that were there, and what it said.

    Soon nothing runs, and nothing is half written or locked.
    """
    with open(output, "w") as said:
        run = subprocess.Popen(
            command,
            cwd=tree.root,
            env=os.environ | {"PYTHONPATH": ""},
            stdout=said,
            stderr=said,
            start_new_session=True,  # the group that a terminal would send the signal to
            preexec_fn=hear_signals,
        )
    deadline = time.monotonic() + PATIENCE
    try:
        while not (len(records(tree)) >= 2 and processes_of(tree.root)):
            assert run.poll() is None and time.monotonic() < deadline, output.read_text()[-4000:]
            time.sleep(0.1)
        done = records(tree)
        began = time.monotonic()
        os.killpg(run.pid, signal.SIGINT)
        run.wait(PATIENCE)
        took = time.monotonic() - began
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    text = output.read_text()
    # It takes about a second; what is left of the time is for neighbours.
    assert took < 30 and run.returncode != 0, text[-4000:]
    assert processes_of(tree.root) == [] and half_written(tree.root) == [] and lock_files(tree.root) == []
    assert done.items() <= records(tree).items() and all(json.loads(path.read_text()) for path in records(tree))
    predictions = {path.name for path in tree.root.glob("measurements/**/*.predictions.csv")}
    assert predictions == {f"{path.stem}.predictions.csv" for path in records(tree)}
    return done, text


def test_ctrl_c_stops_soon_and_leaves_nothing_half_done(tmp_path):
    tree = patient(tmp_path / "a clone")
    arguments = ["sweep", "--configfile", "config/smoke.yaml", "mine.yaml"]
    done, text = stop(tree, [sys.executable, "-m", "snakemake", *arguments], tmp_path / "said.txt")
    told = f"stopped with {len(records(tree))} of 8 measurements, which stay; the same command goes on with the rest"
    assert told in text
    # A line a repeat, plain in a log.
    lines = re.findall(
        r"^\d of 8: block [12] of 2, patient/plain/cpu/w1/bs\d on sample: [\d.]+ images/s; about", text, re.M
    )
    # The last one's record is there before its line: the signal may have come between the two.
    assert len(lines) >= len(done) - 1 > 0 and "\x1b[1m" not in "".join(lines)

    kept = records(tree)
    tree.snakemake(*arguments)
    assert kept.items() <= records(tree).items() and len(records(tree)) == 6
    assert processes_of(tree.root) == []


@pytest.mark.ci
def test_ctrl_c_lets_the_snakemake_of_a_script_stop_in_the_same_way(tmp_path):
    tree = patient(tmp_path / "a clone")
    arguments = ["--configfile", "config/smoke.yaml", "mine.yaml", "--cores", "2"]
    _, text = stop(tree, [sys.executable, "scripts/settle.py", *arguments], tmp_path / "said.txt")
    # Six of the sweep, and the five blocks that a verdict needs.
    assert f"stopped with {len(records(tree))} of 11 measurements, which stay" in text


# Stands in for Snakemake: it takes a second to end, with the status that it is given.
SLOW = """\
import pathlib, signal, sys, time
def stop(*_):
    time.sleep(1)
    pathlib.Path("clean").touch()
    sys.exit(int(sys.argv[-1]))
signal.signal(signal.SIGINT, stop)
pathlib.Path("runs").touch()
time.sleep(1000)
"""


@pytest.mark.parametrize(("status", "expected"), [(7, 7), (0, 128 + signal.SIGINT)])
def test_a_script_waits_for_the_snakemake_that_ctrl_c_stops_and_ends_as_it_did(tmp_path, status, expected):
    (tmp_path / "snakemake.py").write_text(SLOW)
    code = f"from vitbench import workflow; workflow.run([], '{status}'); print('and went on')"
    script = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(HOME / "scripts")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=hear_signals,
    )
    deadline = time.monotonic() + PATIENCE
    try:
        while not (tmp_path / "runs").exists():
            assert script.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        for _ in range(2):  # some press it twice
            os.killpg(script.pid, signal.SIGINT)
            time.sleep(0.3)
        said, _ = script.communicate(timeout=PATIENCE)
    finally:
        if script.poll() is None:
            os.killpg(script.pid, signal.SIGKILL)
    assert script.returncode == expected and (tmp_path / "clean").exists() and said == ""
