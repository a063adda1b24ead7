"""Stages of a pass: their names, a stopwatch for those that Python calls, and timers for whoever answers by batches.

Of these read is a file's bytes; decode is opening, turning by EXIF and converting; preprocess the image processor and
the collation of the batch; forward the model; postprocess the rest, softmax and labels.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

# What every framework does with an image, in this order; `other` is what is left of the pass (planning, iterating).
STAGES = ("read", "decode", "preprocess", "forward", "postprocess", "other")


class Stopwatch:
    """Seconds spent in each stage. Stages may be nested: time counts for the innermost one alone."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._open: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the block for stage `name`."""
        self._settle()
        self._open.append((name, time.perf_counter()))
        try:
            yield
        finally:
            self._settle()
            self._open.pop()
            if self._open:
                self._open[-1] = (self._open[-1][0], time.perf_counter())

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted for stage `name`."""

        def inner(*arguments: Any, **named: Any) -> Any:
            with self.stage(name):
                return function(*arguments, **named)

        return inner

    def stages_of(self, pass_seconds: float) -> dict[str, float]:
        """Seconds of each stage of a pass that took `pass_seconds`; what no stage claims is `other`."""
        return self.seconds | {"other": max(0.0, pass_seconds - sum(self.seconds.values()))}

    def _settle(self) -> None:
        if self._open:
            name, since = self._open[-1]
            now = time.perf_counter()
            self.seconds[name] += now - since
            self._open[-1] = (name, now)


@contextmanager
def replaced(owner: Any, name: str, new: Any) -> Iterator[None]:
    """Give an object's or a module's attribute another value while the block runs."""
    own = name in vars(owner)
    old = getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, old)
        else:
            delattr(owner, name)


@contextmanager
def timers_of_batches(adapter: Any, watch: Callable[[], Stopwatch]) -> Iterator[None]:
    """Time what an adapter's `answer` calls for a batch, while the block runs.

    Args:
        adapter: with `load_image`, `pixels_of` and `forward`.
        watch: the stopwatch of the thread that calls.
    """

    def load_image(path: str, original: Callable[..., Any] = adapter.load_image) -> Any:
        import PIL.Image

        with watch().stage("read"), open(path, "rb") as handle:
            content = handle.read()
        with watch().stage("decode"):
            return original(PIL.Image.open(io.BytesIO(content)))

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **named: watch().timed(stage, function)(*arguments, **named)

    with ExitStack() as stack:
        stack.enter_context(replaced(adapter, "load_image", load_image))
        for name, stage in (("pixels_of", "preprocess"), ("forward", "forward")):
            stack.enter_context(replaced(adapter, name, timed(stage, getattr(adapter, name))))
        yield


def pass_of_slots(told: Collection[dict[str, float]], slots: int, seconds: float) -> dict[str, Any]:
    """A profiled pass, as `Adapter.profile` has it, of tasks that worked at the same time in so many slots.

    What each took in a stage is added up and divided by the slots, so that the stages are wall seconds; `other` is the
    rest of the pass: whoever handed the tasks out, and slots that had none.
    """
    stages = {stage: sum(one[stage] for one in told) / slots for stage in STAGES}
    return {"seconds": seconds, "stages": stages | {"other": max(0.0, seconds - sum(stages.values()))}}
