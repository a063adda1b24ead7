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

    def snakemake(self, *arguments: str, fails: bool = False, **variables: str) -> str:
        """Run Snakemake in the tree, which works, or fails as expected; its whole output."""
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.root,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert (done.returncode != 0) == fails, done.stdout[-6000:]
        return done.stdout

    def planned(self, *arguments: str) -> dict[str, int]:
        """Rule → number of jobs that a dry run plans; empty if there is nothing to do."""
        output = self.snakemake("--dry-run", *arguments)
        if "Nothing to be done" in output:
            return {}
        table = output.split("Job stats:")[1].split("\n\n")[0]
        rows = re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)
        return {rule: int(count) for rule, count in rows if rule not in ("all", "total")}

    def makes(self, path: str) -> bool:
        """Whether a dry run knows how to make a file."""
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "all", "--", path]
        return subprocess.run(command, cwd=self.root, capture_output=True).returncode == 0

    def copy(self, to: Path) -> "Tree":
        shutil.copytree(self.root, to, symlinks=True)
        return Tree(to)


# What a run in a clone does not read: pictures of the docs, the tests, and campaigns, which take a minute to draw.
UNREAD = ("docs/images/", "tests/", "resources/campaigns/")


def clone(to: Path, without: tuple[str, ...] = UNREAD) -> Tree:
    """What git tracks, and what it would track, copied to `to`, but for what begins with one of `without`."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listing.stdout.decode().split("\0"):
        if name and not name.startswith(without) and (ROOT / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    # What Python has compiled of the library, too: it counts for sources of the same time.
    for folder in (ROOT / "scripts").rglob("__pycache__"):
        if (compiled := to / folder.relative_to(ROOT)).parent.exists():
            shutil.copytree(folder, compiled)
    return Tree(to)


def smoke_options(folder: Path) -> list[str]:
    """Snakemake's options for this checkout's workflow on config/smoke.yaml and what more.yaml in `folder` changes."""
    more = [str(path) for path in folder.glob("more.yaml")]
    return ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "config" / "smoke.yaml"), *more]


def smoke(folder: Path, *arguments: str, fails: bool = False) -> str:
    """Run the workflow in `folder` with these options; its output."""
    return Tree(folder).snakemake(*arguments, *smoke_options(folder), fails=fails)


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
