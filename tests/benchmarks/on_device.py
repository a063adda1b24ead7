"""What preparing images on the device takes and changes: the setting `on_device` of huggingface, way by way.

python tests/benchmarks/on_device.py IMAGES MODEL [--device gpu]

IMAGES is a folder of JPEG files, such as resources/datasets/full-photos-…/images, MODEL a checkpoint's folder, such as
resources/models/…/checkpoint. Prints a row a way: milliseconds an image of a worker (one core: what it hands over) and
of the device (decoding, resizing, normalising of batches of 64, waited for), median and range of the rounds, which are
interleaved; pixels that the model gets against those of the workers' own way on Pillow, as the largest and the mean
difference in steps of 255; labels that change, and the largest difference of a label's probability, in float32.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# As a command, this file has no path to the library.
sys.path[:0] = [str(Path(__file__).parents[2] / "scripts"), str(Path(__file__).parents[1])]

import torch  # noqa: E402

from vitbench.frameworks import Task  # noqa: E402
from vitbench.frameworks.huggingface.dataloader import Adapter  # noqa: E402

ROUNDS, BATCH = 5, 64
# Way → settings; the first is what the others are held against.
WAYS: dict[str, dict[str, str]] = {
    "workers, Pillow": {"image_processor": "pil"},
    "workers, torchvision": {"image_processor": "torchvision"},
    "preprocessing": {"image_processor": "torchvision", "on_device": "preprocessing"},
    "decoding": {"image_processor": "torchvision", "on_device": "decoding"},
}


def adapter_of(settings: dict[str, str], paths: list[str], model: Path, device: str) -> Adapter:
    """The adapter of a way, without workers, its model loaded."""
    variant = {"runner": "dataloader", "loader_workers": 0, "precision": "float32"} | settings
    images = [(path, path) for path in paths]
    adapter = Adapter(Task(variant, device, 1, BATCH, torch.get_num_threads(), images, "", str(model), [], "", ""))
    adapter.start()
    adapter.load()
    return adapter


def waited_for(adapter: Adapter, work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds until the device has done it, and what it returned."""
    begin = time.perf_counter()
    done = work()
    if adapter.accelerator == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin, done


def round_of(adapter: Adapter, paths: list[str]) -> tuple[float, float, Any]:
    """Milliseconds an image of a worker and of the device, and the pixels of all images in the computer's memory."""
    prepare, worker, device, pixels = adapter.prepare, 0.0, 0.0, []
    for first in range(0, len(paths), BATCH):
        begin = time.process_time()
        part = prepare.collect([prepare.hand_over(path) for path in paths[first : first + BATCH]])
        worker += time.process_time() - begin
        seconds, batch = waited_for(adapter, lambda part=part: prepare.batch([prepare.begin(part)]))
        device += seconds
        pixels.append(batch.cpu())
    return 1000 * worker / len(paths), 1000 * device / len(paths), torch.cat(pixels)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    options = parser.parse_args()
    paths = sorted(str(path) for path in options.images.rglob("*.jp*g"))
    # One thread: what a worker has.
    torch.set_num_threads(1)
    adapters = {name: adapter_of(one, paths, options.model, options.device) for name, one in WAYS.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    pixels = {}
    for _ in range(ROUNDS):
        for name, adapter in adapters.items():
            *milliseconds, pixels[name] = round_of(adapter, paths)
            taken[name].append(tuple(milliseconds))
    answers = {name: list(adapter.classify()) for name, adapter in adapters.items()}
    base, *_ = WAYS
    steps = 255 * torch.tensor(adapters[base].processor.image_std).view(1, 3, 1, 1)
    accelerator = adapters[base].describe()["accelerator"]
    print(f"{len(paths)} images, {ROUNDS} rounds, {accelerator}, torch {torch.__version__}")
    print("| on the device | worker, ms an image | device, ms an image | pixels | labels changed | probability |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, rounds in taken.items():
        apart = (pixels[name] - pixels[base]).abs() * steps
        pairs = list(zip(answers[base], answers[name], strict=True))
        changed = sum(one.label != other.label for one, other in pairs)
        score = max(abs(one.score - other.score) for one, other in pairs)
        worker, device = (spread(list(column)) for column in zip(*rounds, strict=True))
        far = f"{apart.max():.1f}, {apart.mean():.3f}"
        print(f"| {name} | {worker} | {device} | {far} | {changed} of {len(paths)} | {score:.1e} |")


if __name__ == "__main__":
    main()
