"""Hugging Face transformers: the model itself behind torch's `DataLoader`, whose processes read, decode and preprocess.

The same files, the same image processor and the same weights as `pipeline`; what differs is who does what when. The
workers prepare images while the model runs, nothing waits for an answer until the last batch is under way (but for a
device that decodes), and the precision of the products, the compiler and what the device does beside the model are
settings.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from math import gcd
from pathlib import Path
from typing import Any

from vitbench.frameworks import Prediction, decoders
from vitbench.frameworks.huggingface import adapter, precision, preparation, workers

# Images that a worker hands over at a time, at most: with whole batches, a data set of few batches would leave most
# workers idle.
HANDED_OVER = 8
PREFETCHED = 4
# The precisions in which the weights are kept and everything is computed; in the others only the products are.
HALVES = ("bfloat16", "float16")
# torch's int8 engines, the one with the widest instructions (AMX) first; the last there is on every processor.
QUANTISERS = ("onednn", "x86", "qnnpack")
# Seconds after which a worker that hands over nothing has died.
SILENT = 120


class Images:
    """The files as torch's `DataLoader` wants them: each is read and prepared whenever it is asked for."""

    def __init__(self, paths: list[str], prepare: preparation.ByWorkers) -> None:
        self.paths, self.prepare = paths, prepare

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return self.prepare.hand_over(self.paths[index])


def quantised(module: Any) -> Any:
    """The module with its linear layers in int8: the weights beforehand, by channel, their operands as they come.

    The layers are replaced in place, so that no second copy of the weights takes memory; a layer alone stays as it is,
    and what is returned runs in its place. Attention, normalisation and activation stay in float32.
    """
    import torch
    from torch.ao import quantization

    engines = torch.backends.quantized.supported_engines
    torch.backends.quantized.engine = next(engine for engine in QUANTISERS if engine in engines)
    alone = isinstance(module, torch.nn.Linear)
    with warnings.catch_warnings():
        # It is to move to torchao, which the lock has not: said at each of the model's layers otherwise.
        warnings.filterwarnings("ignore", message=r"(?s).*(torchao|torch\.quantize_per_)")
        return quantization.quantize_dynamic(
            torch.nn.Sequential(module) if alone else module,
            {torch.nn.Linear: quantization.per_channel_dynamic_qconfig},
            inplace=True,
        )


