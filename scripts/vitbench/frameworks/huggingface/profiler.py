"""Timers around what `pipeline("image-classification")` calls, put in for the profiled passes and taken out again.

read is a file's bytes; decode is PIL's opening, turning by EXIF and converting; preprocess the image processor and the
collation of a batch; forward the model with the copies to and from the device, waited for; postprocess softmax, labels
and sorting. What is left of the pass is iteration (`other`).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from vitbench.frameworks.stages import Stopwatch, replaced

METHOD = "timers"


def profile(adapter: Any, passes: int) -> dict[str, Any]:
    """Profile passes of a warm Hugging Face adapter; see `vitbench.frameworks`."""
    profiled = []
    for _ in range(passes):
        watch = Stopwatch()
        with _timers(adapter.pipeline, watch):
            begin = time.perf_counter()
            for _prediction in adapter.classify():
                pass
            seconds = time.perf_counter() - begin
        profiled.append({"seconds": seconds, "stages": watch.stages_of(seconds)})
    return {"method": METHOD, "passes": profiled, "details": {}}


@contextmanager
def _timers(pipeline: Any, watch: Stopwatch) -> Iterator[None]:
    """Time what this pipeline calls, while the block runs."""
    import torch
    from transformers.pipelines import base, image_classification

    def wait() -> None:
        # A kernel on a GPU runs on while Python does other things.
        if pipeline.device.type in ("cuda", "mps"):
            getattr(torch, pipeline.device.type).synchronize()

    def forward(*arguments: Any, original: Callable[..., Any] = pipeline.forward, **named: Any) -> Any:
        wait()
        with watch.stage("forward"):
            outputs = original(*arguments, **named)
            wait()
        return outputs

    def load_image(path: str, timeout: Any = None, original: Callable[..., Any] = image_classification.load_image):
        import PIL.Image

        with watch.stage("read"), open(path, "rb") as handle:
            content = handle.read()
        with watch.stage("decode"):
            return original(PIL.Image.open(io.BytesIO(content)), timeout=timeout)

    def collate(*arguments: Any, original: Callable[..., Any] = base.pad_collate_fn) -> Callable[..., Any]:
        return watch.timed("preprocess", original(*arguments))

    with ExitStack() as stack:
        for owner, name, new in (
            (image_classification, "load_image", load_image),
            (base, "pad_collate_fn", collate),
            (pipeline, "preprocess", watch.timed("preprocess", pipeline.preprocess)),
            (pipeline, "forward", forward),
            (pipeline, "postprocess", watch.timed("postprocess", pipeline.postprocess)),
        ):
            stack.enter_context(replaced(owner, name, new))
        yield
