"""Comparisons of repeated measurements: ratio of medians, its interval or range, and a verdict in fixed words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

# Below this many blocks a bootstrap interval is too narrow to be true (docs/methodology.md): no verdict.
LEAST_BLOCKS = 5
# A smaller difference than this is not worth a claim, however sure it is.
FLOOR = 0.02
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


def compare(baseline: dict[int, float], candidate: dict[int, float]) -> Comparison:
    """Compare two cells by their seconds in each block (block → seconds); only common blocks count.

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
    return Comparison(ratio, low, high, len(blocks), faster, _verdict(ratio, low, high))


def _verdict(ratio: float, low: float, high: float) -> str:
    if low > 1 and ratio > 1 + FLOOR:
        return "faster"
    if high < 1 and ratio < 1 / (1 + FLOOR):
        return "slower"
    return "tie"


def within_noise(fastest: dict[int, float], other: dict[int, float]) -> bool:
    """Whether a cell cannot be told from the fastest: its ratio's interval (or range) reaches 1, or is within FLOOR."""
    comparison = compare(other, fastest)
    return comparison.low <= 1 or comparison.ratio <= 1 + FLOOR
