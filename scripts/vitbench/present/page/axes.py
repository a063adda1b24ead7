"""Axes of the page's charts: where on it a value lies, in per cent, and which values are written beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib.ticker import LogLocator, MaxNLocator

# Labels nearer to each other than this (per cent) would touch on a telephone.
APART = 8.0


@dataclass(frozen=True)
class Axis:
    """From `low` at 0% to `high` at 100%, with ticks as (per cent, label)."""

    low: float
    high: float
    log: bool
    ticks: tuple[tuple[float, str], ...] = ()

    def at(self, value: float) -> float:
        """Per cent of the way along the axis; a value beyond an end lies at that end."""
        low, high, value = (
            (math.log(self.low), math.log(self.high), math.log(max(value, 1e-300)))
            if self.log
            else (self.low, self.high, value)
        )
        return round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 3)

    def down(self, value: float) -> float:
        """Per cent from the top of a plot whose upright axis this is."""
        return round(100 - self.at(value), 3)

    def ticked(self, values: Iterable[float], label=None) -> Axis:
        """The same axis with ticks at these values, as far as their labels have room."""
        found: list[tuple[float, str]] = []
        for value in values:
            place = self.at(value)
            if not found or abs(place - found[-1][0]) >= APART:
                found.append((place, (label or plain)(value)))
        return Axis(self.low, self.high, self.log, tuple(found))


def plain(value: float) -> str:
    """A tick's label: no exponent, thousands apart."""
    if value and abs(value) >= 1e6:
        return f"{value / 1e6:,g} M"
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:g}"


def share(value: float) -> str:
    return f"{value:.0%}"


def finite(values: Iterable[float]) -> list[float]:
    """Those of the values that are numbers."""
    return [float(value) for value in values if value is not None and math.isfinite(value)]


def linear(values: Iterable[float], label=None, least: float = 0.0, whole: bool = False) -> Axis:
    """From zero to a little beyond the largest value, at least to `least`; `whole`: ticks at whole numbers only."""
    highest = max([least, *finite(values)]) or 1.0
    axis = Axis(0.0, highest * 1.05, False)
    places = MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=whole).tick_values(0, highest)
    return axis.ticked([place for place in places if 0 <= place <= axis.high], label)


def doubling(values: Iterable[float], least: tuple[float, float] = (0.5, 2.0)) -> Axis:
    """An axis of ratios that doubles from tick to tick, from below the least value to above the greatest."""
    known = [value for value in finite(values) if value > 0]
    first = math.floor(math.log2(min([least[0], *known])))
    last = math.ceil(math.log2(max([least[1], *known])))
    axis = Axis(2.0 ** (first - 0.1), 2.0 ** (last + 0.1), True)
    return axis.ticked([2.0**power for power in range(first, last + 1)])


def sizes(values: Iterable[float]) -> Axis:
    """An axis of batch sizes that doubles, with room at both ends, and a tick at each of them."""
    known = sorted(set(finite(values)))
    axis = Axis(known[0] / 1.3, known[-1] * 1.3, True)
    return axis.ticked(known)


def decades(values: Iterable[float]) -> Axis:
    """A logarithmic axis over the values, with ticks at 1, 2 and 5 where they are few decades, else at 1."""
    known = [value for value in finite(values) if value > 0]
    axis = Axis(min(known) / 1.25, max(known) * 1.25, True)
    few = axis.high / axis.low < 1e3
    places = LogLocator(subs=(1, 2, 5) if few else (1,)).tick_values(axis.low, axis.high)
    return axis.ticked([place for place in places if axis.low <= place <= axis.high])
