"""The one exception that a user is meant to read, and what of a text goes into no record."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress

from vitbench import progress

# Error of a disk → what the user can do. None is a mistake in vitbench, and no file is left half-written.
DISK = {
    errno.ENOSPC: "free some room, or run with --directory on another disk",
    errno.EDQUOT: "free some of your quota, or run with --directory on another disk",
    errno.EROFS: "run with --directory on a disk that can be written to",
    errno.EACCES: "give yourself the right to write there, or run with --directory elsewhere",
    errno.EPERM: "give yourself the right to write there, or run with --directory elsewhere",
    errno.EIO: "the disk or its connection fails: look at the system's log",
}
# These two tell of a disk only where they name a file.
RIGHTS = (errno.EACCES, errno.EPERM)


# How Spark and YARN name a node: "(10.1.2.3 executor 1)", "on host: node-7.example", "10.1.2.3:7077".
_NODES = (
    (re.compile(r"\(\S+ executor (\w+)\)"), r"(executor \1)"),
    (re.compile(r"\b(on host:?) [\w.-]+"), r"\1 …"),
    (re.compile(r"\b(?!127\.)\d{1,3}(\.\d{1,3}){3}\b(:\d+)?"), "…"),
)


def without_nodes(text: str) -> str:
    """A text without the hosts and addresses of a cluster's nodes, which no record names; this machine's own stays."""
    for pattern, instead in _NODES:
        text = pattern.sub(instead, text)
    return text


class UserError(Exception):
    """Bad input or a missing part, said in one line: what is wrong, where, and what to do."""


def one_line(error: BaseException) -> str:
    """What an exception of somebody else's library says, to stand in a line of ours: 200 characters at most."""
    return " ".join(str(error).split())[:200]


def disk_problem(error: BaseException | None) -> str | None:
    """What an exception says of a disk, in one line with what to do; None where it, and what caused it, say nothing."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK and (error.filename or error.errno not in RIGHTS):
            where = f"{error.filename}: " if error.filename else ""
            return f"{where}{error.strerror}: {DISK[error.errno]}, then run again; what is there stays as it is"
        error = error.__cause__ or error.__context__
    return None


def exit_with_user_errors(main: Callable[[], int | None]) -> None:
    """Run an entry point in the environment that every process of ours has (`vitbench.environment`).

    A `UserError`, or a disk that takes no more, becomes one line on standard error and exit status 1, no traceback.
    """
    from vitbench import environment  # it says what it finds with the exception above

    try:
        environment.adopt()
        status = main()
    except UserError as error:
        print(f"vitbench: {error}", file=sys.stderr)
        status = 1
    except Exception as error:
        if (line := disk_problem(error)) is None:
            raise
        # The log may lie on that disk: then nobody would read it there.
        for stream in filter(None, (progress.terminal, sys.stderr)):
            with suppress(OSError):
                print(f"vitbench: {line}", file=stream, flush=True)
        status = 1
    sys.exit(status)


def run_logged(log: str, main: Callable[..., None], *arguments: object) -> None:
    """Run the `main` of a Snakemake `script:` with all its output, native libraries' too, in its log file."""
    progress.keep_terminal()
    with open(log, "w") as handle:
        os.dup2(handle.fileno(), 1)
        os.dup2(handle.fileno(), 2)
    exit_with_user_errors(lambda: main(*arguments))
