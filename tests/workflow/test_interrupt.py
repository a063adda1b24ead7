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
import yaml
from tree import Tree, clone, found, hear_signals, processes_of

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


def test_ctrl_c_stops_soon_and_leaves_nothing_half_done(tmp_path):
    tree = patient(tmp_path / "a clone")
    arguments = ["sweep", "--configfile", "config/smoke.yaml", "mine.yaml"]
    with open(tmp_path / "said.txt", "w") as said:
        run = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=tree.root,
            stdout=said,
            stderr=said,
            start_new_session=True,  # the group that a terminal would send the signal to
            preexec_fn=hear_signals,
        )
    deadline = time.monotonic() + PATIENCE

    def records() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in found(tree.root / "measurements", "rep*.json")}

    try:
        while not (len(records()) >= 2 and processes_of(tree.root)):
            assert run.poll() is None and time.monotonic() < deadline, (tmp_path / "said.txt").read_text()[-4000:]
            time.sleep(0.1)
        done = records()
        began = time.monotonic()
        os.killpg(run.pid, signal.SIGINT)
        run.wait(PATIENCE)
        took = time.monotonic() - began
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    text = (tmp_path / "said.txt").read_text()
    # It takes about a second; what is left of the time is for neighbours.
    assert took < 30 and run.returncode != 0, text[-4000:]
    assert processes_of(tree.root) == [] and half_written(tree.root) == []
    assert done.items() <= records().items() and all(json.loads(path.read_text()) for path in records())
    predictions = {path.name for path in tree.root.glob("measurements/**/*.predictions.csv")}
    assert predictions == {f"{path.stem}.predictions.csv" for path in records()}
    assert (
        f"stopped with {len(records())} of 8 measurements, which stay; the same command goes on with the rest" in text
    )
    # A line a repeat, plain in a log.
    lines = re.findall(
        r"^\d of 8: block [12] of 2, patient/plain/cpu/w1/bs\d on sample: [\d.]+ images/s; about", text, re.M
    )
    # The last one's record is there before its line: the signal may have come between the two.
    assert len(lines) >= len(done) - 1 > 0 and "\x1b[1m" not in "".join(lines)

    kept = records()
    tree.snakemake(*arguments)
    assert kept.items() <= records().items() and len(records()) == 6
    assert processes_of(tree.root) == []
