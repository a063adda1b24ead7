"""How often the verdicts are right: seconds of made-up cells, many at a time, by the rule that the tables use.

`python tests/simulations.py` prints the tables of docs/methodology.md ("Statistics"); the unit tests hold them to their
limits with the same seed.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from vitbench.analysis.looks import ALPHA, Rule  # noqa: E402
from vitbench.analysis.scaling import USL, Law, seconds_of  # noqa: E402
from vitbench.analysis.scaling import fit as fit_law  # noqa: E402
from vitbench.analysis.total_time import HOUR, MANY, Fit, fit  # noqa: E402

SEED, TRIALS = 20261126, 20_000
PROCESS, PASSES, DRIFT, SPIKED = 0.045, 0.01, 0.05, 0.1
# Seconds of start and load, of a pass, and of an image, and the data sets that a line goes through.
BEGIN, A_PASS, EACH, IMAGES = 20.0, 0.3, 0.12, (16, 32, 48, 100, 200)
# Seconds of one worker, what is done by one at a time, what a pair costs, and numbers of workers of a law.
ONE, CONTENTION, COHERENCY, WORKERS = 60.0, 0.03, 0.002, (1, 2, 4, 8, 16)
STEPS = (5, 8, 12, 18, 20)  # those of `make settle` with `most_repeats: 20`


def log_ratios(random: numpy.random.Generator, trials: int, blocks: int, truth: float = 1.0) -> numpy.ndarray:
    """Log ratios (trials × blocks) of two cells, made of the seconds of each.

    A process is 4.5% faster or slower for its whole life, its value 1% more or less by its passes, and one in ten has a
    spike of 10 to 50%. A drift over the blocks meets both cells of a block, the second by a tenth more.
    """
    drift = numpy.cumsum(random.normal(0, 0.02, (trials, blocks)), axis=1)
    drift += numpy.linspace(0, 1, blocks) * random.normal(0, DRIFT, (trials, 1))
    cells = []
    for seconds, within in ((truth, 1.0), (1.0, 1.1)):
        times = math.log(seconds) + within * drift + random.normal(0, math.hypot(PROCESS, PASSES), (trials, blocks))
        spiked = random.random((trials, blocks)) < SPIKED
        cells.append(times + spiked * numpy.log(random.uniform(1.1, 1.5, (trials, blocks))))
    return cells[0] - cells[1]


def statistic(logs: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Mean and standard error of each trial."""
    return logs.mean(axis=1), logs.std(axis=1, ddof=1) / math.sqrt(logs.shape[1])


def coverage(blocks: int, truth: float = 1.0, trials: int = TRIALS) -> float:
    """Share of 95% intervals of a fixed number of blocks that hold the truth."""
    mean, error = statistic(log_ratios(numpy.random.default_rng(SEED), trials, blocks, truth))
    half = stats.t.isf(Rule().level(blocks) / 2, blocks - 1) * error
    return float((numpy.abs(mean - math.log(truth)) <= half).mean())


def rules(most: int = STEPS[-1], steps: tuple[int, ...] = STEPS) -> list[Rule]:
    """The rule at each step, which knows the looks before it."""
    return [
        Rule(most=most, repeats=now, looks=tuple((before, most) for before in steps[:place]))
        for place, now in enumerate(steps)
    ]


def false_claims(plan: bool = True, trials: int = TRIALS) -> float:
    """Share of equal cells that some look calls different, by the plan or by 5% at each look; without the margin."""
    logs = log_ratios(numpy.random.default_rng(SEED), trials, STEPS[-1])
    claimed = numpy.zeros(trials, dtype=bool)
    for rule in rules():
        mean, error = statistic(logs[:, : rule.repeats])
        p = 2 * stats.t.sf(numpy.abs(mean) / error, rule.repeats - 1)
        claimed |= p < (rule.level(rule.repeats) if plan else ALPHA)
    return float(claimed.mean())


def false_equivalences(plan: bool = True, trials: int = TRIALS) -> float:
    """Share of cells that differ by just the margin and that some look calls equivalent."""
    # A third of the noise, with which two one-sided tests can succeed at all.
    logs = log_ratios(numpy.random.default_rng(SEED), trials, STEPS[-1]) / 3 + math.log1p(Rule().margin)
    claimed = numpy.zeros(trials, dtype=bool)
    for rule in rules():
        mean, error = statistic(logs[:, : rule.repeats])
        level = rule.level(rule.repeats, 2 * ALPHA) if plan else 2 * ALPHA
        half = stats.t.isf(level / 2, rule.repeats - 1) * error
        margin = math.log1p(rule.margin)
        claimed |= (mean - half >= -margin) & (mean + half <= margin)
    return float(claimed.mean())


