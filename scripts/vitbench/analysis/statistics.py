"""Comparisons of repeated measurements: ratio, interval and p value of one quantity, and a verdict in fixed words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy
import scipy

from vitbench.analysis.looks import ALPHA, Rule
from vitbench.cells import LEAST_BLOCKS
from vitbench.verdicts import DIFFERENT, EQUIVALENT, FASTER, INCONCLUSIVE, SLOWER, TOO_FEW

# Chance with which a difference of the stated size is to be found.
POWER = 0.8
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
    """of an unpaired comparison the smaller of both numbers of repeats"""
    faster_blocks: int | None
    """None of an unpaired comparison, which has no ratio a block"""
    verdict: str
    spread: float
    """standard deviation of the blocks' log ratios; NaN for one block"""
    rule: Rule
    p: float | None = None
    """two-sided p value of the t test of the log ratios over all looks, from LEAST_BLOCKS blocks on"""
    reason: str | None = None
    error: float = math.nan
    """standard error of the log of the ratio"""
    freedom: float = math.nan
    """degrees of freedom of that"""


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
        return Comparison(math.exp(mean), low, high, count, faster, TOO_FEW, spread, rule)
    # Blocks that are equal to the last digit are one block: there is nothing to test.
    error = 0.0 if spread < 1e-12 else spread / math.sqrt(count)
    found = Comparison(math.exp(mean), math.nan, math.nan, count, faster, INCONCLUSIVE, spread, rule)
    return _judged(replace(found, error=error, freedom=count - 1), mean)


def compare_unpaired(baseline: Sequence[float], candidate: Sequence[float], rule: Rule | None = None) -> Comparison:
    """Compare two cells by the seconds of their repeats where no repeat of one belongs to one of the other.

    The ratio is the one of `compare`: the exponential of the difference of the mean logarithms. Its interval is Welch's
    (The generalization of Student's problem when several different population variances are involved, Biometrika 34,
    1947): the variances may differ, and a drift that both cells met does not cancel. The verdicts are those of
    `compare`, by the same rule. Below LEAST_BLOCKS repeats on a side `low` and `high` are the least and the greatest
    ratio of a repeat to a repeat.

    Raises:
        ValueError: a side has no repeat.
    """
    rule = rule or Rule()
    if not len(baseline) or not len(candidate):
        raise ValueError("a side without a repeat")
    one, two = numpy.log(baseline), numpy.log(candidate)
    count, mean = min(len(one), len(two)), float(one.mean() - two.mean())
    variances = [float(logs.var(ddof=1)) if len(logs) > 1 else math.nan for logs in (one, two)]
    spread = math.sqrt(sum(variances))
    shares = [variance / len(logs) for variance, logs in zip(variances, (one, two), strict=True)]
    error, freedom = (
        satterthwaite(shares, [len(one) - 1, len(two) - 1]) if len(one) > 1 < len(two) else (math.nan, math.nan)
    )
    found = Comparison(math.exp(mean), math.nan, math.nan, count, None, INCONCLUSIVE, spread, rule)
    found = replace(found, error=0.0 if spread < 1e-12 else error, freedom=freedom)
    if count < LEAST_BLOCKS:
        low, high = math.exp(one.min() - two.max()), math.exp(one.max() - two.min())
        return replace(found, low=low, high=high, verdict=TOO_FEW)
    return _judged(found, mean)


def satterthwaite(variances: Sequence[float], freedom: Sequence[float]) -> tuple[float, float]:
    """Standard error of a sum of independent estimates with these variances, and its approximate degrees of freedom.

    Satterthwaite, An approximate distribution of estimates of variance components, Biometrics Bulletin 2, 1946. Where
    nothing varies the freedom is that of the smallest part.
    """
    total = sum(variances)
    squares = sum(one**2 / free for one, free in zip(variances, freedom, strict=True))
    return math.sqrt(total), total**2 / squares if squares else float(min(freedom))


def _judged(found: Comparison, mean: float) -> Comparison:
    """The comparison with interval, p value and verdict, from the mean of its logs, its error and freedom."""
    error, freedom, count, rule = found.error, found.freedom, found.blocks, found.rule
    p = 2 * float(scipy.stats.t.sf(abs(mean) / error, freedom)) if error else float(abs(mean) < 1e-12)
    level = rule.level(count)
    low, high = _interval(mean, error, freedom, level or ALPHA)
    found = replace(found, low=math.exp(low), high=math.exp(high), p=rule.over_all_looks(p, count))
    if not level:
        return replace(found, reason=NEVER_DECIDED)
    margin = math.log(1 + rule.margin)
    narrow = _interval(mean, error, freedom, rule.level(count, 2 * ALPHA))
    if -margin <= narrow[0] and narrow[1] <= margin:
        return replace(found, verdict=EQUIVALENT)
    if (low > 0 or high < 0) and abs(mean) > margin:
        return replace(found, verdict=FASTER if mean > 0 else SLOWER)
    return found


def _interval(mean: float, error: float, freedom: float, level: float) -> tuple[float, float]:
    half = float(scipy.stats.t.isf(level / 2, freedom)) * error if error else 0.0
    return mean - half, mean + half


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of these values, and the ends of its 95% interval by Student's t; NaN for both below two values."""
    count, mean = len(values), float(numpy.mean(values))
    if count < 2:
        return mean, math.nan, math.nan
    return mean, *_interval(mean, float(numpy.std(values, ddof=1)) / math.sqrt(count), count - 1, ALPHA)


