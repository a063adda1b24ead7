"""Cost: hours and money for a million images, for each variant and number of workers that were measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas

from vitbench import tables
from vitbench.analysis.jobs import Job
from vitbench.analysis.prices import Price, not_known, price_of
from vitbench.analysis.total_time import MANY, Estimate

TIME, MONEY = "time", "money"


def cost(jobs: Iterable[Job], prices: dict[str, Price]) -> pandas.DataFrame:
    """A row a job (`tables.COLUMNS["cost"]`): what MANY images take on the machines that it was measured on.

    `hours` begin when the machines are there; `machine_hours` and `usd` pay for `start_minutes` of each, too. `least`
    says of the rows of a source which takes the least time, and which the least money: two questions, and often two
    answers. Nothing in doubt is an answer.
    """
    rows = []
    for job in jobs:
        found = job.hours(MANY)
        rows.append(
            {"source": job.source, **job.cell, "images": MANY, "hours_from": job.hours_from}
            | {"hours": found.value, "hours_low": found.low, "hours_high": found.high}
            | paid(job, found, job.machines, prices)
        )
    for source in dict.fromkeys(row["source"] for row in rows):
        of_source = [row for row in rows if row["source"] == source]
        for row, words in zip(of_source, least(of_source), strict=True):
            row["least"] = words
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["cost"]))


def paid(job: Job, hours: Estimate, machines: int, prices: dict[str, Price]) -> dict[str, Any]:
    """What so many machines of a job that work so many hours take of machine hours and money, start included.

    Machine hours count a start that nobody knows as none; `reason` says what is not known.
    """
    price = price_of(prices, job.hardware)
    start = (price.start_minutes or 0.0) / 60
    row = {"machine": job.hardware, "machines": machines, "start_minutes": price.start_minutes}
    row |= {"machine_hours": machines * (start + hours.value), "usd_per_hour": price.usd_per_hour}
    for column, value in (("usd", hours.value), ("usd_low", hours.low), ("usd_high", hours.high)):
        row[column] = price.usd(value, machines)
    return row | {"doubt": job.doubt, "reason": not_known(price) if price.blank else ""}


def least(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Of each row whether it takes the least time, the least money, or both; "" for neither, and where it is in doubt.

    Where a price is not known the least money is not either, unless all are on one kind of machine: then it is where
    the fewest machine hours are, if no start that nobody knows can turn it.
    """
    sure = [row for row in rows if not row["doubt"]]
    time = _first(sure, lambda row: row["hours"])
    money = cheapest(sure)
    return ["; ".join(word for word, row in ((TIME, time), (MONEY, money)) if row is one) for one in rows]


def cheapest(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The row that takes the least money; None where that is not known."""
    if all(row["usd"] is not None for row in rows):
        return _first(rows, lambda row: row["usd"])
    if len({row["machine"] for row in rows}) == 1:
        first = _first(rows, lambda row: row["machine_hours"])
        # A start that nobody knows is paid for on each machine: only where no row has fewer does it not matter.
        known = all(row["start_minutes"] is not None for row in rows)
        return first if known or first["machines"] == min(row["machines"] for row in rows) else None
    return None


def _first(rows: Sequence[dict[str, Any]], by: Callable[[dict[str, Any]], float]) -> dict[str, Any] | None:
    """The row with the least value; None where there is none."""
    return min(rows, key=lambda row: by(row) if math.isfinite(by(row)) else math.inf, default=None)
