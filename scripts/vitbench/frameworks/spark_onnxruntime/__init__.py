"""ONNX Runtime from Python inside Spark's tasks, as a framework that can be measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vitbench.frameworks import onnxruntime
from vitbench.frameworks.declaration import (
    IN_SPARK,
    Framework,
    Needs,
    Setting,
    as_a_program,
    divisors,
    threads_of_a_task,
)
from vitbench.frameworks.spark_snippet import in_tasks

EACH = """\
    loaded = load()
    for paths in shares:
        for begin in range(0, len(paths), BATCH_SIZE):
            yield from answer(loaded, paths[begin : begin + BATCH_SIZE])
"""


def in_spark(own: Framework, color: str, start_and_load_seconds: float) -> Framework:
    """An engine that works in slots (`vitbench.frameworks.onnxruntime.slots`), with one slot in each of Spark's tasks.

    Args:
        own: the engine without Spark.
        color, start_and_load_seconds: see `Framework`.
    """

    def needs(definition: dict[str, Any], device: str) -> Needs:
        return replace(own.needs(definition, device), spark=True)

    def snippet(definition: dict[str, Any], setting: Setting) -> str | None:
        if not as_a_program(definition):
            return None
        threads = threads_of_a_task(definition, setting.cores)
        return in_tasks(own.snippet(definition, setting._replace(cores=threads)), EACH, setting.cores, threads)

    return Framework(
        name=f"spark-{own.name}",
        title=f"{own.title} in Spark",
        package="pyspark",
        color=color,
        settings={
            "required": own.settings["required"],
            # As many tasks at a time as go into an executor's cores.
            "properties": {key: one for key, one in own.settings["properties"].items() if key != "slots"} | IN_SPARK,
        },
        start_and_load_seconds=start_and_load_seconds,
        planning_seconds=0.1,
        needs=needs,
        refuses=own.refuses,
        inside=own.name,
        clustered=True,
        search={"threads_a_slot": divisors},
        snippet=snippet,
    )


FRAMEWORK = in_spark(onnxruntime.FRAMEWORK, "#332288", 12)
