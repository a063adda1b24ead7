"""What it costs the process that feeds a device when workers hand over images as one tensor each, or end to end in one.

python tests/benchmarks/handing_over.py

Two workers make images of zeros, as large as a photograph's file and as one that is decoded; nothing else is done. In
parts of 8 they are handed over as a list of tensors, and as `on_device` does it, in one tensor. Prints a row each:
milliseconds an image, waited for and of that process's own processor time, median and range of the rounds, which are
interleaved.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Any

# As a command, this file has no path to the library.
sys.path[:0] = [str(Path(__file__).parents[2] / "scripts")]

import torch  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from vitbench.frameworks.huggingface.dataloader import HANDED_OVER, PREFETCHED  # noqa: E402
from vitbench.frameworks.huggingface.preparation import OnDevice  # noqa: E402

ROUNDS, IMAGES = 7, 1536
KINDS = {"a file of 40 kB": (40_000,), "decoded, 500 × 375": (3, 375, 500)}
WAYS = {"one tensor each": list, "one tensor of eight": OnDevice(None, lambda _: None, "cpu").collect}


class Zeros(Dataset):
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, _: int) -> torch.Tensor:
        return torch.zeros(self.shape, dtype=torch.uint8)


def loader_of(shape: tuple[int, ...], collect: Any) -> DataLoader:
    return DataLoader(
        Zeros(shape),
        batch_size=HANDED_OVER,
        num_workers=2,
        prefetch_factor=PREFETCHED,
        persistent_workers=True,
        collate_fn=collect,
    )


def milliseconds(loader: DataLoader) -> tuple[float, float]:
    """An image's, waited for and of this process's own processor time."""
    begin, own = time.perf_counter(), time.process_time()
    for _ in loader:
        pass
    return 1000 * (time.perf_counter() - begin) / IMAGES, 1000 * (time.process_time() - own) / IMAGES


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def main() -> None:
    loaders = {(kind, way): loader_of(KINDS[kind], WAYS[way]) for kind in KINDS for way in WAYS}
    for loader in loaders.values():
        milliseconds(loader)  # the workers begin
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in loaders}
    for _ in range(ROUNDS):
        for key, loader in loaders.items():
            taken[key].append(milliseconds(loader))
    print(f"{IMAGES} images, {ROUNDS} rounds, torch {torch.__version__}")
    print("| image | handed over | waited for, ms an image | own processor time, ms an image |")
    print("| --- | --- | --- | --- |")
    for (kind, way), rounds in taken.items():
        waited, own = (spread(list(column)) for column in zip(*rounds, strict=True))
        print(f"| {kind} | {way} | {waited} | {own} |")


if __name__ == "__main__":
    main()
