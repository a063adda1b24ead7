"""It waits for each image, beside a process of its own, as an engine has one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import psutil

from vitbench.frameworks import Plain, Prediction, Task

SECONDS = 0.05


class Adapter(Plain):
    streams = True

    def __init__(self, task: Task) -> None:
        self.task = task

    def start(self) -> None:
        self.engine = subprocess.Popen(["sleep", "1000"], start_new_session=True)

    def load(self) -> None:
        """There is nothing to load."""

    def classify(self) -> Iterator[Prediction]:
        for image, _ in self.task.images:
            time.sleep(SECONDS)
            yield Prediction(image, "astronaut", 0.9)

    def settling_seconds(self) -> float:
        return 0.0

    def collecting_seconds(self) -> float | None:
        return None

    def describe(self) -> dict[str, Any]:
        size, count = self.task.batch_size, len(self.task.images)
        return {
            "accelerator": "cpu",
            "precision": "float32",
            "setting": "waiting",
            "threads": 1,
            "slots": 1,
            "partitions": None,
            "partition_rows": None,
            "batches": "observed",
            "effective_batch_sizes": {str(size): count // size},
            "versions": {"psutil": psutil.__version__},
            "environment": {},
        }

    def close(self) -> None:
        self.engine.kill()
