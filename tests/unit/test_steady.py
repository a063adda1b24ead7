"""When a repeat is warm: the value that the rule recovers from a curve, and what it calls the curve."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, repeat

import pytest
import yaml

from vitbench.files import HOME
from vitbench.steady import (
    COLD,
    FLAT,
    SLOW_DOWN,
    TIMED,
    UNSTEADY,
    WARM_UP,
    WARMING,
    Course,
    Pass,
    Passes,
    changes,
    drifts,
    follow,
    levels,
    without_spikes,
)

SETTINGS = yaml.safe_load((HOME / "config" / "config.yaml").read_text())["passes"]
LIMITS = Passes.of(SETTINGS, workers=1)
# Seconds a pass over photos-16 at batch size 8 on a Zen 5 of two cores, pass 0 first, measured under protocol 2.
TENSORFLOW = [5.58, 2.61, 3.14, 3.09, 3.13, 2.15, 1.99, 2.07, 2.58, 2.11, 2.08, 2.04, 1.94, 2.32, 1.95, 1.96, 1.94]
ANOTHER_PROCESS = [6.31, 3.22, 3.07, 3.08, 2.00, 1.93, 2.00, 2.07, 1.96]
ONNX_TUNED = [5.82, 2.77, 2.12, 2.87, 2.06, 2.04]
PIPELINE = [3.24, 3.13, 3.14, 3.15, 3.22]


def run(seconds, images: int = 16, limits: Passes = LIMITS, settling=None) -> Course:
    """The course of a process whose passes take these seconds (without end, or long enough)."""
    course = Course(limits, images)
    for one, growth in zip(seconds, settling or repeat(0.0), strict=False):
        if not course.add(Pass(one, growth)):
            return course
    raise AssertionError("the curve ended before the rule did")


def value(course: Course) -> float:
    return statistics.median(one.seconds for one in course.passes[course.begin :])


def curve(level: Callable[[int], float], noise: float, seed: int, spikes: float = 0.0):
    """Pass times of a process on this level, pass by pass, with lognormal noise and now and then a slow pass."""
    rng = random.Random(seed)
    number = 0
    while True:
        spike = rng.uniform(1.1, 1.6) if rng.random() < spikes else 1.0
        yield level(number) * math.exp(rng.gauss(0, noise)) * spike
        number += 1


def on(seconds: list[float], noise: float = 0.02, last: int = 2):
    """A measured series, and then its last passes over and over with some noise."""
    rng = random.Random(1)
    return chain(seconds, (rng.choice(seconds[-last:]) * math.exp(rng.gauss(0, noise)) for _ in repeat(None)))


def of_processes(
    level: Callable[[int], float], noise: float, images: int = 16, spikes: float = 0.05, trials: int = 100
):
    return [run(curve(level, noise, seed, spikes), images) for seed in range(trials)]


def share(courses, name: str) -> float:
    return sum(course.steady()["classification"] == name for course in courses) / len(courses)


# --- the series that the rule of protocol 2 got wrong


@pytest.mark.parametrize(("warm_images", "most"), [(64, 2.15), (LIMITS.warm_images, 2.10)])
@pytest.mark.parametrize("series", [TENSORFLOW, ANOTHER_PROCESS], ids=["one process", "another"])
def test_the_false_plateau_is_warm_up_and_the_level_after_it_the_value(series, warm_images, most):
    """Even where warm-up might end on the plateau, by images alone."""
    course = run(on(series), limits=replace(LIMITS, warm_images=warm_images))
    assert 1.90 <= value(course) <= most
    assert course.steady()["classification"] == WARM_UP and course.settled
    assert course.steady()["last_change"] <= course.begin


def test_a_process_that_warms_up_early_is_not_held_up_long():
    course = run(on(ONNX_TUNED))
    assert 1.95 <= value(course) <= 2.15 and course.settled and len(course.passes) <= 20


def test_the_flat_pipeline_is_flat():
    course = run(on(PIPELINE, 0.005, last=4))
    assert value(course) == pytest.approx(3.15, abs=0.06)
    assert course.steady()["classification"] == FLAT and course.extended == 0 and course.steady()["last_change"] is None


# --- made-up curves: the value and the name


def test_exponential_settling_with_noise_is_recovered():
    courses = of_processes(lambda number: 2 * (1 + 0.6 * math.exp(-number / 3)), 0.05)
    assert statistics.median(map(value, courses)) == pytest.approx(2, rel=0.03)
    assert share(courses, WARM_UP) >= 0.85


@pytest.mark.parametrize("at", range(2, 12))
def test_a_step_is_recovered_wherever_it_lies_before_the_last_timed_passes(at):
    courses = of_processes(lambda number: 3.1 if number < at else 2.0, 0.02, trials=40)
    right = [course for course in courses if abs(value(course) / 2 - 1) < 0.1 or not course.settled]
    assert len(right) >= 38 and share(courses, WARM_UP) + share(courses, FLAT) >= 0.8


def test_a_late_step_makes_the_timed_passes_warm_up_and_as_many_are_timed_again():
    course = run(curve(lambda number: 3.1 if number < 10 else 2.0, 0.01, 3))
    assert course.extended == 1 and course.phases().count(TIMED) == LIMITS.timed
    assert value(course) == pytest.approx(2, rel=0.02)


def test_a_process_that_becomes_slower_is_named_so_and_its_last_level_is_the_value():
    courses = of_processes(lambda number: 2.0 if number < 6 else 2.3, 0.02, trials=40)
    assert share(courses, SLOW_DOWN) >= 0.95
    assert statistics.median(map(value, courses)) == pytest.approx(2.3, rel=0.02)


def test_what_goes_on_drifting_is_never_steady():
    courses = of_processes(lambda number: 2 * 1.02**number, 0.01, spikes=0, trials=40)
    assert share(courses, UNSTEADY) >= 0.9


def test_levels_that_alternate_from_pass_to_pass_are_never_steady():
    courses = of_processes(lambda number: 2.0 + 0.3 * (number % 2), 0.01, spikes=0, trials=40)
    assert share(courses, UNSTEADY) >= 0.95


def test_levels_that_alternate_in_longer_turns_are_never_called_flat():
    """Who sees a dozen passes cannot know what the next dozen is like: but that there were two levels is seen."""
    courses = of_processes(lambda number: 2.0 + 0.4 * (number // 5 % 2), 0.01, spikes=0, trials=40)
    assert share(courses, FLAT) <= 0.05


def test_what_never_settles_ends_at_the_limit_with_timed_passes_all_the_same():
    course = run(curve(lambda number: (2.0, 3.0, 2.5)[number // 3 % 3], 0.005, 1))
    assert not course.settled and course.steady()["classification"] == UNSTEADY
    assert course.phases().count(TIMED) == LIMITS.timed and "shift" in course.steady()["reason"]


def test_a_flat_curve_is_hardly_ever_called_unsteady_whatever_its_noise():
    for noise in (0.01, 0.02, 0.03, 0.05):
        for images, seconds in ((16, 2.0), (48, 7.0)):
            courses = of_processes(lambda number, s=seconds: s * (1.5 if number == 0 else 1), noise, images)
            assert share(courses, UNSTEADY) < 0.05
            assert statistics.median(map(value, courses)) == pytest.approx(seconds, rel=0.02)


# --- when warm-up ends


def test_there_are_at_least_so_many_images_and_seconds_before_the_timed_passes():
    course = run(repeat(0.5), images=10, limits=replace(LIMITS, warm_images=100, warm_seconds=2))
    assert course.begin == 10
    course = run(repeat(0.5), images=1000, limits=replace(LIMITS, warm_images=100, warm_seconds=2))
    assert course.begin == 4


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_each_of_several_workers_sees_the_images_of_warm_up(workers):
    course = run(repeat(4.0), images=32, limits=Passes.of(SETTINGS, workers))
    assert course.begin == workers * SETTINGS["warm_images"] / 32


def test_warm_up_waits_while_the_run_time_compiles_more_than_usual():
    compiling = chain([5.0], [0.1] * 6, [2.0] * 4, repeat(0.1))
    course = run(repeat(2.0), settling=compiling)
    assert course.begin == 12 and course.settled
    assert run(repeat(2.0)).begin == 8


def test_a_run_time_that_compiles_in_the_timed_passes_had_not_settled():
    compiling = chain([0.0] * 9, [0.5] * 2, repeat(0.0))
    course = run(repeat(2.0), settling=compiling)
    assert course.extended == 1 and course.begin > 10 and course.settled


def test_a_run_time_that_compiles_in_every_pass_is_as_settled_as_it_will_be():
    course = run(repeat(2.0), settling=chain([9.0], repeat(0.2)))
    assert course.begin == 8 and course.settled


def test_pass_0_alone_cannot_show_that_a_compiling_run_time_has_settled():
    images = {"images": 200, "limits": LIMITS}
    assert run(repeat(40.0), settling=chain([20.0], repeat(0.5)), **images).begin == 2
    assert run(repeat(40.0), **images).begin == 1


def test_a_run_time_with_burst_after_burst_is_no_steady_state():
    course = run(repeat(2.0), settling=chain([0.0] * 2, [0.0, 0.0, 0.5] * 100))
    assert not course.settled and "run time" in course.steady()["reason"]


def test_a_pass_longer_than_the_limit_is_all_the_warm_up_there_is():
    course = run(repeat(7000.0), images=34_745, settling=chain([40.0], repeat(5.0)))
    assert course.phases() == [COLD, TIMED] and course.settled and course.steady()["warm_up_images"] == 34_745


def test_the_number_of_timed_passes_is_known_from_the_images_alone():
    assert [LIMITS.how_many(images) for images in (16, 48, 200, 3544, 34_745)] == [5, 5, 3, 1, 1]
    slow, fast = run(repeat(40.0), images=200), run(repeat(0.4), images=200)
    assert slow.phases().count(TIMED) == fast.phases().count(TIMED) == 3


@pytest.mark.parametrize("images", [16, 48, 200, 3544])
@pytest.mark.parametrize("seconds", [0.05, 2.0, 40.0, 700.0])
def test_what_is_expected_of_a_steady_process_is_what_it_takes(images, seconds):
    course = run(repeat(seconds), images)
    assert (course.begin, len(course.passes) - course.begin) == LIMITS.expected(images, seconds)


def test_the_phases_and_the_object_of_a_record_add_up():
    course = run(on(TENSORFLOW))
    phases, steady = course.phases(), course.steady()
    assert phases[0] == COLD and phases[1 : course.begin] == [WARMING] * (course.begin - 1)
    assert phases[course.begin :] == [TIMED] * 5
    assert steady["warm_up_images"] == 16 * course.begin
    assert steady["warm_up_seconds"] == pytest.approx(sum(one.seconds for one in course.passes[: course.begin]))


def test_passes_that_have_ended_give_the_course_that_they_had_and_those_of_a_failure_what_it_came_to():
    course = run(on(ANOTHER_PROCESS))
    again = follow(LIMITS, 16, course.passes)
    assert (again.phases(), again.steady()) == (course.phases(), course.steady())
    assert follow(LIMITS, 16, course.passes[:3]).phases() == [COLD, WARMING, WARMING]
    assert follow(LIMITS, 16, []).phases() == []


# --- the parts


def test_change_points_are_those_that_ruptures_finds():
    """Where levels are clear, the exact search of a well-known library finds the same places."""
    import numpy
    import ruptures

    for seed in range(20):
        rng = random.Random(seed)
        lengths = [rng.randint(4, 8) for _ in range(3)]
        means = [0.0, 0.3, 0.1]
        logs = [rng.gauss(mean, 0.01) for mean, length in zip(means, lengths, strict=True) for _ in range(length)]
        found = ruptures.Dynp(model="l2", min_size=2, jump=1).fit(numpy.array(logs)).predict(n_bkps=2)
        assert levels(logs, 0.03) == found[:-1]


def test_one_or_two_slow_passes_are_spikes_and_three_are_a_level():
    base = [3.0, *[2.0] * 12]
    for slow, found in (([6], []), ([6, 7], []), ([6, 7, 8], [6, 9])):
        seconds = [2.6 if number in slow else one for number, one in enumerate(base)]
        assert changes(seconds, 0.03) == found
    assert without_spikes([3.0, 2.0, 2.0, 2.6, 2.0, 2.0])[3] == pytest.approx(math.log(2))


def test_fast_passes_are_no_spikes():
    assert without_spikes([3.0, 3.0, 3.0, 2.0, 3.0])[3] == pytest.approx(math.log(2))


def test_a_slope_is_told_from_a_step_and_from_noise():
    rng = random.Random(4)
    noise = [rng.gauss(0, 0.01) for _ in range(10)]
    assert drifts([0.01 * number + one for number, one in enumerate(noise)], 5, 0.03)
    assert not drifts(noise, 5, 0.03)
    assert not drifts([(0.1 if number < 5 else 0.0) + one for number, one in enumerate(noise)], 5, 0.03)
    assert not drifts([0.001 * number for number in range(10)], 5, 0.03)


def test_after_the_most_seconds_nothing_is_extended():
    limits = Passes(warm_images=1, warm_seconds=0, shift=0.05, settling=1, timed=6, timed_images=1000, extensions=3,
                    most_seconds=10)  # fmt: skip
    course = follow(limits, 10, [Pass(seconds, 0.0) for seconds in (5.0, *[3.0] * 3, *[6.0] * 3)])
    assert course.begin == 1 and not course.settled and course.extended == 0


def test_a_new_level_that_begins_with_the_timed_passes_is_theirs():
    limits = Passes(warm_images=40, warm_seconds=0, shift=0.05, settling=1, timed=4, timed_images=1000, extensions=3,
                    most_seconds=1000)  # fmt: skip
    course = follow(limits, 10, [Pass(seconds, 0.0) for seconds in (1.3, 1.2, 1.2, 1.2, 1.0, 1.0, 1.0, 1.0)])
    assert course.begin == 4 and course.settled and course.extended == 0
