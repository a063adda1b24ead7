"""What each decoder takes, how far its pixels lie from Pillow's, and which labels change by that.

python tests/benchmarks/decoders.py IMAGES MODEL

IMAGES is a folder of JPEG files, such as resources/datasets/full-photos-200-…/images, MODEL the form of a model that
ONNX Runtime loads, resources/models/…/onnxruntime-float32. Prints a row a decoder: milliseconds of processor time an
image, reading included, median and range of the rounds, which are interleaved; the largest and the mean difference of
the pixels (of 255); labels that change, and the largest difference of a label's probability.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy

# As a command, this file has no path to the library.
sys.path[:0] = [str(Path(__file__).parents[2] / "scripts"), str(Path(__file__).parents[1])]

from vitbench.frameworks import Task  # noqa: E402
from vitbench.frameworks.decoders import LOADERS, PIL  # noqa: E402
from vitbench.frameworks.onnxruntime.adapter import Adapter  # noqa: E402

ROUNDS = 7


def milliseconds(paths: list[str]) -> dict[str, list[float]]:
    """Decoder → milliseconds of processor time an image in each round."""
    found: dict[str, list[float]] = {name: [] for name in LOADERS}
    for _ in range(ROUNDS):
        for name, load in LOADERS.items():
            begin = time.process_time()
            for path in paths:
                load(path).load()
            found[name].append(1000 * (time.process_time() - begin) / len(paths))
    return found


def differences(name: str, paths: list[str]) -> tuple[int, float]:
    """The largest and the mean absolute difference between a decoder's pixels and Pillow's."""
    largest, total, count = 0, 0, 0
    for path in paths:
        one, other = (numpy.asarray(LOADERS[which](path), dtype=numpy.int16) for which in (PIL, name))
        apart = numpy.abs(one - other)
        largest, total, count = max(largest, int(apart.max())), total + int(apart.sum()), count + apart.size
    return largest, total / count


def answers(name: str, paths: list[str], model: Path) -> list[tuple[str, float]]:
    """Label and probability of each image, by ONNX Runtime in float32."""
    images = [(path, path) for path in paths]
    settings = {"image_processor": "pil", "threads_a_slot": 1, "decoder": name}
    task = Task(settings, "cpu", 1, 8, 2, images, "", str(model), [], "", "")
    adapter = Adapter(task)
    adapter.start()
    adapter.load()
    found = [(one.label, one.score) for one in adapter.classify()]
    adapter.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("model", type=Path)
    options = parser.parse_args()
    paths = sorted(str(path) for path in options.images.rglob("*.jp*g"))
    taken = milliseconds(paths)
    base = answers(PIL, paths, options.model)
    print(f"{len(paths)} images")
    print("| decoder | ms an image | largest, mean pixel difference | labels changed | probability |")
    print("| --- | --- | --- | --- | --- |")
    for name in LOADERS:
        largest, mean = differences(name, paths)
        now = answers(name, paths, options.model)
        changed = sum(one[0] != other[0] for one, other in zip(base, now, strict=True))
        score = max(abs(one[1] - other[1]) for one, other in zip(base, now, strict=True))
        spread = f"{statistics.median(taken[name]):.2f} [{min(taken[name]):.2f}, {max(taken[name]):.2f}]"
        print(f"| {name} | {spread} | {largest}, {mean:.4f} | {changed} of {len(paths)} | {score:.1e} |")


if __name__ == "__main__":
    main()
