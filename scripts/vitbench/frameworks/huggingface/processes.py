"""Hugging Face transformers in several processes, each with its share of the images: Spark's slots, without Spark.

Threads that work on one batch wait for each other after every layer; processes with a batch of their own do not, and
decode while another multiplies. Each holds a copy of the weights. What a process does with its share is what the same
settings without `threads_a_process` do with all images.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from importlib import import_module
from typing import Any

from vitbench.frameworks import ADAPTERS, Plain, Prediction, Task, Unavailable
from vitbench.frameworks.huggingface import workers

# In a process that was started here, the adapter of its share.
_own: Any = None


def shares(images: list[Any], count: int) -> list[list[Any]]:
    """`images` in `count` runs whose lengths differ by one at most, in order; with fewer images the last are empty."""
    filled = max(1, min(count, len(images)))
    cuts = [len(images) * number // filled for number in range(filled + 1)]
    runs = [images[begin:end] for begin, end in zip(cuts, cuts[1:], strict=False)]
    return runs + [[]] * (count - filled)


def _start(module: str, task: Task) -> None:
    global _own
    _own = import_module(module).Adapter(task)
    _own.start()


def _give(images: list[tuple[str, str]], folder: str) -> None:
    _own.give(images, folder)


def _call(method: str) -> Any:
    """What a method of this process's adapter returns; of `classify`, all predictions of a pass."""
    if method == "classify":
        return list(_own.classify()) if _own.task.images else []
    return getattr(_own, method)()


class Adapter(Plain):
    streams = False

    def __init__(self, task: Task) -> None:
        self.task = task
        self.threads = task.variant["threads_a_process"]
        self.helpers_stay = workers.stay(task.variant, self.threads)
        # As many as the machine takes, also where the first part of a job has fewer images: the next one has more.
        self.shares = shares(task.images, max(1, task.threads // self.threads))

    def start(self) -> None:
        if self.task.device != "cpu":
            raise Unavailable("several processes share the cores of a CPU: leave the variant out on a GPU")
        # An interpreter of their own: a fork would copy torch's threads half.
        context = multiprocessing.get_context("spawn")
        # Each has a pool of its own, so that it gets the same share in every pass.
        self.processes = [ProcessPoolExecutor(1, context) for _ in self.shares]
        inner = {key: value for key, value in self.task.variant.items() if key != "threads_a_process"}
        module = ADAPTERS["huggingface"](inner)
        tasks = [replace(self.task, variant=inner, threads=self.threads, images=share) for share in self.shares]
        self._all(_start, [(module, task) for task in tasks])

    def _all(self, function: Callable[..., Any], arguments: list[tuple]) -> list[Any]:
        """Call a function in each process at the same time; what each returns."""
        begun = [process.submit(function, *given) for process, given in zip(self.processes, arguments, strict=True)]
        try:
            return [one.result() for one in begun]
        except BrokenProcessPool as error:
            # Whoever calls may have a pool of its own, of which this says nothing.
            raise MemoryError(
                f"one of {len(begun)} processes was killed, most often for lack of memory: fewer of them need less"
            ) from error

    def _each(self, method: str) -> list[Any]:
        return self._all(_call, [(method,)] * len(self.processes))

    def load(self) -> None:
        self._each("load")

    def give(self, images: list[tuple[str, str]], folder: str, contents: str | None = None) -> None:
        super().give(images, folder, contents)
        self.shares = shares(images, len(self.processes))
        self._all(_give, [(share, folder) for share in self.shares])

    def classify(self) -> Iterator[Prediction]:
        for predictions in self._each("classify"):
            yield from predictions

    def settling_seconds(self) -> float:
        return sum(self._each("settling_seconds"))

    def collecting_seconds(self) -> None:
        return None  # Python counts no time for it

    def describe(self) -> dict[str, Any]:
        """As one process tells it, with the batches of all; each proves its own precision."""
        told = self._each("describe")
        sizes: Counter[str] = Counter()
        for one in told:
            sizes.update(one["effective_batch_sizes"])
        rows = Counter(str(len(share)) for share in self.shares if share)
        each = f"{self.threads} thread{'' if self.threads == 1 else 's'} each"
        return told[0] | {
            "setting": f"{told[0]['setting']}, {len(self.shares)} processes, {each}",
            "threads": self.threads,
            "slots": len(self.shares),
            "partitions": rows.total(),
            "partition_rows": dict(rows),
            "effective_batch_sizes": dict(sorted(sizes.items(), key=lambda item: int(item[0]))),
        }

    def close(self) -> None:
        """Stop the processes."""
        self._each("close")
        for process in self.processes:
            process.shutdown()
