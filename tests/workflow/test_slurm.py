"""Jobs through Slurm's executor plugin, with a stand-in for Slurm's commands whose node has one core of this machine.

The plugin is in no lock of ours: VITBENCH_SLURM names a folder in which it is installed, as .ci/run does.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tree import ROOT, clone

from vitbench import machine

STAND_IN = ROOT / "tests" / "slurm" / "stand_in.py"
COMMANDS = ("sbatch", "srun", "squeue", "sacct", "sinfo", "scontrol", "sacctmgr", "sshare", "scancel")
PLUGIN = os.environ.get("VITBENCH_SLURM")
# What has a node to itself.
ALONE = {"check_ready", "measure_peak", "measure", "profile_cell"}
PROFILE = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())

pytestmark = [
    pytest.mark.ci,
    pytest.mark.skipif(not PLUGIN, reason="VITBENCH_SLURM names no folder with the executor plugin for Slurm"),
]


class Cluster:
    """A clone on a login node, and a node to which Slurm sends its jobs."""

    def __init__(self, folder: Path) -> None:
        self.tree = clone(folder / "clone")
        self.notes, self.commands = folder / "notes", folder / "commands"
        self.notes.mkdir()
        self.commands.mkdir()
        for command in COMMANDS:
            (self.commands / command).write_text(f"#!{sys.executable}\n{STAND_IN.read_text()}")
            (self.commands / command).chmod(0o755)
        # PYTHONPATH may name what lies in a checkout's tests/, and nothing else.
        shutil.copytree(PLUGIN, self.tree.root / "tests" / "plugins")
        (self.tree.root / "mine.yaml").write_text(f"frameworks: [huggingface/pipeline]\nmachine: {self.node_id()}\n")

    def node_id(self) -> str:
        """The machine's id as the node tells it, asked as docs/slurm.md says."""
        page = (ROOT / "docs" / "slurm.md").read_text()
        command = page.split("srun ")[1].split("\n```")[0].replace("\\\n", " ")
        asked = command[command.index("-c '") + 4 : command.rindex("'")]
        one_core = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]
        done = subprocess.run([*one_core, sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    def snakemake(self, *arguments: str, fails: bool = False) -> str:
        options = ["--workflow-profile", "profiles/slurm", "--configfile", "config/smoke.yaml", "mine.yaml"]
        quick = ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"]
        return self.tree.snakemake(
            *arguments,
            *options,
            *quick,
            *("--cores", "1", "--latency-wait", "5"),
            fails=fails,
            PATH=os.pathsep.join([str(self.commands), os.environ["PATH"]]),
            PYTHONPATH=str(self.tree.root / "tests" / "plugins"),
            STAND_IN_NOTES=str(self.notes),
        )

    def missing_record(self) -> str:
        """Path of a first repeat that a dry run would measure."""
        words = (word.rstrip(",") for word in self.snakemake("--dry-run", "sweep").split())
        return next(word for word in words if word.endswith("/rep0.json"))

    def jobs(self) -> list[tuple[str, list[str], str]]:
        """(rule, what sbatch was asked for, how it ended) of each job, in their order."""
        notes = sorted(self.notes.glob("*.json"), key=lambda note: int(note.stem))
        told = [json.loads(note.read_text()) for note in notes]
        comments = [one["asked"][one["asked"].index("--comment") + 1] for one in told]
        rules = [comment.removeprefix("rule_").partition("_wildcards")[0] for comment in comments]
        return [(rule, one["asked"], one["state"]) for rule, one in zip(rules, told, strict=True)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Cluster:
    return Cluster(tmp_path_factory.mktemp("slurm"))


def lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("vitbench: ")]


def test_the_machine_of_the_login_node_is_not_taken_for_the_one_that_measures(cluster):
    (cluster.tree.root / "auto.yaml").write_text("frameworks: [huggingface/pipeline]\n")
    output = cluster.tree.snakemake(
        *("--workflow-profile", "profiles/slurm", "--configfile", "config/smoke.yaml", "auto.yaml"),
        fails=True,
        PATH=os.pathsep.join([str(cluster.commands), os.environ["PATH"]]),
        PYTHONPATH=str(cluster.tree.root / "tests" / "plugins"),
        STAND_IN_NOTES=str(cluster.notes),
    )
    assert lines(output)[-1].startswith("vitbench: machine: auto is the machine that Snakemake runs on")
    assert not cluster.jobs() and "Traceback" not in output


def test_what_measures_has_a_node_to_itself_and_its_record_is_of_that_node(cluster):
    node = cluster.node_id()
    assert node != machine.machine_id(), "the stand-in's node must be another machine than this one"
    record = cluster.missing_record()
    assert record.startswith(f"measurements/{node}/")
    cluster.snakemake(record)
    jobs = cluster.jobs()
    assert {state for *_, state in jobs} == {"COMPLETED"}
    assert {"build_dataset", "check_ready", "measure"} <= {rule for rule, *_ in jobs}
    for rule, asked, _ in jobs:
        wanted = PROFILE["set-resources"].get(rule, PROFILE["default-resources"])
        assert ("--exclusive" in asked) == (rule in ALONE), rule
        assert ("-C" in asked) == (rule in ALONE), rule
        assert asked[asked.index("--mem") + 1] == str(wanted["mem_mb"]), rule
        assert "--cpus-per-task=1" in asked, rule
    found = json.loads((cluster.tree.root / record).read_text())
    assert found["status"] == "ok" and found["machine"] == found["environment"]["id"] == node
    assert found["quiet"]["before"]["gemm_gflops"] > 0


def test_a_job_that_shares_its_node_measures_nothing(cluster):
    another = cluster.missing_record()
    before = len(cluster.jobs())
    cluster.snakemake(another, "--set-resources", "measure:slurm_extra='--nice'", fails=True)
    rule, asked, state = cluster.jobs()[before:][-1]
    assert (rule, state) == ("measure", "FAILED") and "--exclusive" not in asked
    assert not (cluster.tree.root / another).exists()
    said = "".join(path.read_text() for path in (cluster.tree.root / "logs" / "measure").glob("*.log"))
    assert "needs a node of its own" in said and "says OK" in said