class Adapter(adapter.Adapter):
    streams = False

    def start(self) -> None:
        # What the compiler makes is kept between repeats, as a user's second job finds it.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(self.task.natives) / "inductor")
        super().start()
        import torch

        tensorfloat32 = self.precision == "tensorfloat32"
        torch.set_float32_matmul_precision("high" if tensorfloat32 else "highest")
        # torch takes TF32 for the convolution of a float32 model unless it is told not to.
        torch.backends.cudnn.allow_tf32 = tensorfloat32

    def load(self) -> None:
        import torch
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        variant, task = self.task.variant, self.task
        self.dtype = getattr(torch, self.precision if self.precision in HALVES else "float32")
        model = AutoModelForImageClassification.from_pretrained(task.model, dtype=self.dtype)
        self.model = model.eval().to(self.accelerator)
        # As it was loaded: a quantised model has no such layer any more.
        self.layer = precision.layer_of(self.model)
        self.forward = self.make_ready(self.model)
        self.workers = workers.number(variant["loader_workers"], task.threads)
        self.handed_over = gcd(task.batch_size, HANDED_OVER)
        self.processor = AutoImageProcessor.from_pretrained(task.model, backend=variant["image_processor"])
        self.load_image = decoders.loader(variant)
        if self.workers:
            workers.name_sockets_shortly()
        self.loader = self._loader_of_task()

    @property
    def prepare(self) -> preparation.ByWorkers:
        """Who prepares an image, with what `load_image` is now: a profile puts its own there for a while."""
        kind = preparation.KINDS[self.task.variant.get("on_device")]
        return kind(self.processor, self.load_image, self.accelerator)

    def _loader_of_task(self) -> Any:
        from torch.utils.data import DataLoader

        return DataLoader(
            Images([path for _, path in self.task.images], self.prepare),
            batch_size=self.handed_over,
            collate_fn=self.prepare.collect,
            num_workers=self.workers,
            prefetch_factor=PREFETCHED if self.workers else None,
            # They stay between passes, as they would through millions of images, and do nothing there.
            persistent_workers=self.workers > 0,
            pin_memory=self.accelerator == "cuda",
            timeout=SILENT if self.workers else 0,
        )

    def give(self, images: list[tuple[str, str]], folder: str, contents: str | None = None) -> None:
        super().give(images, folder, contents)
        self.loader = self._loader_of_task()

    def make_ready(self, module: Any) -> Any:
        """The module as this variant runs it: quantised, then compiled, where it says so."""
        import torch

        if self.precision == "int8":
            module = quantised(module)
        mode = self.task.variant.get("compile")
        if mode is None:
            return module
        import torch._inductor.config

        # Weights that do not change may be laid out for the processor once; on a GPU it gains nothing.
        torch._inductor.config.freezing = self.accelerator == "cpu"
        return torch.compile(module, mode=mode, dynamic=False)

    def run_once(self, pixels: Any) -> Any:
        import torch

        with torch.inference_mode():
            # Made under inference mode as those of a pass are: a tensor of another kind would be compiled for anew.
            return self.forward(pixel_values=torch.cat([pixels]).to(self.dtype))

    def _batches(self) -> Iterator[Any]:
        """The pixels of each batch, on the device and in the precision of the weights."""
        prepare = self.prepare
        parts: list[Any] = []
        for part in self.loader:
            parts.append(prepare.begin(part))
            if len(parts) * self.handed_over == self.task.batch_size:
                # The type is changed on the device.
                yield prepare.batch(parts).to(self.dtype)
                parts = []
        if parts:
            yield prepare.batch(parts).to(self.dtype)

    def classify(self) -> Iterator[Prediction]:
        import torch

        self.batches.clear()
        try:
            with torch.inference_mode():
                numbers, scores = self._answers()
        except torch.OutOfMemoryError as error:
            # Raised in a line of ours, it would count as a mistake of ours.
            raise MemoryError(str(error)) from error
        names = self.model.config.id2label
        for (image, _), number, score in zip(self.task.images, numbers, scores, strict=True):
            yield Prediction(image, names[number], score)

    def _answers(self) -> tuple[list[int], list[float]]:
        """Class number and probability of each image."""
        import torch

        numbers, scores = [], []
        for pixels in self._batches():
            self.batches[len(pixels)] += 1
            if self.accelerator == "cuda":
                # A CUDA graph writes its answer where the last one was: what follows makes tensors of its own.
                torch.compiler.cudagraph_mark_step_begin()
            best = self._best(pixels)
            numbers.append(best.indices)
            scores.append(best.values)
        # Only this waits, for everything that was begun.
        return torch.cat(numbers).tolist(), torch.cat(scores).tolist()

    def _best(self, pixels: Any) -> Any:
        """The most probable class of each image of a batch, and its probability."""
        return self.forward(pixel_values=pixels).logits.float().softmax(-1).max(-1)

    def answer(self, paths: list[str]) -> list[tuple[str, float]]:
        """Label and probability of each of these files, which are one batch: what a task inside Spark does."""
        import torch

        with torch.inference_mode():
            best = self._best(self.pixels_of(paths))
        names = self.model.config.id2label
        found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [(names[number], score) for number, score in found]

    def pixels_of(self, paths: list[str]) -> Any:
        """The pixels of these files as one batch, on the device and in the precision of the weights."""
        prepare = self.prepare
        part = prepare.collect([prepare.hand_over(path) for path in paths])
        return prepare.batch([prepare.begin(part)]).to(self.dtype)

    def describe(self) -> dict[str, Any]:
        described = super().describe()
        mode = self.task.variant.get("compile")
        made = ["eager" if mode is None else f"compiled ({mode})"]
        if self.precision == "int8":
            import torch

            made.append(f"dynamic quantisation by {torch.backends.quantized.engine}")
        return described | {
            "setting": ", ".join([described["setting"], *made])
            + decoders.described(self.task.variant)
            + self.prepare.described,
            "versions": described["versions"] | decoders.versions(self.task.variant),
        }

    def close(self) -> None:
        """Stop the workers."""
        self.loader = None
