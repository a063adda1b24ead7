"""The workflow as scripts run it: each step of theirs is an ordinary run, under a configuration of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from vitbench.files import HOME, write_atomically


def say(who: str, words: str) -> None:
    """Write a line of a script for its user, among Snakemake's own."""
    print(f"vitbench: {who}: {words}", file=sys.stderr, flush=True)


def run(targets: Sequence[str | Path], *options: str | Path, folder: Path | None = None) -> None:
    """Run Snakemake on this checkout's workflow; whoever asked ends with its exit status where it fails.

    Ctrl-C reaches Snakemake by itself, as all processes of the terminal, and is waited for: it stops its jobs, says how
    to go on and takes its lock away, which takes a second or more.

    Args:
        folder: where it is started, from which relative paths among the options are meant; here if left out.
    Raises:
        SystemExit: Snakemake failed, or Ctrl-C was pressed.
    """
    # Targets first: an option that takes several values would swallow them.
    command = [sys.executable, "-m", "snakemake", *targets, "--snakefile", HOME / "Snakefile", *options]
    # Not `subprocess.run`, which kills what has not ended a quarter of a second after Ctrl-C.
    child = subprocess.Popen(list(map(str, command)), cwd=folder)
    stopped, status = False, None
    while status is None:
        try:
            status = child.wait()
        except KeyboardInterrupt:
            stopped = True
    if status or stopped:
        # One that had just ended well was stopped all the same: nothing comes after it.
        raise SystemExit(status or 128 + signal.SIGINT)


def write_step(path: Path, config: dict[str, Any]) -> None:
    """Write the configuration of a step, as `--configfile` takes it."""
    write_atomically(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
