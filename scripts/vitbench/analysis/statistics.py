"""Comparisons of repeated measurements: ratio, interval and p value of one quantity, and a verdict in fixed words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy
from scipy import stats

from vitbench.analysis.looks import ALPHA, Rule
from vitbench.cells import LEAST_BLOCKS

# Chance with which a difference of the stated size is to be found.
POWER = 0.8
# Verdicts that say something of the two cells, and those that say something by an interval.
CLAIMS = ("faster", "slower", "equivalent")
JUDGED = (*CLAIMS, "inconclusive")
MOST_BLOCKS = 10_000
NEVER_DECIDED = "what may be claimed by chance was spent by earlier looks: a new plan needs new blocks"


@dataclass(frozen=True)
class Comparison:
    """How many times as fast the candidate is as the baseline; above 1 the candidate is faster."""

    ratio: float
    """geometric mean over the blocks of baseline seconds / candidate seconds"""
    low: float
    high: float
    """95% interval of the ratio from LEAST_BLOCKS blocks on, else the range of the ratios of the blocks"""
    blocks: int
    faster_blocks: int
    verdict: str
    spread: float
    """standard deviation of the blocks' log ratios; NaN for one block"""
    rule: Rule
    p: float | None = None
    """two-sided p value of the t test of the log ratios over all looks, from LEAST_BLOCKS blocks on"""
    reason: str | None = None


def compare(baseline: dict[int, float], candidate: dict[int, float], rule: Rule | None = None) -> Comparison:
    """Compare two cells by their seconds in each block (block → seconds); only common blocks count.

    Ratio, interval and p value are those of the mean of the blocks' log ratios, by Student's t: one quantity, so that
    they cannot contradict each other. A drift that a block's cells share cancels. Where blocks may be added, the
    interval holds at every look (Jennison and Turnbull, Interim analyses: the repeated confidence interval approach,
    Journal of the Royal Statistical Society B 51, 1989).

    - `faster`, `slower`: the 95% interval excludes 1, and the ratio lies beyond the margin.
    - `equivalent`: two one-sided tests, that is, the 90% interval lies within the margin (Schuirmann, A comparison of
      the two one-sided tests procedure and the power approach, Journal of Pharmacokinetics and Biopharmaceutics 15,
      1987).
    - `inconclusive`: all else.

    Raises:
        ValueError: the cells have no block in common.
    """
    rule = rule or Rule()
    blocks = sorted(baseline.keys() & candidate.keys())
    if not blocks:
        raise ValueError("no block in common")
    logs = numpy.log([baseline[block] / candidate[block] for block in blocks])
    count, mean, faster = len(logs), float(logs.mean()), int((logs > 0).sum())
    spread = float(logs.std(ddof=1)) if count > 1 else math.nan
    if count < LEAST_BLOCKS:
        low, high = math.exp(logs.min()), math.exp(logs.max())
        return Comparison(math.exp(mean), low, high, count, faster, "too few repeats", spread, rule)
    # Blocks that are equal to the last digit are one block: there is nothing to test.
    exact = spread < 1e-12
    error = 0.0 if exact else spread / math.sqrt(count)
    p = float(abs(mean) < 1e-12) if exact else 2 * float(stats.t.sf(abs(mean) / error, count - 1))
    level = rule.level(count)
    low, high = _interval(mean, error, count, level or ALPHA)
    found = Comparison(
        math.exp(mean), math.exp(low), math.exp(high), count, faster, "inconclusive", spread, rule,
        rule.over_all_looks(p, count),
    )  # fmt: skip
    if not level:
        return replace(found, reason=NEVER_DECIDED)
    margin = math.log(1 + rule.margin)
    narrow = _interval(mean, error, count, rule.level(count, 2 * ALPHA))
    if -margin <= narrow[0] and narrow[1] <= margin:
        return replace(found, verdict="equivalent")
    if (low > 0 or high < 0) and abs(mean) > margin:
        return replace(found, verdict="faster" if mean > 0 else "slower")
    return found


