"""The frameworks that can be measured: one adapter module each, found by name, behind one small interface.

A new framework is one module with a class `Adapter`, one line in `ADAPTERS` and a definition of its variants in
`resources/variants.yaml`. Heavy imports stay inside the adapter's methods, so that listing them costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

ADAPTERS = {
    "huggingface": "vitbench.frameworks.huggingface.adapter",
    "sparknlp": "vitbench.frameworks.sparknlp.adapter",
}


class Prediction(NamedTuple):
    """What a framework says of one image; `score` is the probability of `label`, None where it gives none."""

    id: str
    label: str
    score: float | None


@dataclass(frozen=True)
class Task:
    """Everything that an adapter may know: one cell, and where its parts lie. All paths are absolute."""

    variant: dict[str, Any]
    device: str
    workers: int
    batch_size: int
    threads: int
    images: list[tuple[str, str]]
    """(id, path) of each valid image, in the order of the manifest"""
    images_folder: str
    """the folder that holds these files and no others"""
    model: str
    """folder of the model in the form that this framework and variant load"""
    jars: list[str]
    natives: str
    """folder that keeps what native libraries unpack, between runs"""
    temporary: str
    """folder for everything else that is written; it is removed after the repeat"""


class Adapter(Protocol):
    """One framework in one process. The methods are called in this order, `classify` once for each pass."""

    streams: bool
    """whether `classify` yields the first predictions before the last image is done"""

    def __init__(self, task: Task) -> None: ...

    def start(self) -> None:
        """Import the framework and bring its session up."""

    def load(self) -> None:
        """Load the model, ready for the first image."""

    def classify(self) -> Iterator[Prediction]:
        """One pass: read, decode and classify every file anew; the top label of each image, in any order."""

    def settling_seconds(self) -> float:
        """Seconds that the run time has spent so far on what it does while it settles, compiling above all, added up
        over its threads; 0.0 where it has nothing of the kind. Asked after every pass, with the clock off."""

    def describe(self) -> dict[str, Any]:
        """What was really used: see `vitbench.records.record.DESCRIPTION`. Not timed."""

    def profile(self, passes: int) -> dict[str, Any]:
        """Seconds of each stage in that many instrumented passes: see `vitbench.frameworks`. Only profiling repeats
        call it, after warm passes; nothing of it is imported or put in before."""

    def close(self) -> None:
        """Stop what `start` started."""


class Unavailable(Exception):
    """The framework works, but not with what was asked for here (no such device, say); the record says why."""