def correct_for_many(family: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one family, in the same order, with p values adjusted by Holm.

    A `faster` or `slower` that so many comparisons explain by chance is `inconclusive`. Comparisons without a p value
    are left as they are.
    """
    tested = [one for one in family if one.p is not None]
    adjusted = iter(holm([one.p for one in tested if one.p is not None]))
    return [_adjusted(one, next(adjusted), len(tested)) if one.p is not None else one for one in family]


def _adjusted(one: Comparison, p: float, tested: int) -> Comparison:
    if one.verdict in DIFFERENT and p >= ALPHA:
        reason = f"not certain among {tested} comparisons (Holm: p = {p:.2f})"
        return replace(one, p=p, verdict=INCONCLUSIVE, reason=reason)
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


def smallest_detectable(spread: float, blocks: int, rule: Rule, tests: int = 1) -> float:
    """The ratio above 1 that would be called `faster` with a chance of POWER, by these blocks at this spread.

    The interval must exclude 1, and the ratio that is found must lie beyond the margin; t quantiles in both places.
    NaN below LEAST_BLOCKS, by which nothing is called anything.

    Args:
        tests: comparisons that are adjusted together; it is the first of them by Holm.
    """
    if blocks < LEAST_BLOCKS or spread != spread:
        return math.nan
    return detectable(spread / math.sqrt(blocks), blocks - 1, (rule.level(blocks) or ALPHA) / tests, rule.margin)


def detectable(error: float, freedom: float, level: float, margin: float) -> float:
    """The ratio above 1 that a test of this two-sided level calls `faster` with a chance of POWER.

    Args:
        error, freedom: standard error of the log of the ratio, and its degrees of freedom.
    """
    power = float(scipy.stats.t.ppf(POWER, freedom)) * error
    sure = float(scipy.stats.t.isf(level / 2, freedom)) * error
    return math.exp(max(sure, math.log(1 + margin)) + power)


def blocks_needed(
    ratio: float, spread: float, level: float, margin: float, freedom_a_block: float = 1.0, tests: int = 1
) -> int:
    """How many blocks give a verdict with a chance of POWER, if the true ratio is this one; MOST_BLOCKS if no fewer do.

    A verdict is `faster` or `slower` (the interval excludes 1 and the ratio that is found lies beyond the margin), or
    `equivalent` (the two one-sided tests succeed): the three exclude each other, and their chances add up. Quantiles of
    t with the degrees of freedom of that very number. A ratio near the margin needs very many.

    Args:
        spread: standard deviation of the blocks' log ratios.
        level: two-sided level of the test of a difference; each one-sided test has the same.
        freedom_a_block: degrees of freedom that each block after the first brings; up to 2 where none are paired.
        tests: comparisons whose tests of a difference are adjusted together; it is the first of them by Holm.
    """
    counts = numpy.arange(LEAST_BLOCKS, MOST_BLOCKS + 1)
    freedom, error = freedom_a_block * (counts - 1), max(spread, 1e-12) / numpy.sqrt(counts)
    beyond, truth = math.log(1 + margin), math.log(ratio)
    far = numpy.maximum(scipy.stats.t.isf(level / tests / 2, freedom) * error, beyond)
    near = numpy.maximum(0.0, beyond - scipy.stats.t.isf(level, freedom) * error)

    def below(log: numpy.ndarray) -> numpy.ndarray:
        """The chance that a smaller ratio than this is found."""
        return scipy.stats.t.cdf((log - truth) / error, freedom)

    enough = 1 - below(far) + below(-far) + below(near) - below(-near) >= POWER
    return int(counts[enough.argmax()]) if enough.any() else MOST_BLOCKS


@dataclass(frozen=True)
class Noise:
    """What cells reach against themselves, measured under two names: their A/A ratios, pooled."""

    spread: float
    """standard deviation of a block's log ratio"""
    freedom: float

    @classmethod
    def pooled(cls, controls: Sequence[Comparison]) -> Noise | None:
        """The pooled spread of several controls; None where no control has two blocks."""
        freedom = sum(one.blocks - 1 for one in controls)
        if not freedom:
            return None
        squares = sum((one.blocks - 1) * one.spread**2 for one in controls if one.blocks > 1)
        return cls(math.sqrt(squares / freedom), freedom)

    @classmethod
    def between(cls, one: Noise, other: Noise, repeats: tuple[int, int]) -> Noise:
        """The noise of an unpaired ratio of so many repeats of two sets, by the A/A ratios of each: see its `floor(1)`.

        An A/A ratio is that of two processes, so that one process has half of its variance. What differs between the
        times at which the sets were measured is not in it.
        """
        variances = [noise.spread**2 / 2 / count for noise, count in zip((one, other), repeats, strict=True)]
        return cls(*satterthwaite(variances, [one.freedom, other.freedom]))

    def floor(self, blocks: int) -> tuple[float, float, float]:
        """The ratio that noise alone stays within in 95% of comparisons of so many blocks, and its own 95% interval."""
        half = float(scipy.stats.t.isf(ALPHA / 2, self.freedom)) / math.sqrt(blocks)
        ends = [math.sqrt(self.freedom / float(scipy.stats.chi2.isf(tail, self.freedom))) for tail in (0.025, 0.975)]
        return tuple(math.exp(half * self.spread * factor) for factor in (1.0, *ends))
