"""Comparisons of repeated measurements: direction, pairing, intervals and the words of the verdict."""

from __future__ import annotations

import math

import numpy
import pytest
import simulations
from scipy import stats

from vitbench.analysis.looks import ALPHA, Rule, nominal_level, spending
from vitbench.analysis.statistics import (
    Noise,
    blocks_needed,
    compare,
    correct_for_many,
    holm,
    smallest_detectable,
)


def blocks(*seconds: float) -> dict[int, float]:
    return dict(enumerate(seconds))


def from_logs(logs, rule: Rule | None = None):
    """The comparison whose blocks have these log ratios."""
    return compare(blocks(*numpy.exp(logs)), blocks(*[1.0] * len(logs)), rule)


def spread_around(ratio: float, spread: float, count: int) -> numpy.ndarray:
    """Log ratios with exactly this geometric mean and standard deviation."""
    shape = numpy.linspace(-1, 1, count)
    return math.log(ratio) + spread * (shape - shape.mean()) / shape.std(ddof=1)


def test_above_one_means_that_the_candidate_is_faster():
    found = compare(blocks(10, 10.2, 9.8, 10.1, 10), blocks(5, 5.1, 4.9, 5, 5))
    assert found.ratio == pytest.approx(2.0, abs=0.01) and found.verdict == "faster"
    assert 1 < found.low < found.ratio < found.high
    assert (found.blocks, found.faster_blocks) == (5, 5)


def test_exchanged_sides_invert_ratio_and_interval_and_swap_the_verdict():
    swapped = {"faster": "slower", "slower": "faster", "equivalent": "equivalent", "inconclusive": "inconclusive"}
    seen = set()
    for ratio, spread in ((1.5, 0.05), (0.7, 0.05), (1.0, 0.01), (1.02, 0.2), (1.1, 0.05)):
        one, other = blocks(*numpy.exp(spread_around(ratio, spread, 6))), blocks(*[1.0] * 6)
        there, back = compare(one, other), compare(other, one)
        assert back.ratio == pytest.approx(1 / there.ratio) and back.p == pytest.approx(there.p)
        assert (back.low, back.high) == pytest.approx((1 / there.high, 1 / there.low))
        assert back.verdict == swapped[there.verdict]
        seen.add(there.verdict)
    assert seen == set(swapped)


def test_ratio_interval_and_p_are_those_of_the_mean_log_ratio():
    logs = numpy.array([0.1, 0.3, 0.15, 0.22, 0.4, 0.05])
    found, test = from_logs(logs), stats.ttest_1samp(logs, 0)
    interval = test.confidence_interval(0.95)
    assert found.ratio == pytest.approx(math.exp(logs.mean())) and found.p == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx((math.exp(interval.low), math.exp(interval.high)))


def test_the_interval_holds_one_exactly_where_p_is_above_five_percent():
    """They cannot contradict each other: with a fixed number of blocks, and at the third of three looks."""
    random = numpy.random.default_rng(3)
    plan = Rule(most=20, repeats=12, looks=((5, 20), (8, 20)))
    for rule, count in ((Rule(), 6), (plan, 12)):
        found = [from_logs(random.normal(0.05, 0.08, count), rule) for _ in range(30)]
        assert {one.p < ALPHA for one in found} == {True, False}
        assert all((one.p < ALPHA) == (not one.low <= 1 <= one.high) for one in found)


def test_blocks_are_paired_by_their_number_and_only_common_ones_count():
    found = compare({0: 10, 1: 20, 2: 40, 7: 1000}, {2: 20, 1: 10, 0: 5, 8: 0.001})
    assert (found.blocks, found.faster_blocks) == (3, 3)
    assert (found.ratio, found.low, found.high) == pytest.approx((2, 2, 2))


