"""Which vitbench this is."""

from __future__ import annotations

import subprocess
from pathlib import Path

from vitbench.files import HOME


def describe_checkout() -> str:
    """What git calls this version of vitbench; empty outside a git checkout, inside one of something else, and
    without git.

    A copy without its .git may lie in another project's, as a module of a workflow does.
    """
    around = _git("rev-parse", "--show-toplevel")
    return _git("describe", "--always", "--dirty") if around and Path(around).resolve() == HOME.resolve() else ""


def _git(*arguments: str) -> str:
    try:
        found = subprocess.run(["git", *arguments], cwd=HOME, capture_output=True, text=True)
    except OSError:  # a machine that measures need not have git
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
