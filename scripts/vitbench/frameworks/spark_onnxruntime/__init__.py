"""ONNX Runtime from Python inside Spark's tasks, as a framework that can be measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vitbench.frameworks import onnxruntime
from vitbench.frameworks.declaration import IN_SPARK, Framework, Needs, Setting, as_a_program, divisors
from vitbench.frameworks.spark_snippet import in_tasks

OWN = onnxruntime.FRAMEWORK
EACH = """\
    loaded = load()
    for paths in shares:
        for begin in range(0, len(paths), BATCH_SIZE):
            yield from answer(loaded, paths[begin : begin + BATCH_SIZE])
"""


def needs(definition: dict[str, Any], device: str) -> Needs:
    """What ONNX Runtime needs, and Spark."""
    return replace(onnxruntime.needs(definition, device), spark=True)


def snippet(definition: dict[str, Any], setting: Setting) -> str | None:
    """The program of ONNX Runtime's own variant, in Spark's tasks: see `Framework.snippet`."""
    if not as_a_program(definition):
        return None
    return in_tasks(onnxruntime.snippet(definition, setting), EACH, setting.cores, definition["threads_a_slot"])


FRAMEWORK = Framework(
    name="spark-onnxruntime",
    title="ONNX Runtime in Spark",
    package="pyspark",
    color="#332288",
    settings={
        "required": OWN.settings["required"],
        # As many tasks at a time as go into an executor's cores.
        "properties": {key: one for key, one in OWN.settings["properties"].items() if key != "slots"} | IN_SPARK,
    },
    start_and_load_seconds=12,
    planning_seconds=0.1,
    needs=needs,
    refuses=OWN.refuses,
    inside="onnxruntime",
    clustered=True,
    search={"threads_a_slot": divisors},
    snippet=snippet,
)
