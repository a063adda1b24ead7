"""What is dear to make and only read: made once in a run of the tests, on whichever worker asks first."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def once(factory: Any, name: str, make: Callable[[Path], Any]) -> Path:
    """The folder that `make` fills, which is made beside the workers' own; nobody may write into it afterwards.

    Args:
        factory: pytest's tmp_path_factory.
        make: gets the new, empty folder.
    """
    base = factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once" / name
    shared.mkdir(parents=True, exist_ok=True)
    whole = shared / "whole"
    with open(shared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            partial = shared / "partial"
            partial.mkdir()
            make(partial)
            partial.rename(whole)
    return whole
