"""The moments at which verdicts could be read, kept beside the records: what was seen cannot be unseen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitbench.cells import LEAST_BLOCKS
from vitbench.errors import UserError
from vitbench.files import write_atomically


def earlier(path: Path, blocks: int) -> list[dict[str, int]]:
    """The looks (blocks, most_repeats) that were taken with fewer blocks than these, fewest first.

    Raises:
        UserError: the file is not what `record` writes.
    """
    return [look for look in _read(path) if look["blocks"] < blocks]


def most(path: Path) -> int:
    """The most blocks whose verdicts could be read; 0 where none could.

    Raises:
        UserError: as of `earlier`.
    """
    return max((look["blocks"] for look in _read(path)), default=0)


def record(path: Path, blocks: int, most: int | None) -> None:
    """Note that verdicts of so many blocks could be read, unless that is noted already; too few give no verdict.

    Args:
        most: blocks up to which more may be added; None where their number was fixed, which spends everything.
    """
    looks = _read(path)
    if blocks < LEAST_BLOCKS or any(look["blocks"] == blocks for look in looks):
        return
    looks.append({"blocks": blocks, "most_repeats": most or blocks})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(sorted(looks, key=lambda look: look["blocks"]), indent=1) + "\n")


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        looks = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(look, Mapping) and look["blocks"] > 0 and look["most_repeats"] > 0 for look in looks):
            return looks
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UserError(f"{path} is not the list of looks that a run wrote; restore it, or use another --directory")
