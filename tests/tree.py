"""A copy of the workflow in a folder of its own, as a clone has it, and Snakemake run in it or from the checkout."""

import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from vitbench.measure.processes import MARK

ROOT = Path(__file__).resolve().parents[1]


@cache
def _warm() -> subprocess.Popen:
    """The process of tests/warm.py, one for all tests of this process; it ends with it."""
    command = [sys.executable, str(ROOT / "tests" / "warm.py")]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run_warm(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and whole output of Snakemake in a folder, in the environment of the tests."""
    with tempfile.NamedTemporaryFile("r") as output:
        asked = {"folder": str(folder), "arguments": arguments, "environment": dict(os.environ)}
        _warm().stdin.write(json.dumps(asked | {"output": output.name}) + "\n")
        _warm().stdin.flush()
        return int(_warm().stdout.readline()), output.read()


class Tree:
    """A copy of the checkout, and what Snakemake says in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *arguments: str, before: tuple[str, ...] = (), **variables: str) -> tuple[int, str]:
        """Exit status and whole output of Snakemake in the tree, started by the command `before`."""
        done = subprocess.run(
            [*before, sys.executable, "-m", "snakemake", *arguments],
            cwd=self.root,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def snakemake(self, *arguments: str, fails: bool = False, **how: Any) -> str:
        """Run Snakemake in the tree, which works, or fails as expected; its whole output. `how`: as for `run`."""
        # What plans or refuses is run warm. What makes things is not: the order of a set is another one in each
        # process, and must be none of what Snakemake remembers.
        warm = not how and (fails or "--dry-run" in arguments)
        status, output = run_warm(self.root, *arguments) if warm else self.run(*arguments, **how)
        assert (status != 0) == fails, output[-6000:]
        return output

    def planned(self, *arguments: str, **how: Any) -> dict[str, int]:
        """Rule → number of jobs that a dry run plans; empty if there is nothing to do."""
        output = self.snakemake("--dry-run", *arguments, **how)
        if "Nothing to be done" in output:
            return {}
        table = output.split("Job stats:")[1].split("\n\n")[0]
        rows = re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)
        return {rule: int(count) for rule, count in rows if rule not in ("all", "total")}

    def makes(self, path: str) -> bool:
        """Whether a dry run knows how to make a file."""
        return run_warm(self.root, "--dry-run", "--quiet", "all", "--", path)[0] == 0

    def copy(self, to: Path) -> "Tree":
        shutil.copytree(self.root, to, symlinks=True)
        return Tree(to)


def found(root: Path, pattern: str) -> list[Path]:
    """The files and folders below `root` of such a name, also while others come and go beside them.

    `Path.glob` makes an error of a folder that goes while it looks (in Python 3.11).
    """
    return [
        Path(folder, name)
        for folder, folders, names in os.walk(root)
        for name in fnmatch.filter([*folders, *names], pattern)
    ]


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
            shutil.copytree(folder, compiled, ignore=shutil.ignore_patterns("*.pyc.*"))
    return Tree(to)


def smoke_options(folder: Path) -> list[str]:
    """Snakemake's options for this checkout's workflow on config/smoke.yaml and what more.yaml in `folder` changes."""
    more = [str(path) for path in folder.glob("more.yaml")]
    return ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "config" / "smoke.yaml"), *more]


def smoke(folder: Path, *arguments: str, **how: Any) -> str:
    """Run the workflow in `folder` with these options; its output. `how`: as for `Tree.snakemake`."""
    return Tree(folder).snakemake(*arguments, *smoke_options(folder), **how)


def hear_signals() -> None:
    """For `preexec_fn`: what stops a process does so again. Tests that run in the background, or under nohup, were told
    to ignore some signals, and would hand that on."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def answers_of(processes: Iterable[psutil.Process], question: Callable[[psutil.Process], Any]) -> list[Any]:
    """What each of the processes that live answers to a question; one that ends before it has answered is left out.

    Any process may end between a list of processes and a question to one of them, and psutil makes an error of that.
    """
    answers = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                answers.append(question(process))
        except psutil.Error:  # gone meanwhile, or another user's
            continue
    return answers


def living(
    processes: Iterable[psutil.Process], condition: Callable[[psutil.Process], Any] = lambda _: True
) -> list[psutil.Process]:
    """Those of the processes that live and meet a condition."""
    asked = answers_of(processes, lambda process: (process, condition(process)))
    return [process for process, fits in asked if fits]


def processes_of(folder: Path) -> list[psutil.Process]:
    """Processes that a repeat below `folder` started, and that still live."""
    return living(psutil.process_iter(), lambda one: str(folder) in one.environ().get(MARK, ""))
