"""The one exception that a user is meant to read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from vitbench import progress


class UserError(Exception):
    """Bad input or a missing part, said in one line: what is wrong, where, and what to do."""


def exit_with_user_errors(main: Callable[[], int | None]) -> None:
    """Run an entry point; a `UserError` becomes one line on standard error and exit status 1, no traceback."""
    try:
        status = main()
    except UserError as error:
        print(f"vitbench: {error}", file=sys.stderr)
        status = 1
    sys.exit(status)


def run_logged(log: str, main: Callable[..., None], *arguments: object) -> None:
    """Run the `main` of a Snakemake `script:` with all its output, native libraries' too, in its log file."""
    progress.keep_terminal()
    with open(log, "w") as handle:
        os.dup2(handle.fileno(), 1)
        os.dup2(handle.fileno(), 2)
    exit_with_user_errors(lambda: main(*arguments))
