"""Take away the lock that a killed Snakemake left in its folder; refuse where one is still at work there.

`make` calls it before Snakemake. What a killed run left half done is Snakemake's and measure.py's own affair.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import psutil

from vitbench.errors import UserError, exit_with_user_errors


def lock_files(folder: Path) -> list[Path]:
    """The lock files of Snakemake in a working directory."""
    return sorted((folder / ".snakemake" / "locks").glob("*.lock"))


def running_in(folder: Path) -> int | None:
    """Number of a live process of Snakemake that works in `folder`, other than this one and what started it.

    A killed run's children (jobs) can outlive it; they bear the word in their command line or not, but they hold
    no lock: only a process that was started as Snakemake counts.
    """
    folder = folder.resolve()
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            if process.pid in own or process.status() == psutil.STATUS_ZOMBIE or not is_snakemake(process.cmdline()):
                continue
            if Path(process.cwd()).resolve() == folder:
                return process.pid
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # gone meanwhile, or another user's: it cannot be at work in our folder
    return None


def is_snakemake(command: list[str]) -> bool:
    """Whether a command line starts Snakemake: `snakemake …`, `python …/bin/snakemake …` or `python -m snakemake …`."""
    names = [Path(word).name for word in command[:6]]
    if names and names[0] == "snakemake":
        return True
    if not names or not names[0].lower().startswith("python"):
        return False
    for place, word in enumerate(command[1:6], start=1):
        if word == "-m":
            return command[place + 1 : place + 2] == ["snakemake"]
        if not word.startswith("-"):
            return names[place] == "snakemake"
    return False


def unlock(folder: Path, snakemake: list[str]) -> bool:
    """Remove a stale lock in `folder` by running `snakemake --unlock`; False if there was none.

    Raises:
        UserError: a run is going on there, or Snakemake could not remove the lock.
    """
    if not lock_files(folder):
        return False
    process = running_in(folder)
    if process is not None:
        raise UserError(f"a run is already going on in {folder} (process {process}): wait for it or stop it")
    answer = subprocess.run([*snakemake, "--unlock"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if answer.returncode != 0:
        raise UserError(
            f"a lock was left in {folder}, and Snakemake cannot remove it ({_last_line(answer.stdout)}): "
            f"when no run is going on there, delete {folder / '.snakemake' / 'locks'}"
        )
    print(f"vitbench: removed the lock that a killed run left in {folder}")
    return True


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


def main() -> None:
    """Command line: the options with which Snakemake is about to be started go on to `snakemake --unlock`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", "-d", type=Path, help="Snakemake's working directory, if not this one")
    options, others = parser.parse_known_args()
    directory = ["--directory", str(options.directory)] if options.directory else []
    unlock(options.directory or Path.cwd(), [sys.executable, "-m", "snakemake", "--cores", "1", *directory, *others])


if __name__ == "__main__":
    exit_with_user_errors(main)
