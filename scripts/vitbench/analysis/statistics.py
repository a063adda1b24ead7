"""Comparisons of repeated measurements: ratio of medians, its interval or range, and a verdict in fixed words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
from scipy import stats

# Below this many blocks a bootstrap interval is too narrow to be true (docs/methodology.md): no verdict.
LEAST_BLOCKS = 5
# A smaller difference than this is not worth a claim, however sure it is.
FLOOR = 0.02
# Chance of a false "faster" or "slower" anywhere in a table of comparisons that all are ties.
ALPHA = 0.05
RESAMPLES = 10_000


@dataclass(frozen=True)
class Comparison:
    """How many times as fast the candidate is as the baseline; above 1 the candidate is faster."""

    ratio: float
    low: float
    high: float
    """95% interval of the ratio from LEAST_BLOCKS blocks on, else the range of the ratios of the blocks"""
    blocks: int
    faster_blocks: int
    verdict: str
    p: float | None = None
    """two-sided p value of the paired t test of the blocks' log ratios, from LEAST_BLOCKS blocks on"""


def compare(baseline: dict[int, float], candidate: dict[int, float], floor: float = 1 + FLOOR) -> Comparison:
    """Compare two cells by their seconds in each block (block → seconds); only common blocks count.

    A ratio within 1/floor … floor is a tie.

    The interval is a paired-block percentile bootstrap of the ratio of medians (Efron and Tibshirani, An Introduction
    to the Bootstrap, 1993, ch. 13): blocks are drawn, not single repeats, so that a drift common to a block cancels.

    Raises:
        ValueError: the cells have no block in common.
    """
    blocks = sorted(baseline.keys() & candidate.keys())
    if not blocks:
        raise ValueError("no block in common")
    over = numpy.array([baseline[block] for block in blocks])
    under = numpy.array([candidate[block] for block in blocks])
    ratio = float(numpy.median(over) / numpy.median(under))
    of_blocks = over / under
    faster = int((of_blocks > 1).sum())
    if len(blocks) < LEAST_BLOCKS:
        low, high = float(of_blocks.min()), float(of_blocks.max())
        return Comparison(ratio, low, high, len(blocks), faster, "too few repeats")
    drawn = numpy.random.default_rng(1).integers(len(blocks), size=(RESAMPLES, len(blocks)))
    ratios = numpy.median(over[drawn], axis=1) / numpy.median(under[drawn], axis=1)
    low, high = (float(value) for value in numpy.quantile(ratios, [0.025, 0.975]))
    logs = numpy.log(of_blocks)
    # Without any spread the test has no statistic; blocks that are equal to the last digit are one block.
    p = float(stats.ttest_1samp(logs, 0).pvalue) if logs.std() > 1e-12 else float(abs(logs.mean()) < 1e-12)
    return Comparison(ratio, low, high, len(blocks), faster, _verdict(ratio, low, high, p, floor), p)


def _verdict(ratio: float, low: float, high: float, p: float, floor: float) -> str:
    if low > 1 and ratio > floor and p < ALPHA:
        return "faster"
    if high < 1 and ratio < 1 / floor and p < ALPHA:
        return "slower"
    return "tie"


def noise_floor(control: Comparison) -> float:
    """The ratio that a cell reaches against itself: the A/A interval's farther end, at least 1 + FLOOR."""
    return max(1 + FLOOR, control.high, 1 / control.low)


def holm(p_values: list[float]) -> list[float]:
    """Adjusted p values of a family of tests, in the same order: each is to be compared with ALPHA by itself.

    The step-down procedure of Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of
    Statistics 6, 1979.
    """
    values = numpy.asarray(p_values, dtype=float)
    order = numpy.argsort(values, kind="stable")
    factors = len(values) - numpy.arange(len(values))
    adjusted = numpy.empty_like(values)
    adjusted[order] = numpy.minimum(numpy.maximum.accumulate(values[order] * factors), 1)
    return adjusted.tolist()


def within_noise(fastest: dict[int, float], other: dict[int, float]) -> bool:
    """Whether a cell cannot be told from the fastest: its ratio's interval (or range) reaches 1, or is within FLOOR."""
    comparison = compare(other, fastest)
    return comparison.low <= 1 or comparison.ratio <= 1 + FLOOR