def fits(blocks: int, bend: float = 0.0, trials: int = 4_000, wandering: bool = False) -> list[Fit]:
    """Lines through made-up seconds of data sets of several sizes.

    Each process is 4.5% faster or slower for its whole life, its value 1% more or less by its passes, its start and
    load 3%; each block is 2% faster or slower as a whole.

    Args:
        bend: share by which the smallest data set takes longer an image than a line says, the others less and less.
        wandering: a block is 2% faster or slower than the one before it: the machine drifts.
    """
    random = numpy.random.default_rng(SEED)
    images = numpy.array(IMAGES, dtype=float)
    seconds = (A_PASS + EACH * images) * (1 + bend * (images[0] / images) ** 3)
    found = []
    for _ in range(trials):
        drift = random.normal(0, 0.02, (blocks, 1))
        drift = numpy.cumsum(drift, axis=0) if wandering else drift
        noise = random.normal(0, math.hypot(PROCESS, PASSES), (blocks, len(images)))
        begins = BEGIN * numpy.exp(drift + random.normal(0, 0.03, (blocks, len(images))))
        found.append(fit(IMAGES, seconds * numpy.exp(drift + noise), begins))
    return found


def laws(blocks: int, trials: int = 4_000) -> list[Law]:
    """The Universal Scalability Law through made-up seconds of several numbers of workers, with the noise of `fits`."""
    random = numpy.random.default_rng(SEED)
    seconds = numpy.array([seconds_of(ONE, CONTENTION, COHERENCY, number) for number in WORKERS])
    found = []
    for _ in range(trials):
        drift = random.normal(0, 0.02, (blocks, 1))
        noise = random.normal(0, math.hypot(PROCESS, PASSES), (blocks, len(WORKERS)))
        found.append(fit_law(USL, WORKERS, seconds * numpy.exp(drift + noise)))
    return found


def laws_coverage(found: list[Law]) -> tuple[float, float]:
    """Share of the intervals of contention, and of coherency, that hold the truth."""
    contention = sum(one.contention.low <= CONTENTION <= one.contention.high for one in found)
    coherency = sum(one.coherency.low <= COHERENCY <= one.coherency.high for one in found)
    return contention / len(found), coherency / len(found)


def hours_coverage(found: list[Fit]) -> float:
    """Share of the intervals of hours for a million images that hold the truth."""
    truth = (BEGIN + A_PASS + MANY * EACH) / HOUR
    return sum(one.hours.low <= truth <= one.hours.high for one in found) / len(found)


def called_bent(found: list[Fit] | list[Law]) -> float:
    """Share of the lines, or laws, that are called none."""
    return sum(one.p < ALPHA for one in found) / len(found)


if __name__ == "__main__":
    print("| blocks | true ratio 1 | true ratio 1.15 |\n| --- | --- | --- |")
    for count in (5, 8, 10):
        print(f"| {count} | {coverage(count):.1%} | {coverage(count, 1.15):.1%} |")
    print("\n| looks at 5, 8, 12, 18 and 20 blocks | false claims | false equivalences |\n| --- | --- | --- |")
    print(f"| by the plan | {false_claims():.1%} | {false_equivalences():.1%} |")
    print(f"| 5% at each look | {false_claims(False):.1%} | {false_equivalences(False):.1%} |")
    print("\n| blocks | hours hold the truth | … a drift | a line called bent | a bend of 20% called so |")
    print("| --- | --- | --- | --- | --- |")
    for count in (2, 3, 5, 8):
        straight, bent = fits(count), fits(count, bend=0.2)
        held = [hours_coverage(straight), hours_coverage(fits(count, wandering=True))]
        shares = [*held, called_bent(straight), called_bent(bent)]
        print(f"| {count} | {' | '.join(f'{one:.1%}' for one in shares)} |")
    print("\n| blocks | contention holds the truth | coherency | a law called none |\n| --- | --- | --- | --- |")
    for count in (2, 3, 5, 8):
        lawful = laws(count)
        shares = [*laws_coverage(lawful), called_bent(lawful)]
        print(f"| {count} | {' | '.join(f'{one:.1%}' for one in shares)} |")