def _interval(mean: float, error: float, count: int, level: float) -> tuple[float, float]:
    half = float(stats.t.isf(level / 2, count - 1)) * error if error else 0.0
    return mean - half, mean + half


def correct_for_many(family: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one family, in the same order, with p values adjusted by Holm.

    A `faster` or `slower` that so many comparisons explain by chance is `inconclusive`. Comparisons without a p value
    are left as they are.
    """
    tested = [one for one in family if one.p is not None]
    adjusted = iter(holm([one.p for one in tested if one.p is not None]))
    return [_adjusted(one, next(adjusted), len(tested)) if one.p is not None else one for one in family]


def _adjusted(one: Comparison, p: float, tested: int) -> Comparison:
    if one.verdict in ("faster", "slower") and p >= ALPHA:
        reason = f"not certain among {tested} comparisons (Holm: p = {p:.2f})"
        return replace(one, p=p, verdict="inconclusive", reason=reason)
    return replace(one, p=p)


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


def smallest_detectable(spread: float, blocks: int, rule: Rule) -> float:
    """The ratio above 1 that would be called `faster` with a chance of POWER, by these blocks at this spread.

    The interval must exclude 1, and the ratio that is found must lie beyond the margin; t quantiles in both places.
    NaN below two blocks.
    """
    if blocks < 2 or spread != spread:
        return math.nan
    error = spread / math.sqrt(blocks)
    power = float(stats.t.ppf(POWER, blocks - 1)) * error
    sure = float(stats.t.isf((rule.level(blocks) or ALPHA) / 2, blocks - 1)) * error
    return math.exp(max(sure, math.log(1 + rule.margin)) + power)


def blocks_needed(spread: float, level: float, margin: float) -> int:
    """How many blocks tell a difference of `margin` from none, and show that there is none, each with POWER.

    The larger of both numbers: with a true ratio of 1 + margin the interval excludes 1; with a true ratio of 1 the two
    one-sided tests succeed. Quantiles of t with the degrees of freedom of that very number.

    Args:
        spread: standard deviation of the blocks' log ratios.
        level: two-sided level of the test of a difference; each one-sided test has the same.
    """
    counts = numpy.arange(LEAST_BLOCKS, MOST_BLOCKS + 1)
    freedom = counts - 1
    difference = stats.t.isf(level / 2, freedom) + stats.t.ppf(POWER, freedom)
    equivalence = stats.t.isf(level, freedom) + stats.t.ppf((1 + POWER) / 2, freedom)
    enough = numpy.maximum(difference, equivalence) * spread <= math.log(1 + margin) * numpy.sqrt(counts)
    return int(counts[enough.argmax()]) if enough.any() else MOST_BLOCKS


@dataclass(frozen=True)
class Noise:
    """What cells reach against themselves, measured under two names: their A/A ratios, pooled."""

    spread: float
    """standard deviation of a block's log ratio"""
    freedom: int

    @classmethod
    def pooled(cls, controls: Sequence[Comparison]) -> Noise | None:
        """The pooled spread of several controls; None where no control has two blocks."""
        freedom = sum(one.blocks - 1 for one in controls)
        if not freedom:
            return None
        squares = sum((one.blocks - 1) * one.spread**2 for one in controls if one.blocks > 1)
        return cls(math.sqrt(squares / freedom), freedom)

    def floor(self, blocks: int) -> tuple[float, float, float]:
        """The ratio that noise alone stays within in 95% of comparisons of so many blocks, and its own 95% interval."""
        half = float(stats.t.isf(ALPHA / 2, self.freedom)) / math.sqrt(blocks)
        ends = [math.sqrt(self.freedom / float(stats.chi2.isf(tail, self.freedom))) for tail in (0.025, 0.975)]
        return tuple(math.exp(half * self.spread * factor) for factor in (1.0, *ends))
