"""Worker processes of torch's `DataLoader`, the pipeline's own or ours: how many, and where their sockets lie."""

from __future__ import annotations

import multiprocessing.util
import tempfile
from pathlib import Path
from typing import Any

# The folder in which a repeat runs, by the shortest name that there is for it.
HERE = Path("/proc/self/cwd")


def number(setting: int | str, cores: int) -> int:
    """How many a variant's `loader_workers` asks for: a number, or `cores`."""
    return cores if setting == "cores" else int(setting)


def stay(variant: dict[str, Any], cores: int) -> bool:
    """Whether a variant's workers last from pass to pass, or it has none: the pipeline's begin anew with each call."""
    return "runner" in variant or not number(variant.get("loader_workers", 0), cores)


def name_sockets_shortly() -> None:
    """Have workers' sockets lie in the folder that this process runs in, by a short name.

    They would lie in TMPDIR, the folder of the repeat; its full name is longer than a socket's may be (107 bytes), and
    the workers, which hand over tensors through them, would fail without a word.
    """
    if not HERE.exists():
        return
    before, tempfile.tempdir = tempfile.tempdir, str(HERE)
    try:
        multiprocessing.util.get_temp_dir()  # what is chosen now, the workers inherit
    finally:
        tempfile.tempdir = before
