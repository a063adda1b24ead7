"""A framework that says how large an image is, and goes wrong where it is told to, for the tests of labelling.

Settings: `log` (file that gets a line for each start and each call of `classify`), `kill_in` and `fail_in` (number of a
call, counted from 0 in each process, in which the process kills itself, or an error comes out of a library; only once,
which the file `log` with another ending remembers), `lose` (how many of a call's images get no answer), `written` (the
answers are handed over by `written` instead), `faults` (what a cluster lost in each call), `close` (what becomes of
the adapter's close: `fail` or `hang`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image

from vitbench.frameworks import Plain, Prediction, Task


class Adapter(Plain):
    streams = False

    def __init__(self, task: Task) -> None:
        self.task, self.calls = task, 0
        self.log = Path(task.variant["log"])

    def start(self) -> None:
        self._say("start")

    def load(self) -> None:
        """There is nothing to load."""

    def faults(self) -> dict[str, int]:
        return self.task.variant.get("faults", {})

    def _say(self, what: str) -> None:
        with open(self.log, "a") as lines:
            lines.write(f"{what}\n")

    def _once(self, what: str) -> bool:
        """Whether this call is the one in which that goes wrong."""
        happened = self.log.with_suffix(f".{what}")
        if self.task.variant.get(what) != self.calls or happened.exists():
            return False
        happened.touch()
        return True

    def _answers(self) -> Iterator[Prediction]:
        for image, path in self.task.images[self.task.variant.get("lose", 0) :]:
            with PIL.Image.open(path) as picture:
                yield Prediction(image, f"{picture.width}x{picture.height}", 0.5)

    def classify(self) -> Iterator[Prediction]:
        self._say(f"classify {len(self.task.images)}")
        if self._once("kill_in"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._once("fail_in"):
            PIL.Image.open(self.log)  # no image: an error of Pillow's own
        self.calls += 1
        return iter(()) if self.task.variant.get("written") else self._answers()

    def written(self) -> Iterator[Prediction]:
        return self._answers() if self.task.variant.get("written") else iter(())

    def settling_seconds(self) -> float:
        return 0.0

    def collecting_seconds(self) -> None:
        return None

    def describe(self) -> dict[str, Any]:
        return {"precision": "float32", "setting": "as large as it is"}

    def close(self) -> None:
        self._say("close")
        match self.task.variant.get("close"):
            case "fail":
                raise RuntimeError("the session would not stop")
            case "hang":
                time.sleep(600)
