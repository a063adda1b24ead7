"""What more images would take: the numbers that page and workbook begin with, and how many machines are needed."""

from __future__ import annotations

import math

# Images that the projection begins with, and hours until which they should be done (the article's scale).
IMAGES, DEADLINE = 40_000_000, 48.0


def machines(images: float, fixed: float, each: float, hours: float) -> int | None:
    """The fewest machines, each of which starts once, that are done in time; None where starting takes longer.

    Args:
        fixed: seconds until a machine takes its first image.
        each: seconds an image.
        hours: the deadline.
    """
    left = hours * 3600 - fixed
    return max(1, math.ceil(images * each / left - 1e-9)) if left > 0 else None
