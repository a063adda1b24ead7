"""Settling a run whose records are there by plan: steps are ordinary runs, and each look at verdicts is noted."""

import json
import os
import subprocess
import sys

import planted
import pytest
import reruns
import yaml

from vitbench import tables, workflow
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid

pytestmark = pytest.mark.ci


def test_a_step_that_fails_ends_whoever_asked_for_it_with_its_status(tmp_path, capfd):
    with pytest.raises(SystemExit) as ended:
        workflow.run(["no-such-thing"], "--directory", tmp_path, "--cores", "1")
    assert ended.value.code == 1 and "no-such-thing" in capfd.readouterr().err


def test_settling_stops_where_all_is_decided_and_later_blocks_know_of_the_look(tree, tmp_path):
    eight = tmp_path / "eight.yaml"
    sizes = {key: planted.CONFIG[key] for key in ("datasets", "batch_sizes")}
    eight.write_text(yaml.safe_dump(sizes | {"repeats": {"sample": 3, "full": 8}}))
    grid = Grid(load(eight))
    for cell, repeat in grid.order:
        if repeat >= 3:
            planted.plant(tree.root, grid, cell, repeat)
    looks = tree.root / grid.looks
    assert not looks.exists()  # three blocks are no look

    drawing = ["--omit-from", *sorted(reruns.CHARTS | reruns.PRODUCTS)]  # takes longest, and settles nothing
    command = [sys.executable, "scripts/settle.py", *drawing, "--cores", "2", "--quiet", "all"]
    how = {"cwd": tree.root, "capture_output": True, "text": True, "env": os.environ | {"PYTHONPATH": ""}}
    done = subprocess.run(command, **how)
    assert done.returncode == 0, done.stderr
    assert "up to 20 blocks" in done.stderr and "decided, with 5 blocks" in done.stderr
    assert json.loads(looks.read_text()) == [{"blocks": 5, "most_repeats": 20}]
    first = tables.read(tree.root / "results/speedup.csv")
    assert set(first[first.family == "primary"].verdict) == {"faster"}
    assert set(first.blocks[first.dataset == "full"]) == {5} and set(first.blocks[first.dataset == "sample"]) == {3}

    summary = "results/summary.txt"  # made of every verdict
    tree.snakemake(summary, "--configfile", str(eight))
    assert [look["blocks"] for look in json.loads(looks.read_text())] == [5, 8]
    described = json.loads((tree.root / "results/provenance/grid.json").read_text())
    assert described["looks"] == [{"blocks": 5, "most_repeats": 20}]
    # A dry run begins with what was looked at, and writes nothing, which the next run would take for its own.
    kept = {path: path.read_bytes() for path in (tree.root / "results/provenance").iterdir() if path.is_file()}
    dry = subprocess.run([*command, "-n"], **how)
    assert dry.returncode == 0 and "8 blocks: about" in dry.stderr, dry.stderr
    assert kept == {path: path.read_bytes() for path in (tree.root / "results/provenance").iterdir() if path.is_file()}
    # Noting the look changes nothing that was derived at it.
    assert tree.planned(summary, "--configfile", str(eight)) == {}

    # Who asks for something else afterwards, as `snakemake advice`, gets it of all that was read.
    three = tmp_path / "three.yaml"
    three.write_text(yaml.safe_dump(sizes | {"repeats": {"sample": 3, "full": 3}}))
    tree.snakemake("results/speedup.csv", "--configfile", str(three))
    later = tables.read(tree.root / "results/speedup.csv")
    assert set(later.blocks[later.dataset == "full"]) == {8}
