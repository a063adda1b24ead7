"""The frameworks that can be measured: each is a package here that declares itself, behind one small interface.

A new framework is one package with its name (a hyphen as an underscore), with `FRAMEWORK`
(`vitbench.frameworks.declaration`) in its `__init__`, the class `Adapter` in `adapter.py` (or a module for each way of
running it: `Framework.adapter`) and the function `profile` in `profiler.py`, and the definitions of its variants in
`resources/variants.yaml` (docs/extend.md). Heavy imports stay inside the adapter's methods, so that a declaration
costs nothing to read.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from vitbench.frameworks.declaration import Framework, as_a_program, other_ways


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
    spark: dict[str, Any] = field(default_factory=dict)
    """for frameworks that run on a cluster: `settings`, more of Spark's own, and `cluster`, what
    `vitbench.frameworks.cluster.Cluster` holds; left out where there is none (on one node)"""
    contents: str | None = None
    """folder of the Parquet files of path (an image's id) and content that a variant with `input: bytes` reads; None
    for all others"""
    packages: str | None = None
    """folder of the packages that the variant needs beside the environment (`vitbench.inputs.packages`)"""


class Plain:
    """What most adapters share: they know their images from the task alone, and hand over each answer themselves."""

    task: Task

    def give(self, images: list[tuple[str, str]], folder: str, contents: str | None = None) -> None:
        self.task = replace(self.task, images=images, images_folder=folder, contents=contents)

    def written(self) -> Iterator[Prediction]:
        return iter(())

    def profile(self, passes: int) -> dict[str, Any]:
        raise Unavailable("no profile: the framework has none, which its `unprofiled` should say")


class Adapter(Protocol):
    """One framework in one process. The methods are called in this order, `classify` and `written` once for each pass.

    One whose work may be lost and done again has the method `faults` too, asked after every pass with the clock off:
    the fields `executors_lost` and `tasks_retried` of the pass in the record, counted since it was asked last. One
    whose processes may end with each pass says so by an attribute `helpers_stay`, False where they do: no sum of
    high-water marks after the passes holds theirs, and the record has no `peak_memory_mb`.

    `Plain` has `give`, `written` and `profile` for adapters that do nothing of their own there.
    """

    streams: bool
    """whether `classify` yields the first predictions before the last image is done"""

    def __init__(self, task: Task) -> None: ...

    def start(self) -> None:
        """Import the framework and bring its session up."""

    def load(self) -> None:
        """Load the model, ready for the first image."""

    def give(self, images: list[tuple[str, str]], folder: str, contents: str | None = None) -> None:
        """From the next pass on, classify these images, one at least, in place of the task's (the arguments are
        `Task.images`, `images_folder`, `contents`). A repeat never does; a job of many images does for each part."""

    def classify(self) -> Iterator[Prediction]:
        """One pass, all of which is timed: read, decode and classify every file anew; the top label of each image, in
        any order. With `sink: parquet` the answers are written instead, and none comes here."""

    def written(self) -> Iterator[Prediction]:
        """What the last pass wrote rather than handed over, read back with the clock off."""

    def short_pass(self) -> int:
        """One pass over as few images as keep every slot busy, which nobody reads the answers of; how many images.

        Only frameworks that declare `planning_seconds` have it. It is called after pass 0, with the clock off.
        """

    def settling_seconds(self) -> float:
        """Seconds that the run time has spent so far on what it does while it settles, compiling above all, added up
        over its threads; 0.0 where it has nothing of the kind. Asked after every pass, with the clock off."""

    def collecting_seconds(self) -> float | None:
        """Seconds that the run time has spent so far on collecting garbage; None where nothing counts them. Asked after
        every pass, with the clock off."""

    def describe(self) -> dict[str, Any]:
        """What was used: the record's fields of these names (config/schema/record.schema.yaml). Not timed.

        `batches` says whether `effective_batch_sizes` were observed at the model or computed from something else.
        """

    def profile(self, passes: int) -> dict[str, Any]:
        """Seconds of each stage in that many instrumented passes: see `vitbench.frameworks`. Only profiling repeats
        call it, after warm passes, where `Framework.unprofiled` says nothing; nothing of it is imported or put in
        before."""

    def close(self) -> None:
        """Stop what `start` started."""


class Unavailable(Exception):
    """The framework works, but not with what was asked for here (no such device, say); the record says why."""


def _module_of(framework: str) -> str:
    """The package here that declares a framework, by its name as Python allows it to be written."""
    return framework.replace("-", "_")


FRAMEWORKS: dict[str, Framework] = {
    framework.name: framework
    for module in pkgutil.iter_modules(__path__)
    if module.ispkg
    for framework in [import_module(f"{__name__}.{module.name}").FRAMEWORK]
}


def _adapter_of(framework: Framework) -> Callable[[dict[str, Any]], str]:
    return lambda definition: f"{__name__}.{_module_of(framework.name)}.{framework.adapter(definition)}"


# Framework → (a variant's definition → module of its class `Adapter`, imported in the process that measures alone).
ADAPTERS = {name: _adapter_of(framework) for name, framework in FRAMEWORKS.items()}


def multiplies_with(framework: str, definition: dict[str, Any], device: str, precision: str | None) -> tuple:
    """(library of `peak.json`, precision) of a variant's matrix products; None for what is not known of either.

    `precision` is what its records say, which on a GPU need not be that of the products.
    """
    known = FRAMEWORKS.get(framework)
    if known is None or not set(known.settings.get("required", ())) <= definition.keys():
        return None, precision  # records from elsewhere, of a framework that is not here
    needs = known.needs(definition, device)
    return needs.library, needs.precision if precision == "float32" else precision


def precisions_of(framework: str, definition: dict[str, Any], device: str) -> set[str]:
    """What a record of a variant may say of its precision; nothing is known where its framework is not here."""
    _, declared = multiplies_with(framework, definition, device, "float32")
    known = framework in FRAMEWORKS and declared is not None
    # Whoever lets a GPU shorten its products still computes in float32.
    return {declared, *(["float32"] if declared == "tensorfloat32" else [])} if known else set()


# What a variant declares of the terms on which it is compared (`terms`), beside its ways in and out. Behind HELPERS is
# how many.
OF_ARTICLE, HELPERS, ENGINE_ALONE = "as in the article", "processes beside its threads: ", "engine alone"


def terms(framework: str, definition: dict[str, Any]) -> list[str]:
    """Those of OF_ARTICLE, HELPERS (with their number) and ENGINE_ALONE that a variant declares, and its ways in and
    out where they are not the usual ones (`input: bytes`); nothing where its framework is not here.
    """
    known = FRAMEWORKS.get(framework)
    if known is None or not set(known.settings.get("required", ())) <= definition.keys():
        return []  # records from elsewhere
    helpers = known.helpers(definition)
    declared = {
        OF_ARTICLE: known.of_article(definition) and as_a_program(definition),
        f"{HELPERS}{helpers}": helpers != 0,
        ENGINE_ALONE: known.engine_alone,
    }
    return [name for name, holds in declared.items() if holds] + other_ways(definition)


def plans_each_pass(framework: str) -> bool:
    """Whether a framework plans each pass anew, so that its repeats make short passes; no for one that is not here."""
    return framework in FRAMEWORKS and FRAMEWORKS[framework].planning_seconds > 0


def title(framework: str) -> str:
    """A framework's name for people; the plain name of one that records from elsewhere know and we do not."""
    return FRAMEWORKS[framework].title if framework in FRAMEWORKS else framework


def package(framework: str) -> str:
    """The package whose version is the framework's."""
    return FRAMEWORKS[framework].package if framework in FRAMEWORKS else framework
