"""What surrounds Snakemake: another project's profile and environment, other machines, folders, other workflows."""

import os
import shutil
import subprocess

import bad_inputs
import pytest
import tree as trees
from surroundings import BROUGHT, MAY_MOUNT, MOUNTED, MOUNTS, STARTS_SNAKEMAKE, run
from tree import ROOT, Tree

pytestmark = pytest.mark.ci

# What a line must say at least, whatever else it says: by the beginning of what was brought.
WORDS = {
    "`SPARK_HOME`": "left out of this run: HADOOP_CONF_DIR, SPARK_HOME, _JAVA_OPTIONS",
    "`PYTHONPATH`": "PYTHONPATH brings another yaml",
    "`SNAKEMAKE_PROFILE`": "the executor elsewhere was asked for",
    "… as an option": "the executor elsewhere was asked for",
    "… that wants conda": "there is no conda here",
    "… by its older name": "there is no conda here",
    "a disk": "is mounted noexec",
    "… read-only": "nothing can be written to",
}


@pytest.mark.parametrize(
    "given", [pytest.param(one, marks=MAY_MOUNT if one in MOUNTS else ()) for one in STARTS_SNAKEMAKE]
)
def test_what_surrounds_a_run_gets_the_line_that_the_documentation_has(given):
    line = bad_inputs.message(BROUGHT[given])
    words = next((words for begin, words in WORDS.items() if given.startswith(begin)), "in a folder's name")
    assert words in line
    assert bad_inputs.row(given, line) + "\n" == bad_inputs.written_of(given)


@MAY_MOUNT
def test_a_disk_that_is_too_small_is_said_at_the_start(tmp_path):
    (disk := tmp_path / "disk").mkdir()
    mounted = [*MOUNTED, str(disk), "size=20m"]
    status, said, output = run(tmp_path, "prepare", "--directory", str(disk), before=mounted)
    assert status == 1 and "are needed" in said[-1] and "Traceback" not in output, output[-3000:]


# --- folders ------------------------------------------------------------------------------------------------------


def test_hugging_face_alone_works_in_it(tmp_path):
    folder = tmp_path / "a,b [1]"
    folder.mkdir()
    (folder / "mine.yaml").write_text("frameworks: [huggingface/pipeline]\n")
    planned = trees.Tree(folder).planned(
        *("--snakefile", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "config" / "smoke.yaml")),
        str(folder / "mine.yaml"),
    )
    assert planned["measure"] == 4  # two batch sizes, the full run and its control


# --- a module of another workflow ---------------------------------------------------------------------------------

MODULE = """
configfile: "config/config.yaml"

module vitbench:
    snakefile: {snakefile}
    config: config

use rule * from vitbench

rule theirs:
    output: "theirs.txt"
    shell: "echo $SPARK_HOME > {{output}}"
"""


@pytest.fixture(params=["of this disk", "of GitHub"])
def deployed(request, tmp_path, monkeypatch) -> Tree:
    """What a deployment of a workflow as a module makes: its config/, and a Snakefile that uses all of its rules.

    From GitHub, Snakemake takes it out of a clone in its cache, which is made here beforehand.
    """
    folder = tmp_path / "deployed"
    shutil.copytree(ROOT / "config", folder / "config")
    snakefile = repr(str(ROOT / "Snakefile"))
    if request.param == "of GitHub":
        snakefile = 'github("somebody/vitbench", path="Snakefile", tag="v0")'
        source = trees.clone(tmp_path / "source").root
        cache = tmp_path / "cache/snakemake/snakemake/source-cache/snakemake-git-cache/github.com/somebody/vitbench"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        somebody = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
        for command in (["init", "-q"], ["add", "-A"], [*somebody, "commit", "-qm", "all"], ["tag", "v0"]):
            subprocess.run(["git", *command], cwd=source, check=True)
        subprocess.run(["git", "clone", "-q", "--bare", source, cache], check=True)
    (folder / "Snakefile").write_text(MODULE.format(snakefile=snakefile))
    return Tree(folder)


def test_as_a_module_it_is_planned_and_drawn_and_the_other_workflows_environment_stays_its_own(deployed):
    planned = deployed.planned("--cores", "all")
    assert planned["measure"] > 0 and planned["plot_speedup"] == 1 and "theirs" not in planned
    made = ("reports/published/speedup.png", "reports/published/benchmark.xlsx")
    deployed.snakemake("--cores", "all", "theirs.txt", *made, SPARK_HOME="/opt/spark")
    assert all((deployed.root / name).stat().st_size > 5000 for name in made)
    assert (deployed.root / "theirs.txt").read_text() == "/opt/spark\n"


# --- make ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SNAKEMAKE_PROFILE", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"])
def test_make_gives_nobody_anothers_settings(tmp_path, name):
    told = tmp_path / "told"
    (tmp_path / "python").write_text(f'#!/bin/sh\nenv > "{told}"\n')
    (tmp_path / "python").chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    command = ["make", "-f", str(ROOT / "Makefile"), "doctor", f"PYTHON={tmp_path / 'python'}"]
    done = subprocess.run(command, cwd=tmp_path, env=clean | {name: "/theirs", "https_proxy": "http://proxy"})
    assert done.returncode == 0
    variables = dict(line.partition("=")[::2] for line in told.read_text().splitlines())
    assert name not in variables and variables["https_proxy"] == "http://proxy"
