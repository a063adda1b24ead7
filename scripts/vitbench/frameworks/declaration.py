"""What a framework says of itself, so that nothing outside its package needs to know its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vitbench.inputs.checkpoints import Checkpoint

# The form that every model has first: a Hugging Face checkpoint in safetensors.
CHECKPOINT = "checkpoint"
# Parts of the programs that `Framework.snippet` writes: the line that a program's own part begins with, and its first
# line, which finds the images.
MAIN = 'if __name__ == "__main__":\n'
IMAGES_OF_A_FOLDER = "    paths = sorted(str(path) for path in Path(IMAGES).iterdir() if path.is_file())\n"
# Key of a variant's definition, beside its settings, under which stands what the configuration says of Spark and of
# workers, where that is not what is usual (`vitbench.plan.workers`). It is part of what a record's path names.
SPARK = "spark"
# The ways in which a framework inside Spark can get its images and leave its answers, and the schemas of the settings:
# a framework whose schema has `input` or `sink` has both ways, one without has the first alone.
FILES, BYTES = "files", "bytes"
COLLECT, PARQUET = "collect", "parquet"
INPUT = {
    "enum": [FILES, BYTES],
    "description": "tasks read each image's file (the default), or Parquet files of path and content, written once",
}
SINK = {
    "enum": [COLLECT, PARQUET],
    "description": "answers come back to the driver (the default), or are written as Parquet; that is timed, reading "
    "them back is not",
}
# What every framework of Python inside Spark has besides the settings of the framework that its tasks run.
IN_SPARK = {
    "threads_a_slot": {
        "type": "integer",
        "minimum": 1,
        "description": "of one task; as many tasks at a time as go into the cores",
    },
    "input": INPUT,
    "sink": SINK,
}


def other_ways(definition: dict[str, Any]) -> list[str]:
    """How images come in and answers go out, where that is not by files and into the driver: `sink: parquet`."""
    usual = {"input": FILES, "sink": COLLECT}
    return [f"{key}: {definition[key]}" for key in usual if definition.get(key, usual[key]) != usual[key]]


def as_a_program(definition: dict[str, Any]) -> bool:
    """Whether it runs on one node with Spark's own settings, from files into the driver: all that programs of `snippet`
    do.
    """
    return SPARK not in definition and not other_ways(definition)


def threads_of_a_task(definition: dict[str, Any], cores: int) -> int:
    """Of a variant with `threads_a_slot`: the threads of each of Spark's tasks, where an executor, or the one node, has
    so many cores; no task could begin that takes more.
    """
    return min(definition["threads_a_slot"], cores)


def divisors(cores: int) -> list[int]:
    """Numbers of threads that leave no core over."""
    return [number for number in range(1, cores + 1) if cores % number == 0]


def unprofiled(definition: dict[str, Any], on_cluster: bool) -> str | None:
    """`Framework.unprofiled` of frameworks that have nothing else to say."""
    why = "no profile: its stages are timed on files, and on answers that come to the driver"
    return why if other_ways(definition) else None


@dataclass(frozen=True)
class Needs:
    """What one variant of a framework needs on a device before it can be measured."""

    form: str = CHECKPOINT
    """form of the model that it loads: a folder below resources/models/<model>/"""
    export: str | None = None
    """the export of the checkpoint that `form` is made of (`onnx`, `tensorflow`), whose logits are checked"""
    jars: str | None = None
    """set of jars, a folder of envs/jars/"""
    packages: str | None = None
    """packages that the environment has not, by the name of their lock in envs/ (`vitbench.inputs.packages`)"""
    spark: bool = False
    """whether it runs inside Spark, which needs Java"""
    library: str | None = None
    """library of `peak.json` that multiplies its matrices; None where its own rate cannot be measured"""
    precision: str = "float32"
    """of the matrix products; `tensorfloat32` where the engine takes it for float32 on a GPU unless told not to"""


class Setting(NamedTuple):
    """What a variant is run with, beside its definition."""

    device: str
    batch_size: int
    cores: int
    """of the machine"""


@dataclass(frozen=True)
class Framework:
    """The declaration of a framework: `FRAMEWORK` in `vitbench.frameworks.<name>` (its hyphens as underscores)."""

    name: str
    title: str
    """its name for people"""
    package: str
    """the package whose version is its version, as records name it"""
    color: str
    """of its marks in every chart (Okabe–Ito where it can be: told apart by colour-blind people)"""
    settings: dict[str, Any]
    """JSON schema of a variant's settings (`type: object`); `platforms` and `otherwise` are added for all"""
    start_and_load_seconds: float
    """what starting and loading take in a repeat, until there are records to go by"""
    needs: Callable[[dict[str, Any], str], Needs]
    """(a variant's definition, device) → what it needs"""
    refuses: Callable[[dict[str, Any], Checkpoint], str | None] = lambda definition, checkpoint: None
    """(a variant's definition, the model) → why it cannot do that model, as the end of a sentence; None where it can"""
    unprofiled: Callable[[dict[str, Any], bool], str | None] = unprofiled
    """(a variant's definition, whether it runs on a cluster) → why its stages cannot be timed; None where they can. It
    is asked before anything runs: on a large data set a profile takes hours until its stages come"""
    planning_seconds: float = 0.0
    """what a pass takes beside its images because each is planned anew (a query of Spark), once the run time has
    compiled the planner; 0 where there is none. Where there is one, a repeat begins with short passes, and the adapter
    has the method `short_pass`"""
    inside: str | None = None
    """the framework whose own adapter Spark's tasks run, so that both give the same scores; None for all others"""
    clustered: bool = False
    """whether it runs on more than one worker"""
    adapter: Callable[[dict[str, Any]], str] = lambda definition: "adapter"
    """a variant's definition → the module of its package that holds the class `Adapter`"""
    model_of: Callable[[dict[str, Any]], str | None] = lambda definition: None
    """a variant's definition → the hub's name of the only model that the variant is valid with; None for any"""
    of_article: Callable[[dict[str, Any]], bool] = lambda definition: False
    """a variant's definition → whether these are the settings with which the article ran the framework"""
    helpers: Callable[[dict[str, Any]], int | str] = lambda definition: 0
    """a variant's definition → how many processes work for it beside the threads that its records count, in words where
    a number does not say it (`cores`); 0 where none does"""
    engine_alone: bool = False
    """whether it is an engine alone, which leaves out what a framework does around it"""
    defaults: dict[str, Any] = field(default_factory=dict)
    """what a setting that a definition leaves out is"""
    search: Mapping[str, Callable[[int], list[int]]] = field(default_factory=dict)
    """settings that a search varies where a variant has them → the values to try on so many cores"""
    snippet: Callable[[dict[str, Any], Setting], str | None] | None = None
    """(a variant's definition, what it is run with) → a program of one's own that classifies a folder of images in the
    same way; None, of a variant or of all, where nobody wrote one"""
