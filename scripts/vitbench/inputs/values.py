"""Values in a JSON file that anybody may have written, each in its several spellings."""

from __future__ import annotations

import json
import math
import re
from typing import Any


def whole(value: Any) -> int | None:
    """A number that is written as 96, 96.0 or "96"; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def sides(value: Any) -> tuple[int, int] | None:
    """Height and width that are given as one number, two, or a mapping; None for anything else."""
    if isinstance(value, dict):
        value = [value.get("height"), value.get("width")]
    if not isinstance(value, (list, tuple)):
        value = [value]
    numbers = [whole(one) for one in value]
    if not 1 <= len(numbers) <= 2 or not all(numbers) or min(numbers) < 1:
        return None
    return numbers[0], numbers[-1]


def number(value: Any) -> float | None:
    """A finite number, which may be written as text; None for anything else."""
    try:
        found = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def shown(value: Any) -> str:
    """A value from a file that anybody may have written, in one short line."""
    return json.dumps(value, ensure_ascii=False)[:60]
