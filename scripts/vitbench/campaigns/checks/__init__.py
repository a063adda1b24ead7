"""Checks of records by subject; the list of all of them is `vitbench.campaigns.checker.CHECKS`.

A check takes the evidence (`vitbench.campaigns.evidence.Evidence`) and yields its reasons, one line each: file, what is
wrong, what was expected. Each limit here has its reason beside it, and in docs/campaigns.md.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

Record = dict[str, Any]


class NotChecked(Exception):
    """A check could not be made; the message says what it lacks."""


def probes(record: Record) -> dict[str, Any] | None:
    """What a record, or an attempt that was set aside, says of how quiet the machine was; None where nobody looked."""
    return record["quiet"]


def began(record: Record) -> float:
    """When a repeat began, in seconds since the epoch."""
    return datetime.fromisoformat(record["started"]).timestamp()


def first_began(record: Record) -> float:
    """When the first attempt at a repeat began."""
    return min(map(began, (record, *record["attempts"])))


def ended(record: Record) -> float:
    """When a repeat was over."""
    return began(record) + record["total_seconds"]


def short(path: str) -> str:
    """The part of a record's path that names its cell, for a line that people read."""
    return "/".join(PurePosixPath(path).parts[-6:])


def text(value: Any) -> str:
    """A value in a line that people read."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
