"""Batches of images through the model, one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from vitbench.frameworks import Plain, Prediction, Task


class Adapter(Plain):
    streams = True

    def __init__(self, task: Task) -> None:
        self.task = task
        self.batches: Counter[int] = Counter()

    def start(self) -> None:
        import torch

        torch.set_num_threads(self.task.threads)

    def load(self) -> None:
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        self.processor = AutoImageProcessor.from_pretrained(self.task.model, backend="pil")
        self.model = AutoModelForImageClassification.from_pretrained(self.task.model).eval()

    def classify(self) -> Iterator[Prediction]:
        import torch
        from PIL import Image

        self.batches.clear()
        size = self.task.batch_size
        for begin in range(0, len(self.task.images), size):
            batch = self.task.images[begin : begin + size]
            self.batches[len(batch)] += 1
            pixels = self.processor([Image.open(path).convert("RGB") for _, path in batch], return_tensors="pt")
            with torch.inference_mode():
                shares = self.model(**pixels).logits.softmax(-1)
            for (image, _), (score, label) in zip(batch, zip(*shares.max(-1), strict=True), strict=True):
                yield Prediction(image, self.model.config.id2label[int(label)], float(score))

    def settling_seconds(self) -> float:
        """Nothing compiles while it runs."""
        return 0.0

    def collecting_seconds(self) -> None:
        """Nothing counts it."""

    def describe(self) -> dict[str, Any]:
        import torch

        return {
            "accelerator": "cpu",
            "precision": "float32",
            "setting": f"PyTorch {torch.__version__.split('+')[0]}, a plain loop",
            "threads": torch.get_num_threads(),
            "slots": 1,
            "partitions": None,
            "partition_rows": None,
            "batches": "observed",
            "effective_batch_sizes": {str(size): count for size, count in sorted(self.batches.items())},
            "versions": {"torch": torch.__version__},
            "environment": {},
        }

    def close(self) -> None:
        """Nothing to stop: the process ends."""
