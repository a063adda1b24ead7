"""How often the rule that ends warm-up is wrong: simulated processes with known levels, noise and spikes.

python tests/benchmarks/steady_rule.py [--trials 2000]    # prints the tables of docs/methodology.md; some minutes
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from vitbench.steady import UNSTEADY, Course, Pass, Passes  # noqa: E402

LIMITS = Passes(**yaml.safe_load((ROOT / "config" / "config.yaml").read_text())["passes"])
NOISES = (0.01, 0.02, 0.03, 0.05)
SPIKES = 0.05  # share of passes that are 10 to 60% slower


def follow(level: Callable[[int], float], images: int, noise: float, rng: random.Random) -> tuple[Course, float]:
    """The course of one process, and the value that its repeat would have."""
    course, more = Course(LIMITS, images), True
    while more:
        spike = rng.uniform(1.1, 1.6) if rng.random() < SPIKES else 1.0
        seconds = level(len(course.passes)) * math.exp(rng.gauss(0, noise)) * spike
        more = course.add(Pass(seconds, 0.0))
    return course, statistics.median(one.seconds for one in course.passes[course.begin :])


def flat(trials: int, rng: random.Random) -> None:
    """Processes that are flat from pass 1 on: called unsteady, extended, and how far off the value is."""
    print("| images | noise | called unsteady | extended | passes, mean (least) | CV of the value |")
    print("| --- | --- | --- | --- | --- | --- |")
    for images, seconds in ((16, 2.0), (32, 4.5), (48, 7.0)):
        for noise in NOISES:
            found = [follow(lambda n, s=seconds: s * (1.5 if n == 0 else 1), images, noise, rng) for _ in range(trials)]
            unsteady = sum(not course.settled for course, _ in found) / trials
            extended = sum(course.extended > 0 for course, _ in found) / trials
            passes = [len(course.passes) for course, _ in found]
            spread = statistics.stdev(value for _, value in found) / seconds
            print(f"| {images} | {noise:.0%} | {unsteady:.1%} | {extended:.1%} | "
                  f"{statistics.mean(passes):.1f} ({min(passes)}) | {spread:.1%} |", flush=True)  # fmt: skip


def shifts(trials: int, rng: random.Random) -> None:
    """Processes that become faster in the third timed pass: how often this was seen."""
    print(
        "\n| shift at the third timed pass | " + " | ".join(f"noise {noise:.1%}" for noise in (0.005, *NOISES)) + " |"
    )
    print("| --- " * 6 + "|")
    begin, images, seconds = 8, 16, 2.0
    for size in (0.03, 0.05, 0.10, 0.30):
        seen = []
        for noise in (0.005, *NOISES):
            found = [
                follow(lambda n, s=size: seconds * (1 + s if n < begin + 2 else 1), images, noise, rng)[0]
                for _ in range(trials)
            ]
            seen.append(sum(course.begin > begin or not course.settled for course in found) / trials)
        print(f"| {size:.0%} | " + " | ".join(f"{one:.0%}" for one in seen) + " |", flush=True)


def curves(trials: int, rng: random.Random) -> None:
    """Other curves: what they are called and what value comes out, against the level at the end."""
    named: dict[str, Callable[[int], float]] = {
        "exponential, 3 passes, 5% noise": lambda n: 2 * (1 + 0.6 * math.exp(-n / 3)),
        "exponential, 8 passes, 5% noise": lambda n: 2 * (1 + 0.6 * math.exp(-n / 8)),
        "plateau of 1.5 times until pass 5": lambda n: 3.0 if n < 5 else 2.0,
        "plateau of 1.5 times until pass 11": lambda n: 3.0 if n < 11 else 2.0,
        "slower by 15% from pass 6 on": lambda n: 2.0 if n < 6 else 2.3,
        "drift of 1% a pass": lambda n: 2 * 1.01**n,
        "every other pass 15% slower": lambda n: 2.3 if n % 2 else 2.0,
        "15% slower for 4 passes of 8": lambda n: 2.3 if n // 4 % 2 else 2.0,
    }
    print("\n| curve (16 images, 2 s a pass) | called | value: 5%, median, 95% |")
    print("| --- | --- | --- |")
    for name, level in named.items():
        noise = 0.05 if "5% noise" in name else 0.02
        found = [follow(level, 16, noise, rng) for _ in range(trials)]
        calls = [course.steady()["classification"] for course, _ in found]
        shares = ", ".join(
            f"{call} {calls.count(call) / trials:.0%}" for call in sorted(set(calls), key=calls.count, reverse=True)
        )
        values = sorted(value for course, value in found if course.steady()["classification"] != UNSTEADY) or [math.nan]
        low, high = (values[int(share * (len(values) - 1))] for share in (0.05, 0.95))
        print(f"| {name} | {shares} | {low:.2f}, {statistics.median(values):.2f}, {high:.2f} |", flush=True)


def sizes() -> None:
    """Passes and seconds of a steady repeat by images a pass and speed."""
    print("\n| images a pass | at 5 images/s: warm-up + timed, seconds of passes | at 500 images/s |")
    print("| --- | --- | --- |")
    for images in (16, 32, 48, 200, 3544, 34_745):
        told = []
        for rate in (5, 500):
            before, timed = LIMITS.expected(images, images / rate)
            told.append(f"{before} + {timed}, {(before + timed) * images / rate:,.1f} s")
        print(f"| {images:,} | " + " | ".join(told) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    rng = random.Random(1)
    flat(trials, rng)
    shifts(trials, rng)
    curves(trials, rng)
    sizes()


if __name__ == "__main__":
    main()