def test_a_drift_that_both_cells_share_does_not_widen_the_interval():
    drift = [1.0, 1.5, 3.0, 0.7, 2.2, 1.2, 0.9]
    found = compare(blocks(*[1.1 * one for one in drift]), blocks(*drift))
    assert found.low == pytest.approx(1.1) and found.high == pytest.approx(1.1) and found.verdict == "faster"
    # The same times, paired otherwise: nothing can be said.
    mixed = compare(blocks(*[1.1 * one for one in drift]), blocks(*drift[3:], *drift[:3]))
    assert mixed.low < 1 < mixed.high and mixed.verdict == "inconclusive"


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_below_five_blocks_there_is_a_range_and_no_verdict(count):
    slow, fast = [10.0, 12.0, 11.0, 10.5][:count], [5.0, 5.0, 5.5, 4.2][:count]
    found = compare(blocks(*slow), blocks(*fast))
    ratios = [one / two for one, two in zip(slow, fast, strict=True)]
    assert (found.low, found.high) == (pytest.approx(min(ratios)), pytest.approx(max(ratios)))
    assert found.verdict == "too few repeats" and found.blocks == count and found.p is None


def test_from_five_blocks_on_there_is_a_verdict():
    assert compare(blocks(*[10] * 5), blocks(*[5] * 5)).verdict == "faster"


@pytest.mark.parametrize(
    ("ratio", "spread", "verdict"),
    [
        (1.0, 0.01, "equivalent"),
        (1.03, 0.005, "equivalent"),  # certainly another speed, and not one that is worth a claim
        (1 / 1.03, 0.005, "equivalent"),
        (1.045, 0.01, "inconclusive"),  # the 90% interval leaves the margin, the ratio does not
        (1.06, 0.005, "faster"),
        (1 / 1.06, 0.005, "slower"),
        (1.3, 0.5, "inconclusive"),  # far from 1, and so is its interval's other end
        (1.0, 0.1, "inconclusive"),  # an interval around 1 does not make two cells equal
        (3.0, 0.05, "faster"),
    ],
)
def test_what_is_claimed_needs_interval_and_margin(ratio, spread, verdict):
    found = from_logs(spread_around(ratio, spread, 6))
    assert found.ratio == pytest.approx(ratio) and found.verdict == verdict


def test_equivalence_is_two_one_sided_tests():
    """Just inside and just outside the 90% interval that the margin allows."""
    count, margin = 8, math.log(1.05)
    widest = margin * math.sqrt(count) / stats.t.isf(0.05, count - 1)
    assert from_logs(spread_around(1, 0.999 * widest, count)).verdict == "equivalent"
    assert from_logs(spread_around(1, 1.001 * widest, count)).verdict == "inconclusive"
    assert from_logs(spread_around(1, 1.001 * widest, count), Rule(margin=0.06)).verdict == "equivalent"


def test_cells_without_a_common_block_cannot_be_compared():
    with pytest.raises(ValueError, match="no block in common"):
        compare({0: 1.0}, {1: 1.0})


# --- many comparisons


def test_holm_is_the_published_step_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1] and holm([0.02]) == [0.02] and holm([]) == []


def test_a_difference_that_a_family_explains_by_chance_is_inconclusive_and_says_so():
    weak, none = from_logs(spread_around(1.2, 0.14, 6)), from_logs(spread_around(1, 0.1, 6))
    few = compare(blocks(2, 2), blocks(1, 1))
    assert weak.verdict == "faster" and 0.01 < weak.p < 0.05
    alone, _ = correct_for_many([weak, few])
    assert alone == weak
    among, *_ = correct_for_many([weak, none, none, none, none, none, few])
    assert among.verdict == "inconclusive" and among.p == pytest.approx(6 * weak.p)
    assert "among 6 comparisons" in among.reason


# --- looks


def test_a_fixed_number_of_blocks_has_the_whole_level():
    assert Rule().level(5) == ALPHA and Rule(most=10, repeats=10).level(10) == pytest.approx(ALPHA)
    assert Rule().over_all_looks(0.03, 5) == 0.03


def test_the_first_of_several_looks_has_what_the_spending_function_gives():
    rule = Rule(most=20, repeats=5)
    assert rule.level(5) == pytest.approx(ALPHA * math.log(1 + (math.e - 1) / 4))
    assert spending(1) == pytest.approx(1) and spending(2) == spending(1) and spending(0) == 0


def test_levels_are_those_of_the_published_boundaries():
    """Five looks at equal distances, 5% two-sided: as Reboussin and others' program LD98 and R's ldbounds have them."""
    shares = tuple(place / 5 for place in range(1, 6))
    spent = tuple(map(spending, shares))
    found = [nominal_level(shares[:looks], spent[:looks], ALPHA) for looks in range(1, 6)]
    assert stats.norm.isf(numpy.array(found) / 2) == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=0.002)


