"""What a way in, files or bytes, and a way out, answers to the driver or into Parquet, cost an image: a table of
docs/classify.md.

`python tests/benchmarks/in_out.py [--images 500] [--rounds 30] [--seed 0]`, in an empty folder. One session of Spark
and the model of two layers, of whose passes a way is a large part; passes of all four ways take turns within it, each
round in another order, so that a machine that is slower for minutes is so for all of them. Each difference is that of
passes of one round, with the 95% interval of Student's t over the rounds: of one process, and of no other. Takes
minutes: no test. Whole repeats of the four ways: config/in_out.yaml.
"""

import argparse
import random
import statistics
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import scipy

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

import tiny  # noqa: E402

from vitbench.frameworks.declaration import BYTES, COLLECT, FILES, PARQUET  # noqa: E402
from vitbench.inputs import contents, photographs  # noqa: E402

VARIANT = "spark-onnxruntime/float32"
WAYS = [(FILES, COLLECT), (BYTES, COLLECT), (FILES, PARQUET), (BYTES, PARQUET)]
# What a process does before anything is timed: short passes for Spark's planner, then rounds.
SHORT_PASSES, WARM_ROUNDS = 100, 5


def adapter_of(place: Path, images: int, seed: int) -> Any:
    """The adapter of VARIANT on so many photographs below `place`, which are written there as files and as bytes."""
    task = tiny.task(tiny.make(place), VARIANT, batch_size=8)
    given = []
    for number, crop in enumerate(photographs.crops(images, seed, "full")):
        path = place / f"{number:06d}.jpg"
        path.write_bytes(crop.jpeg)
        given.append((path.stem, str(path)))
    contents.write(place / "bytes", given, task.threads)
    return import_module(tiny.module(VARIANT)).Adapter(replace(task, images=given, contents=str(place / "bytes")))


def timed(adapter: Any, way: tuple[str, str]) -> tuple[float, dict[str, str]]:
    """Seconds of a pass this way, and its label of each image."""
    adapter.input, adapter.sink = way
    begin = time.perf_counter()
    answers = list(adapter.classify())
    seconds = time.perf_counter() - begin
    answers += adapter.written()
    assert len(answers) == len(adapter.task.images)
    return seconds, {one.id: one.label for one in answers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("images", 500), ("rounds", 30), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=number)
    options = parser.parse_args()
    adapter, chance = (
        adapter_of(Path("in and out").resolve(), options.images, options.seed),
        random.Random(options.seed),
    )
    seconds: dict[tuple[str, str], list[float]] = {way: [] for way in WAYS}
    labels = []
    adapter.start()
    try:
        adapter.load()
        for number in range(SHORT_PASSES):
            adapter.input, adapter.sink = WAYS[number % len(WAYS)]
            adapter.short_pass()
        for number in range(WARM_ROUNDS + options.rounds):
            for way in chance.sample(WAYS, len(WAYS)):
                took, said = timed(adapter, way)
                labels.append(said)
                if number >= WARM_ROUNDS:
                    seconds[way].append(took)
    finally:
        adapter.close()
    assert all(one == labels[0] for one in labels)
    print(
        "| input | sink | ms an image, median | more than files and collect, ms an image |",
        "| --- | --- | --- | --- |",
        sep="\n",
    )
    for way, taken in seconds.items():
        each = [1000 * one / options.images for one in taken]
        more = [1000 * (one - usual) / options.images for one, usual in zip(taken, seconds[WAYS[0]], strict=True)]
        mean, error = statistics.mean(more), statistics.stdev(more) / len(more) ** 0.5
        reach = scipy.stats.t.ppf(0.975, len(more) - 1) * error
        said = f"{mean:+.3f} [{mean - reach:+.3f}, {mean + reach:+.3f}], n = {len(more)}" if way != WAYS[0] else "–"
        print(f"| `{way[0]}` | `{way[1]}` | {statistics.median(each):.2f} | {said} |")


if __name__ == "__main__":
    main()
