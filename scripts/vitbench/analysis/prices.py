"""What an hour of a machine costs, as somebody has written it down; what nobody has is not known, and never 0."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest
from pathlib import Path

from vitbench.errors import UserError

NUMBERS = ("dbu_per_hour", "usd_per_dbu", "vm_usd_per_hour", "start_minutes")
COLUMNS = ("hardware", "instance", *NUMBERS, "source", "date")
# Where prices stand, in the working directory or in this checkout: tables name it alike wherever they are made.
TABLE = "resources/prices.tsv"


@dataclass(frozen=True)
class Price:
    """One machine for an hour; None is what nobody has filled in."""

    hardware: str
    """id of the machine, as in records; of a published run its environment and device"""
    dbu_per_hour: float | None = None
    """Databricks units; 0 where it is no machine of Databricks"""
    usd_per_dbu: float | None = None
    vm_usd_per_hour: float | None = None
    """what the machine itself costs; 0 where it costs nothing more"""
    start_minutes: float | None = None
    """until it is there, which is paid for"""

    @property
    def blank(self) -> list[str]:
        """The columns that must be filled in before a cost is known."""
        needed = [name for name in NUMBERS if name != "usd_per_dbu" or self.dbu_per_hour != 0]
        return [name for name in needed if getattr(self, name) is None]

    @property
    def usd_per_hour(self) -> float | None:
        """None where a column is blank that it is made of."""
        if set(self.blank) - {"start_minutes"}:
            return None
        return self.dbu_per_hour * (self.usd_per_dbu or 0.0) + self.vm_usd_per_hour

    def usd(self, hours: float, machines: int = 1) -> float | None:
        """What so many machines cost that each work so many hours, their start included; None where it is not known."""
        return None if self.blank else self.usd_per_hour * machines * (self.start_minutes / 60 + hours)


def price_of(prices: dict[str, Price], hardware: str) -> Price:
    """The price of a machine; all of it blank where no row is its own."""
    return prices.get(hardware, Price(hardware))


def not_known(price: Price) -> str:
    """What has to be done before a cost is known."""
    return f"cost not known: fill row {price.hardware} of {TABLE} ({', '.join(price.blank)})"


def read(path: Path) -> dict[str, Price]:
    """Hardware → its price, from a table whose cells are separated by tabs (COLUMNS).

    Raises:
        UserError: the file or a column is missing, or rows are not possible: each in a few words, with its line.
    """
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            header, *rows = list(csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}): save it as UTF-8 text, cells separated by tabs") from error
    if absent := [column for column in COLUMNS if column not in header]:
        raise UserError(f"{path} lacks the column {', '.join(absent)}; there must be {', '.join(COLUMNS)}")
    found: dict[str, Price] = {}
    wrong = []
    for line, cells in enumerate(rows, 2):
        if not any(cell.strip() for cell in cells):
            continue
        try:
            price = _price(header, cells)
            if price.hardware in found:
                raise ValueError(f"a second row of {price.hardware}: leave one")
            found[price.hardware] = price
        except ValueError as error:
            wrong.append(f"line {line}: {error}")
    if wrong:
        raise UserError(f"{path}, {'; '.join(wrong)}")
    return found


def _price(header: list[str], cells: list[str]) -> Price:
    """The price in a row.

    Raises:
        ValueError: what is wrong with it.
    """
    if len(cells) > len(header):
        raise ValueError(f"{len(cells)} cells, and {len(header)} columns (they are separated by tabs)")
    # Many an editor takes blank cells off the end of a line.
    row = {column: cell.strip() for column, cell in zip_longest(header, cells, fillvalue="")}
    if not row["hardware"]:
        raise ValueError("no hardware: name the machine as its records do")
    numbers = {name: _number(name, row[name]) for name in NUMBERS}
    if any(value is not None for value in numbers.values()) and not (row["source"] and row["date"]):
        raise ValueError("numbers without source and date: a price is somebody's, on a day")
    if row["date"]:
        try:
            date.fromisoformat(row["date"])
        except ValueError:
            raise ValueError(f"date {row['date']!r}: write it as 2026-11-26") from None
    return Price(row["hardware"], **numbers)


def _number(name: str, cell: str) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"{name} {cell!r} is no number; leave it blank where it is not known") from None
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name} {cell}: it must be 0 or more; leave it blank where it is not known")
    return value
