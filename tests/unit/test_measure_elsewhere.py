"""A machine that lives for one job: what it fetches, what it runs, and what it brings back."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import measure_elsewhere
import pytest
from tree import hear_signals

from vitbench.files import HOME

# Stands in for the environment's Python: notes what it was asked for, and measures one repeat more than there were.
SNAKEMAKE = """\
import json, os, signal, subprocess, sys, time
from pathlib import Path
asked = sys.argv[1:]
run = Path(asked[asked.index("--directory") + 1])
records = run / "measurements" / "a-machine"
records.mkdir(parents=True, exist_ok=True)
there = len(list(records.glob("rep*.json")))
(records / f"rep{there}.json").write_text(json.dumps({"asked": asked, "java": os.environ.get("JAVA_HOME")}))
for name in ("results/provenance/grid.json", "results/runs.csv", "reports/page.html", "resources/models/a/weights",
             "resources/datasets/one/manifest.csv", "resources/datasets/one/images/1.jpg",
             "resources/datasets/one/bytes-2-0a1b2c3d/part-0.parquet"):
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    (run / name).write_text("x")
if "--sleep" in asked:
    signal.signal(signal.SIGINT, lambda *_: (job.wait(), sys.exit(130)))
    job = subprocess.Popen([sys.executable, "job.py", str(run)])
    time.sleep(1000)
sys.exit(3 if "--fail" in asked else 0)
"""
# Stands in for a job of its: a repeat that is stopped by the signal which a terminal sends to all, or ends when nobody
# waits for it any more. It takes a moment to remove the folder that it works in.
JOB = """\
import os, shutil, signal, sys, time
from pathlib import Path
run, parent, how = Path(sys.argv[1]), os.getppid(), "orphaned"
folder, provenance = run / "measurements/a-machine/.rep1.repeat", run / "results/provenance"
# Who runs tests in the background ignores it, and hands that on.
signal.signal(signal.SIGINT, signal.default_int_handler)
folder.mkdir()
(folder / "events.jsonl").write_text("x")
try:
    (provenance / "job.begun").touch()
    while os.getppid() == parent:
        time.sleep(0.05)
except KeyboardInterrupt:
    how = "stopped"
time.sleep(0.5)
shutil.rmtree(folder)
(provenance / "job.txt").write_text(how)
"""
# Seconds until a job has begun, and until it has ended: a neighbour may be busy.
LONG = 300
MAKEFILE = f"""\
install:
\t@mkdir -p .venv/bin && printf '#!/bin/sh\\nexec {sys.executable} snakemake.py "$$@"\\n' > .venv/bin/python
\t@chmod +x .venv/bin/python
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the bundle of a checkout that holds a Makefile and what stands in for Snakemake."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "Makefile").write_text(MAKEFILE)
    (source / "snakemake.py").write_text(SNAKEMAKE)
    (source / "job.py").write_text(JOB)
    somebody = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    bundle = ["bundle", "create", "-q", str(tmp_path / "vitbench.bundle"), "HEAD"]
    for command in (["init", "-q"], ["add", "-A"], [*somebody, "commit", "-qm", "all"], bundle):
        subprocess.run(["git", *command], cwd=source, check=True)
    monkeypatch.setenv("JAVA_HOME", "/opt/java-8")
    return tmp_path


def fixed(place: Path) -> list[str]:
    """The options that each job has."""
    paths = ["--bundle", place / "vitbench.bundle", "--out", place / "records.tgz", "--scratch", place / "scratch"]
    return list(map(str, paths))


def run(place: Path, *options: str, minutes: str | None = None) -> int:
    limit = ["--minutes", minutes] if minutes else []
    return measure_elsewhere.main([*fixed(place), *limit, *options])


def packed(place: Path) -> dict[str, bytes]:
    with tarfile.open(place / "records.tgz") as archive:
        return {one.name: archive.extractfile(one).read() for one in archive if one.isfile()}


def test_records_and_what_import_needs_with_them_come_back_and_nothing_else(place):
    assert run(place, "full", "--configfile", "mine.yaml") == 0
    found = packed(place)
    assert found.keys() == {
        "measurements/a-machine/rep0.json",
        "results/provenance/grid.json",
        "resources/datasets/one/manifest.csv",
    }
    asked = json.loads(found["measurements/a-machine/rep0.json"])
    place_of_run = str(place / "scratch" / "run")
    assert asked["asked"][:6] == ["-m", "snakemake", "--cores", "all", "--directory", place_of_run]
    assert asked["asked"][6:] == ["full", "--configfile", "mine.yaml"] and asked["java"] is None


