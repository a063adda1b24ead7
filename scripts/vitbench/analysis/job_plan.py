"""The plan of a job: how many machines finish so many images by a deadline, for how much money."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas

from vitbench import tables
from vitbench.analysis.cost import MONEY, TIME, cheapest, paid
from vitbench.analysis.jobs import Job
from vitbench.analysis.prices import Price, price_of
from vitbench.analysis.total_time import Estimate


def job_plan(jobs: Sequence[Job], prices: dict[str, Price], images: int, deadline: float) -> pandas.DataFrame:
    """A row a job and number of machines (`tables.COLUMNS["plan"]`), fewest first: all of it projection.

    What was measured is taken so many times (`times`), each with an equal part of the images and none in the way of
    another. A number of workers, or a batch size, that was not measured is in no row. `hours` hold the start of the
    machines, where it is known. `fewest` marks the fewest machines that are done in time even at the upper end of the
    range; numbers of machines double up to twice the most of these. `answer`: of the rows so marked the least money,
    and on as many machines the least time.

    Args:
        images: how many, in all.
        deadline: hours until which they are to be done.
    """
    enough = {place: _fewest(job, prices, images, deadline) for place, job in enumerate(jobs)}
    most = 2 * max([jobs[place].machines * count for place, count in enough.items() if count] or [1])
    rows: dict[tuple[int, int], dict[str, Any]] = {}

    def add(place: int, count: int) -> dict[str, Any]:
        if (place, count) not in rows:
            rows[place, count] = _row(jobs[place], count, prices, images, deadline)
        return rows[place, count]

    for place, job in enumerate(jobs):
        count = 1
        while count == 1 or count * job.machines <= most:
            add(place, count)
            count *= 2
        if enough[place]:
            add(place, enough[place])["fewest"] = "yes"
    chosen = cheapest([row for row in rows.values() if row["fewest"] and not row["doubt"]])
    if chosen:
        chosen["answer"] = MONEY
        alike = [
            add(place, chosen["machines"] // job.machines)
            for place, job in enumerate(jobs)
            if not job.doubt and job.machines <= chosen["machines"]
        ]
        fastest = min((row for row in alike if row["in_time"] == "yes"), key=lambda row: row["hours"])
        fastest["answer"] = f"{MONEY}; {TIME}" if fastest is chosen else TIME
    ordered = [rows[key] for key in sorted(rows)]
    return pandas.DataFrame(ordered, columns=list(tables.COLUMNS["plan"]))


def fewest(enough: Callable[[int], bool], most: int) -> int | None:
    """The least number from 1 to `most` that is enough, where more never is worse; None where none is."""
    low, high = 0, 1
    while not enough(high):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _hours(job: Job, count: int, prices: dict[str, Price], images: int) -> Estimate:
    """Hours until the last image, the machines' start included where it is known."""
    start = (price_of(prices, job.hardware).start_minutes or 0.0) / 60
    found = job.hours(images / count)
    return Estimate(start + found.value, start + found.low, start + found.high)


def _latest(hours: Estimate) -> float:
    """The upper end of a range, or what there is."""
    return hours.high if math.isfinite(hours.high) else hours.value


def _fewest(job: Job, prices: dict[str, Price], images: int, deadline: float) -> int | None:
    return fewest(lambda count: _latest(_hours(job, count, prices, images)) <= deadline, images)


def _row(
    job: Job, count: int, prices: dict[str, Price], images: int, deadline: float
) -> dict[str, Any]:  # fmt: skip
    hours = _hours(job, count, prices, images)
    row = {"source": job.source, **job.cell, "images": images, "deadline_hours": deadline, "times": count}
    row |= {"hours": hours.value, "hours_low": hours.low, "hours_high": hours.high, "hours_from": job.hours_from}
    row |= {"in_time": "yes" if _latest(hours) <= deadline else "no", "measured_images": job.measured}
    return row | paid(job, job.hours(images / count), job.machines * count, prices) | {"fewest": "", "answer": ""}
