"""ONNX Runtime: the exported graph on batches that Hugging Face's image processor prepares, several at a time.

A slot is a thread that takes the next batch, reads, decodes and preprocesses its files, and runs the graph on it. Files
and graph let other slots work meanwhile (Pillow, numpy and ONNX Runtime release Python's lock), all share one session,
hence one copy of the weights. With one thread a slot ONNX Runtime multiplies in the slot's own thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from vitbench.frameworks import Plain, Prediction, Task, Unavailable, decoders
from vitbench.frameworks.onnxruntime import LIBRARY, precision, proof
from vitbench.frameworks.onnxruntime.slots import slots_and_threads


class Adapter(Plain):
    streams = True
    # What another engine that runs the graph on the same batches (frameworks/openvino) has of its own: these two, and
    # the methods from `import_engine` to `proven`.
    library, package = LIBRARY, "onnxruntime"

    def __init__(self, task: Task) -> None:
        self.task = task
        self.slots, self.threads = slots_and_threads(task.variant, task.threads)
        self.batches: Counter[int] = Counter()

    def start(self) -> None:
        if self.task.device != "cpu":
            raise Unavailable(f"{self.library} runs on the CPU alone here: leave the variant out on a GPU")
        self.import_engine()
        import transformers

        transformers.utils.logging.disable_progress_bar()

    def load(self) -> None:
        from transformers import AutoConfig, AutoImageProcessor

        folder = self.task.model
        self.processor = AutoImageProcessor.from_pretrained(folder, backend=self.task.variant["image_processor"])
        self.config = AutoConfig.from_pretrained(folder)
        self.load_image = decoders.loader(self.task.variant)
        self.open(str(Path(folder) / "model.onnx"))
        self.pool = ThreadPoolExecutor(self.slots)

    def import_engine(self) -> None:
        """Import the engine: the time that it takes is the framework's."""
        import onnxruntime  # noqa: F401

    def open(self, model: str) -> None:
        """Load the graph in this file, ready for `forward`."""
        self.session = self.session_of(model)

    def options(self) -> Any:
        """The settings of this variant's session: threads, and all else as ONNX Runtime has it."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        return options

    def session_of(self, model: str | bytes, options: Any = None) -> Any:
        """A session on a file or a serialised graph, with this variant's settings unless others are given."""
        import onnxruntime

        return onnxruntime.InferenceSession(model, options or self.options(), providers=["CPUExecutionProvider"])

    def forward(self, pixels: Any) -> Any:
        """The logits of a batch; runs in a slot."""
        return self.session.run(["logits"], {"pixel_values": pixels})[0]

    def multiply(self, product: bytes, given: Any) -> Any:
        """The output `out` of a serialised graph for its input `given`, under this variant's settings."""
        return self.session_of(product).run(["out"], {"given": given})[0]

    def proven(self) -> dict[str, Any]:
        """The record's fields `precision` and `executed`.

        Raises:
            Unavailable: the products did not run in the precision that the variant is meant to have.
        """
        return proof.proven(self, precision(self.task.variant))

    def classify(self) -> Iterator[Prediction]:
        self.batches.clear()
        images, size = self.task.images, self.task.batch_size
        batches = [images[begin : begin + size] for begin in range(0, len(images), size)]
        paths = [[path for _, path in batch] for batch in batches]
        for batch, answers in zip(batches, self.pool.map(self.answer, paths), strict=True):
            self.batches[len(batch)] += 1
            for (image, _), answer in zip(batch, answers, strict=True):
                yield Prediction(image, *answer)

    def answer(self, paths: list[str]) -> list[tuple[str, float]]:
        """Label and probability of each of these files, which are one batch; runs in a slot."""
        import numpy

        logits = self.forward(self.pixels_of(paths))
        best = logits.argmax(-1)
        shares = numpy.exp(logits - logits.max(-1, keepdims=True))
        scores = (shares.max(-1) / shares.sum(-1)).tolist()
        names = self.config.id2label
        return [(names[number], score) for number, score in zip(best.tolist(), scores, strict=True)]

    def pixels_of(self, paths: list[str]) -> Any:
        """The pixels of these files as one batch."""
        images = [self.load_image(path) for path in paths]
        return self.processor(images=images, return_tensors="np")["pixel_values"]

    def settling_seconds(self) -> float:
        return 0.0  # nothing is compiled while it runs

    def collecting_seconds(self) -> None:
        return None  # Python counts no time for it

    def describe(self) -> dict[str, Any]:
        import PIL
        import transformers

        slots = f"{self.slots} slot{'' if self.slots == 1 else 's'}"
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'} each"
        version = metadata.version(self.package)
        return self.proven() | {
            "accelerator": "cpu",
            "setting": f"{self.library} {version}, image processor "
            f"{self.task.variant['image_processor']}{decoders.described(self.task.variant)}, {slots}, {threads}",
            "threads": self.threads,
            "slots": self.slots,
            "partitions": None,
            "partition_rows": None,
            "effective_batch_sizes": {str(size): count for size, count in sorted(self.batches.items())},
            "batches": "observed",
            "versions": {
                self.package: version,
                "transformers": transformers.__version__,
                "pillow": PIL.__version__,
            }
            | decoders.versions(self.task.variant),
            "environment": {},
        }

    def profile(self, passes: int) -> dict[str, Any]:
        from vitbench.frameworks.onnxruntime import profiler

        return profiler.profile(self, passes)

    def close(self) -> None:
        """Stop the slots."""
        self.pool.shutdown()
