"""What surrounds Snakemake: another project's profile and environment, other machines, folders, other workflows."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tree as trees
from tree import ROOT, Tree

HERE = Path(__file__).parent
# In a namespace of its own, anybody may mount a disk.
MOUNTED = [
    "unshare",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"',
]
MAY_MOUNT = pytest.mark.skipif(
    subprocess.run([*MOUNTED, "sh", "size=1m", "/mnt", "true"], capture_output=True).returncode != 0,
    reason="this system lets nobody mount a disk of their own (unshare)",
)


def lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("vitbench: ")]


def run(folder: Path, *arguments: str, before=(), **variables: str) -> tuple[int, list[str], str]:
    """Exit status, our lines, and all output of this checkout's Snakefile in `folder`."""
    command = [*before, sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "all"]
    done = subprocess.run(
        [*command, *arguments, "--configfile", str(ROOT / "config" / "smoke.yaml")],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    return done.returncode, lines(done.stderr), done.stdout + done.stderr


def profile(folder: Path, text: str) -> str:
    folder.mkdir()
    (folder / "config.yaml").write_text(text)
    return str(folder)


# --- a profile of another project ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["profile", "option"])
def test_measurements_never_go_to_another_machine(tmp_path, how):
    """The executor is found by its name; tests/ may stand in PYTHONPATH."""
    given = {"SNAKEMAKE_PROFILE": profile(tmp_path / "theirs", "executor: elsewhere\njobs: 10\n")}
    status, said, output = run(
        tmp_path,
        *(["--executor", "elsewhere", "--jobs", "10"] if how == "option" else []),
        PYTHONPATH=str(HERE / "elsewhere"),
        **(given if how == "profile" else {}),
    )
    assert status == 1 and "measurements belong to this one" in said[-1], output[-3000:]
    assert "Traceback" not in output and "was sent elsewhere" not in output
    assert not (tmp_path / "measurements").exists()


@pytest.mark.parametrize("setting", ["software-deployment-method: conda", "use-conda: true"])
def test_a_profile_that_wants_conda_is_named_before_conda_is_missed(tmp_path, setting):
    theirs = profile(tmp_path / "theirs", f"{setting}\n")
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    assert shutil.which("conda", path=path) is None
    status, said, output = run(tmp_path, "prepare", SNAKEMAKE_PROFILE=theirs, PATH=path)
    assert status == 1 and theirs in said[0] and "there is no conda here" in said[1], output[-3000:]
    assert "command not found" not in output and "Traceback" not in output


# --- the environment ----------------------------------------------------------------------------------------------


def test_what_is_left_out_of_a_run_is_said_and_the_jobs_do_not_see_it(tmp_path):
    (tmp_path / "theirs" / "yaml").mkdir(parents=True)
    (tmp_path / "theirs" / "yaml" / "__init__.py").write_text("raise ImportError('another yaml')\n")
    brought = {"SPARK_HOME": "/opt/spark", "_JAVA_OPTIONS": "-Xmx1m", "HADOOP_CONF_DIR": "/etc/hadoop"}
    status, said, output = run(tmp_path, "results/provenance/config.yaml", **brought)
    assert status == 0, output[-3000:]
    assert said[0] == "vitbench: left out of this run: HADOOP_CONF_DIR, SPARK_HOME, _JAVA_OPTIONS"


def test_a_package_of_pythonpath_that_snakemake_itself_has_loaded_is_named(tmp_path):
    """With it, nobody knows which Snakemake plans the run."""
    theirs = tmp_path / "theirs"
    shutil.copytree(Path(sys.modules["yaml"].__file__).parent, theirs / "yaml")
    status, said, output = run(tmp_path, "results/provenance/config.yaml", PYTHONPATH=str(theirs))
    assert status == 1 and said[-1].startswith("vitbench: PYTHONPATH brings another yaml"), output[-3000:]


# --- folders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a,b", "what?", "[1]", "a#b"])
def test_a_working_directory_with_an_odd_name_is_refused_before_anything_is_prepared(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    status, said, output = run(folder, "prepare")
    assert status == 1 and "in a folder's name" in said[-1], output[-3000:]
    assert sorted(path.name for path in folder.iterdir() if path.name != ".snakemake") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_hugging_face_alone_works_in_it(tmp_path):
    folder = tmp_path / "a,b [1]"
    folder.mkdir()
    (folder / "mine.yaml").write_text("frameworks: [huggingface/pipeline]\n")
    planned = trees.Tree(folder).planned(
        *("--snakefile", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "config" / "smoke.yaml")),
        str(folder / "mine.yaml"),
    )
    assert planned["measure"] == 4  # two batch sizes, the full run and its control


@MAY_MOUNT
@pytest.mark.parametrize(
    ("options", "words"),
    [("ro", "nothing can be written to"), ("noexec", "is mounted noexec"), ("size=20m", "are needed")],
)
def test_a_disk_that_cannot_be_worked_on_is_one_line_at_the_start(tmp_path, options, words):
    (disk := tmp_path / "disk").mkdir()
    mounted = [*MOUNTED, "sh", options, str(disk)]
    status, said, output = run(tmp_path, "prepare", "--directory", str(disk), before=mounted)
    assert status == 1 and words in said[-1], output[-3000:]
    assert "Traceback" not in output


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
