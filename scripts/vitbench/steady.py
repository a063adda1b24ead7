"""When a repeat is warm: the rule that ends its warm-up, and what its curve of pass times is called.

Pure functions on the times of passes, pass 0 (cold) first. The words are those of Barrett, Bolz-Tereick, Killick,
Mount and Tratt, "Virtual Machine Warmup Blows Hot and Cold" (OOPSLA 2017): flat, warm-up, slow-down, no steady state.
They look at two thousand iterations; here are ten to forty passes, so the change points come from a test for short and
noisy series, circular binary segmentation (Olshen, Venkatraman, Lucito and Wigler, Biostatistics 5, 2004), with the
noise moderated by a prior as in limma (Smyth 2004). It is plain Python: the measured process must import no numpy for
it. How often it is wrong stands in docs/methodology.md, from tests/benchmarks/steady_rule.py.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FLAT, WARM_UP, SLOW_DOWN, UNSTEADY = "flat", "warm-up", "slow-down", "no steady state"
COLD, WARMING, TIMED = "cold", "warm-up", "timed"

# A pass that is slower by more than this (log) than the passes around it is a spike, unless a third one stays there.
SPIKE = 0.08
# A level is held by two passes or more.
LEAST_LEVEL = 2
# Noise of a pass (log) that is assumed before any is seen, and for how many observations that assumption counts.
USUAL_NOISE, NOISE_WEIGHT = 0.01, 4
# Difference of two levels in their standard errors from which it is none of chance. It is the largest of all places.
BEYOND_NOISE = 4.5
# Noise of a pass by the median step between two passes, generously; and steps from which on that is worth something.
NOISE_OF_STEPS, FEWEST_STEPS = 1.3, 8
# The same for a slope, which has one place only; and the passes from which on there is one.
SLOPE_BEYOND_NOISE, FEWEST_OF_SLOPE = 3.5, 5
# Times of what the run time usually spends on settling in a pass from which on it is no more the usual. Spark makes and
# compiles new classes in every query, for ever; what ends warm-up comes in bursts.
BURST = 2.5
# The size of a shift is itself only estimated: from this share of it on, it counts, or half of them would be missed.
COUNTED_FROM = 2 / 3
# A slow change through a hundred passes is of no interest, and looking at all pairs of places takes time.
LOOK_BACK = 24


@dataclass(frozen=True)
class Passes:
    """How long a repeat warms up and how many timed passes follow: the key `passes` of the configuration."""

    warm_images: int
    """least images of the passes before the timed ones, pass 0 included, all workers together"""
    warm_seconds: float
    """least seconds of these passes"""
    shift: float
    """relative difference of two levels from which the repeat was not yet steady"""
    settling: float
    """share of a pass that the run time may spend on settling (compiling) in any case; more only if it always does"""
    timed: int
    """timed passes, if these make no more than about `timed_images` images, else fewer"""
    timed_images: int
    extensions: int
    """how often passes that were timed become warm-up, because they were not steady, and as many are timed again"""
    most_seconds: float
    """seconds of all passes after which warm-up ends anyway, and nothing is extended"""
    short_passes: int = 0
    """passes over a few images after pass 0, of a framework that plans each pass anew; none before protocol 4"""

    @classmethod
    def of(cls, settings: Mapping[str, Any], workers: int) -> Passes:
        """The key `passes` of a configuration for a cell with so many workers: each has to see `warm_images` images."""
        return cls(**{**settings, "warm_images": settings["warm_images"] * workers})

    def how_many(self, images: int) -> int:
        """Timed passes over a data set of so many images: known before the first of them, whatever they take."""
        return max(1, min(self.timed, math.ceil(self.timed_images / images)))

    def expected(self, images: int, seconds: float) -> tuple[int, int]:
        """Passes before the timed ones, pass 0 included, and timed passes, of so many images and seconds each.

        It is the least, as for a process that is steady when images and seconds are reached.
        """
        needed = max(self.warm_images / images, self.warm_seconds / seconds)
        return max(1, math.ceil(min(needed, self.most_seconds / seconds))), self.how_many(images)


@dataclass(frozen=True)
class Pass:
    """What the rule knows of a pass."""

    seconds: float
    settling: float
    """seconds that the run time spent on settling since the pass before, of all its threads"""


class Course:
    """A repeat's passes as they come: tells the phase of the next one, and in the end what they were."""

    def __init__(self, limits: Passes, images: int) -> None:
        self.limits, self.images = limits, images
        self.timed = limits.how_many(images)
        self.passes: list[Pass] = []
        self.begin: int | None = None
        """number of the first timed pass, once warm-up has ended"""
        self.extended = 0
        self.settled = False
        self.reason = ""

    def add(self, one: Pass) -> bool:
        """Take in a pass that has ended; whether another one is to follow."""
        self.passes.append(one)
        if self.begin is None:
            if why := self._why_warm():
                self.begin, self.reason = len(self.passes), why
            return True
        if len(self.passes) < self.begin + self.timed:
            return True
        fault = self._fault()
        self.settled = not fault
        if fault and self.extended < self.limits.extensions and self._seconds() < self.limits.most_seconds:
            self.extended += 1
            # What was not steady becomes warm-up; the next passes may be timed at once if nothing else speaks against.
            self.begin = None
            if why := self._why_warm():
                self.begin, self.reason = len(self.passes), why
            return True
        if fault:
            self.reason = fault
        return False

    def phases(self) -> list[str]:
        """The phase of each pass so far."""
        begin = len(self.passes) if self.begin is None else self.begin
        return [TIMED if number >= begin else WARMING if number else COLD for number in range(len(self.passes))]

    def steady(self) -> dict[str, Any]:
        """The object `steady` of a record; see config/schema/record.schema.yaml."""
        seconds = [one.seconds for one in self.passes]
        begin = self.begin or 0
        return {
            "classification": classify(seconds, begin, self.limits.shift, self.settled),
            "settled": self.settled,
            "reason": self.reason,
            "extensions": self.extended,
            "warm_up_images": begin * self.images,
            "warm_up_seconds": sum(seconds[:begin]),
            "last_change": max(changes(seconds, self.limits.shift), default=None),
        }

    def _seconds(self) -> float:
        return sum(one.seconds for one in self.passes)

    def _why_warm(self) -> str:
        """Why warm-up ends after the passes so far; empty while it goes on."""
        limits = self.limits
        if self._seconds() >= limits.most_seconds:
            return f"{limits.most_seconds:g} s were over"
        if len(self.passes) * self.images < limits.warm_images or self._seconds() < limits.warm_seconds:
            return ""
        if self._bursts(len(self.passes) - 1):
            return ""
        shifts = changes([one.seconds for one in self.passes], limits.shift)
        # Only what lies among the passes that would be timed next to it matters: a first, slow pass is a change too.
        if any(place > len(self.passes) - 1 - self.timed for place in shifts):
            return ""
        return "images, seconds, run time and level were those of a warm process"

    def _bursts(self, first: int) -> bool:
        """Whether the run time settled in one of the passes from number `first` on, beyond what it does in all."""
        usual = statistics.median(one.settling for one in self.passes[1:] or self.passes)
        return any(
            one.settling > self.limits.settling * one.seconds and (number == 0 or one.settling > BURST * usual)
            for number, one in enumerate(self.passes)
            if number >= first
        )

    def _fault(self) -> str:
        """What says that the timed passes were not steady; empty if nothing does."""
        seconds, shift = [one.seconds for one in self.passes], self.limits.shift
        if any(place > self.begin for place in changes(seconds, shift)):
            return f"the level shifted by {shift:.0%} or more"
        # As many passes of warm-up as timed ones tell more of a slope or of turns than these alone.
        since = max(1, self.begin - self.timed)
        if drifts(without_spikes(seconds)[since:], self.timed, shift):
            return f"the timed passes drifted by {shift:.0%} or more"
        # Spikes stay in here: what takes them out would take every other pass for one.
        logs = [math.log(one) for one in seconds[since:]]
        if len(logs[::2]) in levels([*logs[::2], *logs[1::2]], shift):
            return f"every other pass was slower by {shift:.0%} or more"
        if self._bursts(self.begin):
            return "the run time still settled"
        return ""


