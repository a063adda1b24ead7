"""A copy of the workflow in a folder of its own, as a clone has it, and Snakemake run in it or from the checkout."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from vitbench.measure.processes import MARK

ROOT = Path(__file__).resolve().parents[1]


class Tree:
    """A copy of the checkout, and what Snakemake says in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def snakemake(self, *arguments: str, check: bool = True, **variables: str) -> str:
        """Run Snakemake in the tree; its whole output."""
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.root,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert not check or done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def planned(self, *arguments: str) -> dict[str, int]:
        """Rule → number of jobs that a dry run plans; empty if there is nothing to do."""
        output = self.snakemake("--dry-run", *arguments)
        if "Nothing to be done" in output:
            return {}
        table = output.split("Job stats:")[1].split("\n\n")[0]
        rows = re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)
        return {rule: int(count) for rule, count in rows if rule not in ("all", "total")}

    def copy(self, to: Path) -> "Tree":
        shutil.copytree(self.root, to, symlinks=True)
        return Tree(to)


def clone(to: Path) -> Tree:
    """What git tracks, and what it would track, copied to `to`."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listing.stdout.decode().split("\0"):
        if name and (ROOT / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)
    return Tree(to)


def smoke(folder: Path, *arguments: str, check: bool = True) -> str:
    """Run this checkout's workflow in `folder`, on config/smoke.yaml and what more.yaml there changes; its output."""
    more = [str(path) for path in folder.glob("more.yaml")]
    configuration = ["--configfile", str(ROOT / "config" / "smoke.yaml"), *more]
    return Tree(folder).snakemake("--snakefile", str(ROOT / "Snakefile"), *arguments, *configuration, check=check)


def hear_signals() -> None:
    """For `preexec_fn`: what stops a process does so again. Tests that run in the background, or under nohup, were told
    to ignore some signals, and would hand that on."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Processes that a repeat below `folder` started, and that still live."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in process.environ().get(MARK, "") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