def test_the_next_job_goes_on_with_what_the_last_one_left(place):
    run(place, "full")
    subprocess.run(["rm", "-r", str(place / "scratch")], check=True)  # that machine is gone
    run(place, "full")
    assert {"measurements/a-machine/rep0.json", "measurements/a-machine/rep1.json"} <= packed(place).keys()


def test_what_failed_keeps_its_records_and_says_so_by_its_status(place):
    assert run(place, "full", "--fail") == 3
    assert "measurements/a-machine/rep0.json" in packed(place)


def test_before_the_job_is_killed_snakemake_is_stopped_and_its_records_are_kept(place, capsys, monkeypatch):
    begun = place / "scratch" / "run" / "results" / "provenance" / "job.begun"

    class Begun(subprocess.Popen):
        """Its time is over, however short it is, only when its job has begun, which takes long on a busy machine."""

        def wait(self, timeout: float | None = None) -> int:
            deadline = time.monotonic() + LONG
            while timeout is not None and not begun.exists():
                assert time.monotonic() < deadline and self.poll() is None
                time.sleep(0.05)
            return super().wait(timeout)

    monkeypatch.setattr(measure_elsewhere.subprocess, "Popen", Begun)
    assert run(place, "full", "--sleep", minutes="0.001") == 130
    found = packed(place)
    assert "measurements/a-machine/rep0.json" in found and found["results/provenance/job.txt"] == b"stopped"
    said = capsys.readouterr().out
    assert "stopped after 0.001 minutes" in said and "1 records are in" in said


def test_told_to_end_it_lets_snakemake_and_its_job_end_and_packs_then(place):
    script = subprocess.Popen(
        [sys.executable, measure_elsewhere.__file__, *fixed(place), "full", "--sleep"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=hear_signals,
    )
    try:
        deadline = time.monotonic() + LONG
        while not (place / "scratch/run/results/provenance/job.begun").exists():
            assert script.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        script.terminate()
        time.sleep(0.2)
        script.terminate()  # whoever ends jobs may say so twice
        said, _ = script.communicate(timeout=LONG)
    finally:
        script.kill()
    assert script.returncode == 128 + signal.SIGTERM and "1 records are in" in said, said
    found = packed(place)
    assert found["results/provenance/job.txt"] == b"stopped" and "measurements/a-machine/rep0.json" in found
    assert not any(".repeat" in name for name in found)


def test_a_folder_that_somebody_still_removes_is_not_looked_into(tmp_path, monkeypatch):
    """After a kill what a repeat worked in may go at any moment: here as soon as it was seen."""
    records = tmp_path / "run" / "measurements" / "a-machine"
    (records / ".rep1.repeat" / "spark").mkdir(parents=True)
    (records / "rep0.json").write_text("{}")
    walk = os.walk

    def walked(top: Path):
        for folder, below, names in walk(top):
            yield folder, below, names
            assert ".repeat" not in folder and not any(".repeat" in name for name in below)

    monkeypatch.setattr(measure_elsewhere.os, "walk", walked)
    assert measure_elsewhere.pack(tmp_path / "run", tmp_path / "records.tgz") == 1
    assert packed(tmp_path).keys() == {"measurements/a-machine/rep0.json"}


def test_without_a_bundle_there_is_one_line(tmp_path):
    with pytest.raises(SystemExit, match="git bundle create"):
        run(tmp_path, "full")


def test_the_job_definition_asks_for_this_script_on_one_node_with_the_scala_of_the_jars():
    job = json.loads((HOME / "resources" / "databricks" / "job.json").read_text())
    (task,) = job["tasks"]
    asked = measure_elsewhere.parse(task["spark_python_task"]["parameters"])
    assert Path(task["spark_python_task"]["python_file"]).name == Path(measure_elsewhere.__file__).name
    assert (HOME / asked.options[asked.options.index("--configfile") + 1]).exists()
    assert 60 * asked.minutes + 600 < job["timeout_seconds"], "installing, packing and stopping take their time too"
    assert task["new_cluster"]["is_single_node"] and task["new_cluster"]["kind"] == "CLASSIC_PREVIEW"
    locked = (HOME / "envs" / "jars" / "onnx-cpu" / "jgo.toml").read_text()
    assert "spark-nlp_2.12" in locked and task["new_cluster"]["spark_version"].endswith("-scala2.12")
