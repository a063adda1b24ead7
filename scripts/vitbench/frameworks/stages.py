"""Stages of a pass: their names, and a stopwatch for those that Python calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
