"""A run that is killed in mid-measurement loses that repeat and nothing else, and leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import time

import tree
import unlock
from tree import found, living, processes_of

# Seconds to wait for what must happen: a neighbour may be busy, or hold the machine's lock to measure.
PATIENCE = 600


def wait_until(condition, seconds):
    """Wait for a condition; fails if it has not come true by then."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)
    return value


def recorded(folder):
    """The records of a run, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in found(folder / "measurements", "rep0.json")}


def test_sigkill_of_snakemake_in_mid_spark(smoke, tmp_path):
    folder = tmp_path / "a killed run"
    folder.mkdir()
    (folder / "resources").symlink_to(smoke / "resources")
    (folder / "more.yaml").write_text("frameworks: [huggingface/pipeline, sparknlp/onnx]\nbatch_sizes: [4]\n")
    # What comes before that repeat is there already.
    shutil.copytree(smoke / "measurements", folder / "measurements", ignore=shutil.ignore_patterns("sparknlp"))
    (folder / "results/provenance").mkdir(parents=True)
    shutil.copy(smoke / "results/provenance/spark-onnx-cpu.json", folder / "results/provenance")
    command = [sys.executable, "-m", "snakemake", "--snakefile", tree.ROOT / "Snakefile", "sweep"]
    configuration = ["--configfile", tree.ROOT / "config/smoke.yaml", folder / "more.yaml"]
    with open(folder / "output.txt", "w") as output:
        run = subprocess.Popen([*command, *configuration], cwd=folder, stdout=output, stderr=output)
    java = wait_until(lambda: living(processes_of(folder), lambda one: one.name() == "java"), PATIENCE)
    done = recorded(folder)
    assert {path.parts[-6] for path in done} == {"huggingface"}
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    wait_until(lambda: not processes_of(folder), PATIENCE)
    # Dead, though perhaps not yet collected: a container's first process need not do that.
    assert not living(java)
    wait_until(lambda: not found(folder, ".*.repeat"), PATIENCE)
    assert recorded(folder) == done

    assert unlock.lock_files(folder)
    tree.smoke(folder, "sweep", fails=True)
    subprocess.run([sys.executable, unlock.__file__, "--directory", folder], cwd=tree.ROOT, check=True)
    tree.smoke(folder, "sweep")
    after = recorded(folder)
    assert len(after) == len(done) + 1 and after.items() >= done.items()
    assert not processes_of(folder)
