"""Which vitbench this is."""

from __future__ import annotations

import subprocess

from vitbench.files import HOME


def describe_checkout() -> str:
    """What git calls this version of vitbench; empty outside a git checkout."""
    found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HOME, capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else ""