def follow(limits: Passes, images: int, passes: Sequence[Pass]) -> Course:
    """The course of passes that have all ended, as it was when they came one by one."""
    course = Course(limits, images)
    for one in passes:
        course.add(one)
    return course


def levels(logs: Sequence[float], shift: float, offset: int = 0) -> list[int]:
    """Places at which the level of these logarithms of seconds changes: numbers of the first element of a new level.

    A stretch is held against all around it; the pair with the largest difference in standard errors is taken if that
    is BEYOND_NOISE and the size counts, and what it cuts off is looked at in the same way.
    """
    count = len(logs)
    sums, squares = [0.0], [0.0]
    for value in logs:
        sums.append(sums[-1] + value)
        squares.append(squares[-1] + value * value)
    # Several levels hide each other in the spread around a stretch; steps from pass to pass know nothing of levels.
    steps = sorted(abs(two - one) for one, two in zip(logs, logs[1:], strict=False))
    most = (NOISE_OF_STEPS * steps[len(steps) // 2]) ** 2 if count >= FEWEST_STEPS else math.inf
    best = (0.0, 0.0, 0, 0)
    for begin in range(count):
        for end in range(begin + LEAST_LEVEL, count + 1):
            inside, around = end - begin, count - (end - begin)
            if around < LEAST_LEVEL or 0 < begin < LEAST_LEVEL or 0 < count - end < LEAST_LEVEL:
                continue
            here = (sums[end] - sums[begin]) / inside
            there = (sums[count] - sums[end] + sums[begin]) / around
            left_over = max(0.0, squares[count] - inside * here**2 - around * there**2)
            left_over = min(left_over, (count - 2) * most)
            variance = (left_over + NOISE_WEIGHT * USUAL_NOISE**2) / (count - 2 + NOISE_WEIGHT)
            difference = abs(here - there)
            best = max(best, (difference / math.sqrt(variance * (1 / inside + 1 / around)), difference, begin, end))
    errors, difference, begin, end = best
    if errors < BEYOND_NOISE or difference < COUNTED_FROM * math.log1p(shift):
        return []
    edges = sorted({0, begin, end, count})
    found = [offset + place for place in edges if 0 < place < count]
    for first, after in zip(edges, edges[1:], strict=False):
        found += levels(logs[first:after], shift, offset + first)
    return sorted(found)


def drifts(logs: Sequence[float], passes: int, shift: float) -> bool:
    """Whether logarithms of seconds follow a slope that reaches `shift` within so many passes.

    The slope must be beyond noise, and must explain them better than levels do.
    """
    count = len(logs)
    if count < FEWEST_OF_SLOPE:
        return False
    numbers = [number - (count - 1) / 2 for number in range(count)]
    spread = math.fsum(number * number for number in numbers)
    slope = math.fsum(number * value for number, value in zip(numbers, logs, strict=True)) / spread
    left_over = _squares([value - slope * number for number, value in zip(numbers, logs, strict=True)])
    variance = (left_over + NOISE_WEIGHT * USUAL_NOISE**2) / (count - 2 + NOISE_WEIGHT)
    if abs(slope) < SLOPE_BEYOND_NOISE * math.sqrt(variance / spread):
        return False
    edges = [0, *levels(logs, shift), count]
    by_levels = math.fsum(_squares(logs[one:two]) for one, two in zip(edges, edges[1:], strict=False))
    return left_over < by_levels and abs(slope) * passes >= COUNTED_FROM * math.log1p(shift)


def _squares(values: Sequence[float]) -> float:
    """Sum of the squared distances from the mean."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values)


def changes(seconds: Sequence[float], shift: float) -> list[int]:
    """Numbers of the passes from which on a new level holds, among the last LOOK_BACK, pass 0 left out."""
    first = max(1, len(seconds) - LOOK_BACK)
    return levels(without_spikes(seconds)[first:], shift, first)


def without_spikes(seconds: Sequence[float]) -> list[float]:
    """Logarithms of the seconds; one or two slow passes in a row count as slow as those around them.

    A neighbour on the machine makes passes slower, never faster, so that only slow ones are doubted.
    """
    logs = [math.log(one) for one in seconds]
    cleaned = []
    for number, value in enumerate(logs):
        # Three in a row that hold this one; at the end of the series there may be fewer, which show nothing yet.
        threes = [logs[first : first + 3] for first in range(max(0, number - 2), min(number, len(logs) - 3) + 1)]
        held = max((min(three) for three in threes), default=value)
        cleaned.append(held if value > held + SPIKE else value)
    return cleaned


def classify(seconds: Sequence[float], begin: int, shift: float, settled: bool) -> str:
    """Name a repeat's curve from pass 1 on.

    Args:
        seconds: of all passes, pass 0 first.
        begin: number of the first timed pass.
        shift: relative difference from which two levels are two.
        settled: whether the timed passes are one level.

    Returns:
        no steady state: not settled; flat: one level; slow-down: an earlier level was faster than that of the timed
        passes; else warm-up.
    """
    if not settled:
        return UNSTEADY
    logs = without_spikes(seconds)
    edges = [1, *(place for place in levels(logs[1:], shift, 1) if place <= begin), len(seconds)]
    means = [math.fsum(logs[one:two]) / (two - one) for one, two in zip(edges, edges[1:], strict=False) if two > one]
    if max(means) - min(means) < COUNTED_FROM * math.log1p(shift):
        return FLAT
    return SLOW_DOWN if means[-1] - min(means) >= COUNTED_FROM * math.log1p(shift) else WARM_UP