def test_a_level_that_was_spent_is_gone():
    """Five blocks, said to be all: whoever adds more has no claim left, and is told so."""
    rule = Rule(most=20, repeats=10, looks=((5, 5),))
    found = from_logs(spread_around(2, 0.05, 10), rule)
    assert rule.level(10) == 0 and found.verdict == "inconclusive" and found.p == 1 and "spent" in found.reason
    assert Rule(most=20, repeats=12, looks=((5, 5), (8, 20))).level(12) == 0  # a later, longer plan brings nothing back


def test_more_looks_leave_less_for_this_one():
    seldom, often = Rule(most=20, repeats=12), Rule(most=20, repeats=12, looks=((5, 20), (8, 20)))
    assert 0 < often.level(12) < seldom.level(12) < ALPHA
    assert often.over_all_looks(often.level(12), 12) == pytest.approx(ALPHA, rel=1e-4)
    later = Rule(most=20, repeats=5, looks=((5, 20), (8, 20)))
    assert later.level(5) == Rule(most=20, repeats=5).level(5)  # looks at more blocks came after this one


def test_a_grid_without_a_plan_has_a_fixed_number_and_the_sweep_always():
    planned = {"margin": 0.1, "most_repeats": 20, "repeats": {"sample": 3, "full": 8}}
    planned["looks"] = [{"blocks": 5, "most_repeats": 20}]
    assert Rule.of({"repeats": 5}, "full") == Rule(repeats=5)
    fixed = planned | {"most_repeats": None}
    assert Rule.of(fixed, "full") == Rule(0.1, None, 8, ((5, 20),))
    spent = Rule.of(fixed | {"looks": [{"blocks": 5, "most_repeats": 5}]}, "full")
    assert spent.level(8) == 0 and 0 < Rule.of(fixed, "full").level(8) < 0.05 == Rule.of(
        fixed | {"looks": []}, "full"
    ).level(8)
    assert Rule.of(planned, "full") == Rule(0.1, 20, 8, ((5, 20),))
    assert Rule.of(planned, "sample") == Rule(0.1)


# --- by simulation


def test_the_simulation_judges_as_the_tables_do():
    for rule, count in ((Rule(), 5), (simulations.rules()[2], 12)):
        logs = simulations.log_ratios(numpy.random.default_rng(1), 15, count)
        mean, error = simulations.statistic(logs)
        half = stats.t.isf(rule.level(count) / 2, count - 1) * error
        found = [from_logs(one, rule) for one in logs]
        assert [math.log(one.low) for one in found] == pytest.approx((mean - half).tolist())
        assert [math.log(one.high) for one in found] == pytest.approx((mean + half).tolist())


@pytest.mark.parametrize("count", [5, 8, 10])
@pytest.mark.parametrize("truth", [1.0, 1.15])
def test_intervals_cover_the_truth(count, truth):
    assert simulations.coverage(count, truth) >= 0.94


def test_false_claims_stay_below_five_percent_however_often_one_looks():
    assert simulations.false_claims() <= 0.05
    assert simulations.false_equivalences() <= 0.05
    # Without the plan they do not.
    assert simulations.false_claims(plan=False) > 0.08 and simulations.false_equivalences(plan=False) > 0.08


# --- what is missing


@pytest.mark.parametrize("spread", [0.03, 0.065, 0.15])
@pytest.mark.parametrize("truth", [1.0, 0.98, 0.96, 1.1, 1.3])
def test_as_many_blocks_as_are_needed_decide_four_times_in_five(truth, spread):
    count, random = blocks_needed(truth, spread, ALPHA, 0.05), numpy.random.default_rng(5)
    mean, error = simulations.statistic(math.log(truth) + random.normal(0, spread, (4_000, count)))
    wide, narrow = (stats.t.isf(tail, count - 1) * error for tail in (0.025, 0.05))
    faster_or_slower = numpy.abs(mean) > numpy.maximum(wide, math.log(1.05))
    told = faster_or_slower | (numpy.abs(mean) + narrow <= math.log(1.05))
    assert told.mean() >= 0.76
    if count > 5:
        assert told.mean() <= 0.88


