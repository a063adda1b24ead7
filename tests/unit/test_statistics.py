"""Comparisons of repeated measurements: direction, pairing, intervals and the words of the verdict."""

from __future__ import annotations

import numpy
import pytest

from vitbench.analysis import statistics
from vitbench.analysis.statistics import compare, holm, within_noise


def blocks(*seconds: float) -> dict[int, float]:
    return dict(enumerate(seconds))


def test_above_one_means_that_the_candidate_is_faster():
    found = compare(blocks(10, 10.2, 9.8, 10.1, 10), blocks(5, 5.1, 4.9, 5, 5))
    assert found.ratio == pytest.approx(2.0) and found.verdict == "faster"
    assert 1 < found.low <= found.ratio <= found.high
    assert (found.blocks, found.faster_blocks) == (5, 5)
    back = compare(blocks(5, 5.1, 4.9, 5, 5), blocks(10, 10.2, 9.8, 10.1, 10))
    assert back.ratio == pytest.approx(0.5) and back.verdict == "slower" and back.faster_blocks == 0
    assert back.high < 1 and back.low == pytest.approx(1 / found.high) and back.high == pytest.approx(1 / found.low)


def test_the_ratio_is_that_of_the_medians():
    found = compare(blocks(10, 30, 11), blocks(5, 4, 10))
    assert found.ratio == pytest.approx(11 / 5)
    assert (found.low, found.high) == (pytest.approx(1.1), pytest.approx(7.5))


def test_blocks_are_paired_by_their_number_and_only_common_ones_count():
    found = compare({0: 10, 1: 20, 2: 40, 7: 1000}, {2: 20, 1: 10, 0: 5, 8: 0.001})
    assert (found.blocks, found.faster_blocks) == (3, 3)
    assert (found.ratio, found.low, found.high) == (2, 2, 2)


def test_a_drift_that_both_cells_share_does_not_widen_the_interval():
    drift = [1.0, 1.5, 3.0, 0.7, 2.2, 1.2, 0.9]
    found = compare(blocks(*[1.1 * one for one in drift]), blocks(*drift))
    assert found.low == pytest.approx(1.1) and found.high == pytest.approx(1.1) and found.verdict == "faster"
    # The same times, paired otherwise: nothing can be said.
    mixed = compare(blocks(*[1.1 * one for one in drift]), blocks(*drift[3:], *drift[:3]))
    assert mixed.low < 1 < mixed.high and mixed.verdict == "tie"


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_below_five_blocks_there_is_a_range_and_no_verdict(count):
    slow, fast = [10.0, 12.0, 11.0, 10.5][:count], [5.0, 5.0, 5.5, 4.2][:count]
    found = compare(blocks(*slow), blocks(*fast))
    ratios = [one / two for one, two in zip(slow, fast, strict=True)]
    assert (found.low, found.high) == (pytest.approx(min(ratios)), pytest.approx(max(ratios)))
    assert found.verdict == "too few repeats" and found.blocks == count


def test_from_five_blocks_on_there_is_a_verdict():
    assert compare(blocks(*[10] * 5), blocks(*[5] * 5)).verdict == "faster"


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(1.019, "tie"), (1.021, "faster"), (1 / 1.019, "tie"), (1 / 1.021, "slower"), (1.0, "tie"), (3.0, "faster")],
)
def test_a_difference_below_the_floor_is_a_tie_however_sure(ratio, verdict):
    found = compare(blocks(*[10 * ratio] * 6), blocks(*[10] * 6))
    assert found.verdict == verdict and found.low == found.high == pytest.approx(ratio)


def test_a_large_ratio_whose_interval_reaches_one_is_a_tie():
    found = compare(blocks(10, 10, 10, 10, 10), blocks(5, 5, 5, 12, 13))
    assert found.ratio == 2 and found.low < 1 and found.verdict == "tie"


def test_the_same_measurements_give_the_same_interval():
    slow, fast = blocks(10, 11, 12, 10, 9, 13), blocks(8, 9, 8.5, 9.5, 8, 10)
    assert compare(slow, fast) == compare(slow, fast)


def test_cells_without_a_common_block_cannot_be_compared():
    with pytest.raises(ValueError, match="no block in common"):
        compare({0: 1.0}, {1: 1.0})


def test_intervals_hold_the_truth_about_as_often_as_they_say_and_equal_cells_are_ties():
    """95% intervals of 10 blocks with 3% noise and a common drift, 200 times, of a true ratio of 1.3 and of 1."""
    generator = numpy.random.default_rng(7)
    held = claims = 0
    for _ in range(200):
        drift = generator.lognormal(0, 0.1, 10)
        noise = generator.lognormal(0, 0.03, (3, 10))
        base, same = 10 * drift * noise[0], 10 * drift * noise[1]
        fast = 10 / 1.3 * drift * noise[2]
        found = compare(blocks(*base), blocks(*fast))
        held += found.low <= 1.3 <= found.high
        assert found.verdict == "faster"
        claims += compare(blocks(*base), blocks(*same)).verdict != "tie"
    assert 0.88 * 200 <= held < 200
    assert claims <= 0.08 * 200


def test_within_noise_of_the_fastest():
    fastest = blocks(10, 10, 10)
    assert within_noise(fastest, fastest)
    assert within_noise(fastest, blocks(10.1, 10.1, 10.1))  # within the floor
    assert within_noise(fastest, blocks(11, 11, 9.9))  # once it was faster
    assert not within_noise(fastest, blocks(10.5, 10.5, 10.5))


def test_holm_is_the_published_step_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1] and holm([0.02]) == [0.02] and holm([]) == []


def simulated(random: numpy.random.Generator, blocks: int, truth: float) -> tuple[dict, dict]:
    """Seconds of two cells in each block: a drift that both share, 3% noise, and in a tenth of the repeats a spike."""
    drift = numpy.linspace(0, random.normal(0, 0.05), blocks) + numpy.cumsum(random.normal(0, 0.02, blocks))
    cells = []
    for seconds in (truth, 1.0):
        times = seconds * numpy.exp(drift + random.normal(0, 0.03, blocks))
        spiked = random.random(blocks) < 0.1
        cells.append(dict(enumerate(numpy.where(spiked, times * random.uniform(1.1, 1.5, blocks), times).tolist())))
    return cells[0], cells[1]


@pytest.mark.parametrize("blocks", [5, 8, 10])
@pytest.mark.parametrize("truth", [1.0, 1.15])
def test_intervals_cover_the_truth_and_identical_cells_tie(blocks, truth, monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 1000)  # a tenth, for the test's time: the ends move by 1% of the width
    random = numpy.random.default_rng(20261124)
    trials = [compare(*simulated(random, blocks, truth)) for _ in range(2000)]
    assert sum(one.low <= truth <= one.high for one in trials) / len(trials) >= 0.93
    if truth == 1:
        assert sum(one.verdict == "tie" for one in trials) / len(trials) >= 0.95
    else:
        assert sum(one.verdict == "faster" for one in trials) > sum(one.verdict == "slower" for one in trials) == 0
