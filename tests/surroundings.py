"""What people bring around a run, each given for real: their shell, another project's profile, disks and folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from tree import ROOT

from vitbench import environment
from vitbench.errors import UserError

HERE = Path(__file__).parent
# In a namespace of its own, anybody may mount a disk: MOUNTED, its folder, its options, and a command.
MOUNTED = (
    *("unshare", "--map-root-user", "--mount", "sh", "-c"),
    'disk=$1 options=$2; shift 2; mount -t tmpfs -o "$options" tmpfs "$disk" && exec "$@"',
    "sh",
)
MAY_MOUNT = pytest.mark.skipif(
    subprocess.run([*MOUNTED, "/mnt", "size=1m", "true"], capture_output=True).returncode != 0,
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
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables,
        capture_output=True,
        text=True,
    )
    return done.returncode, lines(done.stderr), done.stdout + done.stderr


def ends_with(folder: Path, *arguments: str, status: int = 1, **given) -> None:
    """Run it as `run` does; raise the last of our lines.

    Raises:
        UserError: that line.
    """
    ended, said, output = run(folder, *arguments, **given)
    assert ended == status and said and "Traceback" not in output and "was sent elsewhere" not in output, output[-3000:]
    raise UserError(said[-1].removeprefix("vitbench: "))


def profile(folder: Path, text: str) -> str:
    folder.mkdir()
    (folder / "config.yaml").write_text(text)
    return str(folder)


def elsewhere(folder: Path, *options: str, **variables: str) -> None:
    """A run whose jobs are to go to another machine. The executor is found by its name in PYTHONPATH."""
    ends_with(folder, *options, PYTHONPATH=str(HERE / "workflow" / "elsewhere"), **variables)


def elsewhere_by_profile(folder: Path) -> None:
    elsewhere(folder, SNAKEMAKE_PROFILE=profile(folder / "theirs", "executor: elsewhere\njobs: 10\n"))


def conda(folder: Path, setting: str) -> None:
    """A profile that wants conda, where there is none."""
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    assert shutil.which("conda", path=path) is None
    ends_with(folder, "prepare", SNAKEMAKE_PROFILE=profile(folder / "theirs", f"{setting}\n"), PATH=path)


def another_yaml(folder: Path) -> None:
    """PYTHONPATH with a package that Snakemake itself loads, before any line of ours runs."""
    shutil.copytree(Path(sys.modules["yaml"].__file__).parent, folder / "theirs" / "yaml")
    ends_with(folder, "results/provenance/config.yaml", PYTHONPATH=str(folder / "theirs"))


def another_spark(folder: Path) -> None:
    """A shell that is set up for a cluster, and for another Java; the run goes on without that."""
    brought = {"SPARK_HOME": "/opt/spark", "_JAVA_OPTIONS": "-Xmx1m", "HADOOP_CONF_DIR": "/etc/hadoop"}
    ends_with(folder, "results/provenance/config.yaml", status=0, **brought)


def named(folder: Path, name: str) -> None:
    """A working directory of that name, in which nothing is left but what Snakemake itself writes."""
    (folder / name).mkdir()
    try:
        ends_with(folder / name, "prepare")
    finally:
        assert [path.name for path in (folder / name).iterdir() if path.name != ".snakemake"] == []
        assert [path.name for path in folder.iterdir()] == [name]


def on_disk(folder: Path, options: str) -> None:
    """A working directory on a disk that is mounted with these options."""
    (disk := folder / "disk").mkdir()
    ends_with(folder, "prepare", "--directory", str(disk), before=[*MOUNTED, str(disk), options])


def without_a_name(folder: Path) -> None:
    with mock.patch.object(os, "getuid", lambda: 12345), mock.patch.object(os, "getgid", lambda: 12345):
        raise UserError(environment.user_problem())


# By what a person did. Snakemake is started for all of them but the last.
BROUGHT: dict[str, Callable[[Path], None]] = {
    "`SPARK_HOME`, `HADOOP_CONF_DIR`, `_JAVA_OPTIONS` in the shell (the run goes on)": another_spark,
    "`PYTHONPATH` with another package that Snakemake has loaded": another_yaml,
    "`SNAKEMAKE_PROFILE` of another project that sends jobs elsewhere": elsewhere_by_profile,
    "… as an option": lambda folder: elsewhere(folder, "--executor", "elsewhere", "--jobs", "10"),
    "… that wants conda": lambda folder: conda(folder, "software-deployment-method: conda"),
    "… by its older name": lambda folder: conda(folder, "use-conda: true"),
    "a comma in a folder's name": lambda folder: named(folder, "a,b"),
    "… a question mark": lambda folder: named(folder, "what?"),
    "… brackets": lambda folder: named(folder, "[1]"),
    "… a number sign": lambda folder: named(folder, "a#b"),
    "a disk that is mounted noexec": lambda folder: on_disk(folder, "noexec"),
    "… read-only": lambda folder: on_disk(folder, "ro"),
    "a user id without a name": without_a_name,
}
STARTS_SNAKEMAKE = list(BROUGHT)[:-1]
# Those for which a disk is mounted.
MOUNTS = ("a disk that is mounted noexec", "… read-only")
