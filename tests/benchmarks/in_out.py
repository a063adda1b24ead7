"""What a way in, files or bytes, and a way out, to the driver or into Parquet, cost a pass and an image: a table of
docs/classify.md.

`python tests/benchmarks/in_out.py [--images 100 1000] [--rounds 20] [--seed 0]`, in an empty folder. One session of
Spark and the model of two layers, of whose passes a way is a large part. Within it passes of the four ways on two
numbers of images take turns, each round in another order, so that a machine that is slower for minutes is so for all of
them. Of each round the line through both numbers of images says what a way takes more than files and collect for each
pass, however many images it has, and for each image. Printed are the means over the rounds with the 95% interval of
Student's t: rounds of one process, which tell nothing of another one. Takes minutes: no test. Whole repeats of the four
ways: config/in_out.yaml.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import scipy

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

import tiny  # noqa: E402

from vitbench.frameworks.declaration import BYTES, COLLECT, FILES, PARQUET  # noqa: E402
from vitbench.inputs import contents, photographs  # noqa: E402
from vitbench.measure.processes import machine_lock  # noqa: E402

VARIANT = "spark-onnxruntime/float32"
WAYS = [(FILES, COLLECT), (BYTES, COLLECT), (FILES, PARQUET), (BYTES, PARQUET)]
# What a process does before anything counts: short passes for Spark's planner, so many of each way, then rounds.
SHORT_PASSES, WARM_ROUNDS = 25, 3
# Where images lie: (id, path) of each, and the folder of the Parquet files that hold them.
Given = tuple[list[tuple[str, str]], str]


def written(place: Path, numbers: list[int], seed: int, files: int) -> dict[int, Given]:
    """Number of images → the first so many photographs, as files below `place` and as so many Parquet files."""
    every = []
    for number, crop in enumerate(photographs.crops(max(numbers), seed, "full")):
        path = place / f"{number:06d}.jpg"
        path.write_bytes(crop.jpeg)
        every.append((path.stem, str(path)))
    for number in numbers:
        contents.write(place / f"bytes-{number}", every[:number], files)
    return {number: (every[:number], str(place / f"bytes-{number}")) for number in numbers}


def timed(adapter: Any, way: tuple[str, str], images: Given) -> float:
    """Seconds of a pass this way; every image has one answer."""
    adapter.input, adapter.sink = way
    adapter.give(images[0], adapter.task.images_folder, images[1])
    begin = time.perf_counter()
    answers = list(adapter.classify())
    seconds = time.perf_counter() - begin
    answers += adapter.written()
    assert sorted(one.id for one in answers) == [image for image, _ in images[0]]
    return seconds


def rounds(adapter: Any, given: dict[int, Given], count: int, seed: int) -> Iterator[dict[Any, float]]:
    """(way, number of images) → seconds of its pass, of each round that counts."""
    chance, every = random.Random(seed), list(product(WAYS, given))
    for way in WAYS * SHORT_PASSES:
        adapter.input, adapter.sink = way
        adapter.short_pass()
    for number in range(WARM_ROUNDS + count):
        taken = {(way, images): timed(adapter, way, given[images]) for way, images in chance.sample(every, len(every))}
        if number >= WARM_ROUNDS:
            yield taken


def interval(values: list[float]) -> str:
    """The mean with its 95% interval by Student's t."""
    mean, error = statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5
    reach = scipy.stats.t.ppf(0.975, len(values) - 1) * error
    return f"{mean:+.2f} [{mean - reach:+.2f}, {mean + reach:+.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs=2, default=[100, 1000])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    few, many = sorted(options.images)
    place = tiny.make(Path("in and out").resolve())
    task = tiny.task(place, VARIANT, batch_size=8)
    given = written(place, [few, many], options.seed, task.threads)
    adapter = import_module(tiny.module(VARIANT)).Adapter(replace(task, images=given[few][0], contents=given[few][1]))
    with machine_lock():
        adapter.start()
        try:
            adapter.load()
            taken = list(rounds(adapter, given, options.rounds, options.seed))
        finally:
            adapter.close()
    for each in given:
        usual = 1000 * statistics.mean(one[WAYS[0], each] for one in taken)
        print(f"{len(taken)} rounds: a pass of {each} images with `files` and `collect` takes {usual:.0f} ms (mean)")
    print("| input | sink | more for each pass, ms | more for each image, ms | the same, first half | second half |")
    print("| --- | --- | --- | --- | --- | --- |")
    for way in WAYS[1:]:
        more = [{each: 1000 * (one[way, each] - one[WAYS[0], each]) for each in given} for one in taken]
        slopes = [(each[many] - each[few]) / (many - few) for each in more]
        passes = [each[few] - few * slope for each, slope in zip(more, slopes, strict=True)]
        half = len(slopes) // 2
        cells = [interval(passes), *map(interval, (slopes, slopes[:half], slopes[half:]))]
        print(f"| `{way[0]}` | `{way[1]}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