def test_a_ratio_near_the_margin_needs_very_many_blocks_and_one_on_it_more_than_anybody_measures():
    far, near, on = (blocks_needed(ratio, 0.04, ALPHA, 0.05) for ratio in (1.2, 1.06, 1.05))
    assert far == 5 < 2 * far < near < on / 5


def test_the_smallest_detectable_ratio_is_found_four_times_in_five():
    count, spread, random = 8, 0.08, numpy.random.default_rng(6)
    ratio = smallest_detectable(spread, count, Rule())
    mean, error = simulations.statistic(math.log(ratio) + random.normal(0, spread, (20_000, count)))
    found = (mean - stats.t.isf(0.025, count - 1) * error > 0) & (mean > math.log(1.05))
    assert found.mean() == pytest.approx(0.8, abs=0.06)
    assert smallest_detectable(1e-6, count, Rule()) == pytest.approx(1.05, rel=1e-4)
    assert math.isnan(smallest_detectable(math.nan, 8, Rule())) and math.isnan(smallest_detectable(spread, 4, Rule()))


def test_a_ratio_must_be_larger_and_blocks_more_where_several_are_adjusted_together():
    alone, of_three = (smallest_detectable(0.08, 5, Rule(), tests) for tests in (1, 3))
    assert alone < of_three
    # The first of three by Holm is called where its p is below a third of 5%.
    random = numpy.random.default_rng(7)
    mean, error = simulations.statistic(math.log(of_three) + random.normal(0, 0.08, (20_000, 5)))
    called = (mean - stats.t.isf(ALPHA / 3 / 2, 4) * error > 0) & (mean > math.log(1.05))
    assert called.mean() == pytest.approx(0.8, abs=0.08)
    assert blocks_needed(1.15, 0.1, ALPHA, 0.05, tests=3) > blocks_needed(1.15, 0.1, ALPHA, 0.05)


def test_less_noise_needs_fewer_blocks_and_a_stricter_level_more():
    quiet, noisy = (blocks_needed(1.0, spread, ALPHA, 0.05) for spread in (0.03, 0.06))
    assert quiet < noisy < blocks_needed(1.0, 0.06, 0.01, 0.05)
    assert blocks_needed(1.0, 0.0001, ALPHA, 0.05) == 5
    assert blocks_needed(1.0, 0.06, ALPHA, 0.1) < blocks_needed(1.0, 0.06, ALPHA, 0.05)


# --- noise


def test_the_floor_is_pooled_over_the_controls_and_knows_how_little_it_knows():
    one, other = (from_logs(spread_around(1, spread, 5)) for spread in (0.03, 0.06))
    noise = Noise.pooled([one, other])
    assert (noise.freedom, noise.spread) == (8, pytest.approx(math.sqrt((0.03**2 + 0.06**2) / 2)))
    floor, low, high = noise.floor(5)
    assert floor == pytest.approx(math.exp(stats.t.isf(0.025, 8) * noise.spread / math.sqrt(5)))
    assert 1 < low < floor < high
    alone = Noise.pooled([other]).floor(5)
    assert math.log(alone[2]) / math.log(alone[1]) > math.log(high) / math.log(low)
    assert Noise.pooled([compare(blocks(1), blocks(1))]) is None and Noise.pooled([]) is None


def test_the_uncertainty_of_the_floor_holds_the_truth_as_often_as_it_says():
    random, held = numpy.random.default_rng(8), 0
    for _ in range(400):
        noise = Noise.pooled([from_logs(random.normal(0, 0.05, 5)) for _ in range(2)])
        _, low, high = noise.floor(5)
        factor = stats.t.isf(0.025, noise.freedom) / math.sqrt(5)
        held += low <= math.exp(factor * 0.05) <= high
    assert 0.92 <= held / 400 <= 0.98


def test_so_many_blocks_show_that_there_is_no_difference_four_times_in_five():
    count = blocks_needed(1.0, 0.1, ALPHA, 0.05)
    logs = numpy.random.default_rng(1).normal(0, 0.1, (20_000, count))
    half = stats.t.isf(ALPHA, count - 1) * logs.std(axis=1, ddof=1) / math.sqrt(count)
    assert (abs(logs.mean(axis=1)) + half <= math.log(1.05)).mean() > 0.79
