"""Hugging Face transformers: `pipeline("image-classification")` over the files, as the article runs it.

With `loader_workers` its own DataLoader has so many processes, which read, decode and preprocess while the model runs.
They begin and end with each call, hence with each pass.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from vitbench.frameworks import Plain, Prediction, Task, Unavailable
from vitbench.frameworks.huggingface import precision, precision_of, workers
from vitbench.processor import multiplies_bfloat16


def dataset_of_paths(paths: list[str]) -> Any:
    """The torch data set of the article's notebooks: it hands out paths, and the pipeline reads the files."""
    from torch.utils.data import Dataset

    class Paths(Dataset):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, index: int) -> str:
            return paths[index]

    return Paths()


class Adapter(Plain):
    streams = True

    def __init__(self, task: Task) -> None:
        self.task = task
        self.batches: Counter[int] = Counter()
        self.precision = precision_of(task.variant)

    def start(self) -> None:
        import torch
        import transformers

        transformers.utils.logging.disable_progress_bar()
        torch.set_num_threads(self.task.threads)
        self.accelerator = "cpu"
        if self.task.device == "gpu":
            if torch.cuda.is_available():
                self.accelerator = "cuda"
            elif torch.backends.mps.is_available():
                self.accelerator = "mps"
            else:
                raise Unavailable("torch sees no GPU: install a driver, or leave gpu out of `devices`")
        self._check_processor()

    def _check_processor(self) -> None:
        """Raise Unavailable where the processor has no such products, or only emulates them."""
        import torch

        there = {"float32": True, "tensorfloat32": False, "bfloat16": True, "float16": True}
        # torch's eager quantisation is for processors alone.
        there["int8"] = self.accelerator == "cpu"
        if self.accelerator == "cpu":
            # Only whoever asks for it waits for what reads the processor's flags.
            there["bfloat16"] = self.precision == "bfloat16" and multiplies_bfloat16()
            there["float16"] = torch.cpu._is_amx_fp16_supported()
        elif self.accelerator == "cuda":
            capability = torch.cuda.get_device_capability()
            there |= {"tensorfloat32": capability >= (8, 0), "bfloat16": capability >= (8, 0)}
            there["float16"] = capability >= (7, 0)
        if not there[self.precision]:
            raise Unavailable(f"this {self.accelerator} has no products in {self.precision}: leave the variant out")

    def load(self) -> None:
        import torch
        from transformers import AutoImageProcessor, pipeline

        processor = AutoImageProcessor.from_pretrained(self.task.model, backend=self.task.variant["image_processor"])
        # Where a variant does not name it, it is left to transformers, as the article leaves it.
        told = {"dtype": getattr(torch, self.precision)} if "dtype" in self.task.variant else {}
        self.pipeline = pipeline(
            "image-classification",
            model=self.task.model,
            image_processor=processor,
            device=self.accelerator,
            **told,
        )
        self.model = self.pipeline.model
        self.layer = precision.layer_of(self.model)
        self.workers = workers.number(self.task.variant.get("loader_workers", 0), self.task.threads)
        self.helpers_stay = workers.stay(self.task.variant, self.task.threads)
        if self.workers:
            workers.name_sockets_shortly()
        self.paths = dataset_of_paths([path for _, path in self.task.images])
        # The sizes of the batches that the model really gets; a hook costs microseconds where a batch costs 100 ms.
        self.model.register_forward_pre_hook(self._count_batch, with_kwargs=True)

    def give(self, images: list[tuple[str, str]], folder: str, contents: str | None = None) -> None:
        super().give(images, folder, contents)
        self.paths = dataset_of_paths([path for _, path in images])

    def make_ready(self, module: Any) -> Any:
        """The module as this variant runs it: as it is."""
        return module

    def run_once(self, pixels: Any) -> Any:
        """Send a batch through the model as a pass does."""
        import torch

        with torch.inference_mode():
            return self.model(pixel_values=pixels)

    def _count_batch(self, _module: Any, _args: tuple, kwargs: dict) -> None:
        self.batches[len(kwargs["pixel_values"])] += 1

    def classify(self) -> Iterator[Prediction]:
        self.batches.clear()
        answers = self.pipeline(self.paths, batch_size=self.task.batch_size, num_workers=self.workers)
        # Fewer or more answers than images is for the check of each pass to find, which goes by id.
        for image, answer in zip_longest((image for image, _ in self.task.images), answers):
            if answer is not None:
                yield Prediction(image or "more answers than images", answer[0]["label"], answer[0]["score"])

    def settling_seconds(self) -> float:
        return 0.0  # nothing is compiled while it runs

    def collecting_seconds(self) -> None:
        return None  # Python counts no time for it

    def describe(self) -> dict[str, Any]:
        import torch
        import torchvision
        import transformers

        accelerator = self.accelerator if self.accelerator != "cuda" else torch.cuda.get_device_name()
        batches = {str(size): count for size, count in sorted(self.batches.items())}
        loader = f", {self.workers} workers" if self.workers else ""
        return self._proven() | {
            "accelerator": accelerator,
            "setting": f"PyTorch {torch.__version__.split('+')[0]}, image processor "
            f"{self.task.variant['image_processor']}, attention {self.model.config._attn_implementation}{loader}",
            "threads": torch.get_num_threads(),
            "slots": 1,
            "partitions": None,
            "partition_rows": None,
            "effective_batch_sizes": batches,
            "batches": "observed",
            "versions": {
                "transformers": transformers.__version__,
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
            },
            "environment": {"blas": self._blas()},
        }

    def _proven(self) -> dict[str, Any]:
        """The record's `precision` and `executed`: of a batch as large as the largest of the last pass."""
        import torch

        size, config = max(self.batches, default=self.task.batch_size), self.model.config
        pixels = torch.randn(size, config.num_channels, config.image_size, config.image_size)
        return precision.proven(
            self.layer,
            config,
            self.make_ready,
            size,
            self.precision,
            (lambda: self.run_once(pixels)) if self.accelerator == "cpu" else None,
        )

    def _blas(self) -> dict[str, Any]:
        """Libraries behind torch's matrix products, and what they are allowed to do."""
        import torch

        built_with = re.findall(
            r"(?:MKL-DNN v|Math Kernel Library Version |OpenMP \d{4})[^\s]*", torch.__config__.show()
        )
        return {
            "libraries": built_with,
            "capability": torch.backends.cpu.get_cpu_capability(),
            "mkl": torch.backends.mkl.is_available(),
            "mkldnn": torch.backends.mkldnn.is_available(),
            "float32_matmul": torch.get_float32_matmul_precision(),
            "cuda": torch.version.cuda,
        }

    def profile(self, passes: int) -> dict[str, Any]:
        from vitbench.frameworks.huggingface import profiler as huggingface

        return huggingface.profile(self, passes)

    def close(self) -> None:
        """Nothing to stop: the process ends."""
