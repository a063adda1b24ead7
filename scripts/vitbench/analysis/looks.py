"""How sure a verdict must be when blocks may be added after somebody has looked: the 5% are spent look by look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy
import scipy

from vitbench.cells import LEAST_BLOCKS, repeats_of

# Chance of a false "faster" or "slower" of a comparison, over all looks together.
ALPHA = 0.05
# A smaller difference than this share is not worth a claim, where the configuration does not say otherwise.
MARGIN = 0.05
POINTS = 201  # of the grid on which the path of a statistic is followed


@dataclass(frozen=True)
class Rule:
    """By what a comparison is judged.

    Attributes:
        margin: ratios within 1/(1 + margin) … 1 + margin are as good as equal.
        most: blocks up to which more may be added; None where the number of blocks was fixed beforehand.
        repeats: blocks that were asked for by now; None: those that a comparison has.
        looks: (blocks, most) of each earlier moment at which verdicts could be read.
    """

    margin: float = MARGIN
    most: int | None = None
    repeats: int | None = None
    looks: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, grid: dict[str, Any], role: str) -> Rule:
        """The rule of a data set's role, from a described grid; one that states no `most_repeats` has a fixed number.

        Looks count for the full runs alone, to which `make settle` adds blocks.
        """
        margin = grid.get("margin", MARGIN)
        if role != "full" or "repeats" not in grid:
            return cls(margin)
        # Those that were taken by another plan, or by none, have spent what they have spent.
        looks = tuple((look["blocks"], look["most_repeats"]) for look in grid.get("looks", ()))
        return cls(margin, grid.get("most_repeats"), repeats_of(grid["repeats"], role), looks)

    def level(self, blocks: int, alpha: float = ALPHA) -> float:
        """The two-sided level of the test at this look, so that all looks together have the level `alpha`.

        0 where earlier looks have spent all of it.
        """
        information, spent = self._looks(blocks)
        return nominal_level(information, spent, alpha)

    def growth(self, blocks: int) -> str:
        """How blocks are added to so many, in words for people: where no verdict could be read of them, or fewer are
        there than planned. "" where none may be.
        """
        there = self.repeats or blocks
        if self.most is None:
            return "more repeats" if there < LEAST_BLOCKS else ""
        return "make settle" if there < max(LEAST_BLOCKS, self.most) else ""

    def over_all_looks(self, p: float, blocks: int) -> float:
        """The p value that a test at this look has over all looks: the least `alpha` at whose `level` it rejects.

        Liu and Anderson, On adaptive extensions of group sequential trials for clinical investigations, Journal of the
        American Statistical Association 103, 2008. It is p itself where the number of blocks was fixed.
        """
        information, spent = self._looks(blocks)
        if len(spent) == 1:
            return min(1.0, p / spent[0])
        if p <= 0:
            return 0.0

        def surplus(log_alpha: float) -> float:
            return nominal_level(information, spent, math.exp(log_alpha)) - p

        highest = math.log(0.999)
        if surplus(highest) <= 0:
            return 1.0
        return math.exp(scipy.optimize.brentq(surplus, math.log(p) - 1e-9, highest, xtol=1e-7))

    def _looks(self, blocks: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Information and share of alpha spent at each look, this one last; 1 is the information of this one."""
        now = self.repeats or blocks
        earlier = [look for look in self.looks if look[0] < now]
        shares = [spending(at / most) for at, most in earlier] + [spending(now / self.most) if self.most else 1.0]
        return tuple(at / now for at, _ in earlier) + (1.0,), tuple(numpy.maximum.accumulate(shares).tolist())


def spending(share: float) -> float:
    """The share of alpha that is spent when this share of the most blocks is there.

    Lan and DeMets, Discrete sequential boundaries for clinical trials, Biometrika 70, 1983, the function that gives
    about Pocock's boundary: log(1 + (e - 1) t). It leaves an early look a level at which five blocks can say something.
    """
    return math.log1p((math.e - 1) * min(1.0, share))


@lru_cache(maxsize=4096)
def nominal_level(information: tuple[float, ...], spent: tuple[float, ...], alpha: float) -> float:
    """The two-sided level of the last of several looks at a growing mean.

    Recursive integration of Armitage, McPherson and Rowe, Repeated significance tests on accumulating data, Journal of
    the Royal Statistical Society A 132, 1969. The boundary is that of a normal statistic, carried over to t by its
    level (Jennison and Turnbull, Group Sequential Methods, 2000, section 4.4).

    Args:
        information: of each look, growing.
        spent: the share of alpha that is spent up to each look.
    """
    if len(spent) == 1:
        return alpha * spent[0]
    sums, density, before, used = numpy.zeros(1), numpy.ones(1), 0.0, 0.0
    level = 0.0
    for at, share in zip(information, spent, strict=True):
        step, scale = math.sqrt(at - before), math.sqrt(at)
        to_spend = alpha * (share - used)
        widest = 9.0
        if _crossing(0, sums, density, step) <= to_spend:
            return 1.0
        if _crossing(widest * scale, sums, density, step) < to_spend:
            widest = scipy.optimize.brentq(
                lambda z, s=sums, d=density, w=step, k=scale, a=to_spend: _crossing(z * k, s, d, w) - a, 0, 9
            )
        level = 2 * float(scipy.stats.norm.sf(widest)) if widest < 9.0 else 0.0
        grid = numpy.linspace(-widest * scale, widest * scale, POINTS)
        weights = numpy.full(POINTS, grid[1] - grid[0])
        weights[[0, -1]] /= 2
        density = weights * (scipy.stats.norm.pdf((grid[:, None] - sums) / step) / step @ density)
        sums, before, used = grid, at, share
    return level


def _crossing(bound: float, sums: numpy.ndarray, density: numpy.ndarray, step: float) -> float:
    """Chance that a sum that is not yet beyond a boundary is beyond ±bound after a step of this standard deviation."""
    return float((scipy.stats.norm.sf((bound - sums) / step) + scipy.stats.norm.cdf((-bound - sums) / step)) @ density)
