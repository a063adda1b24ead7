"""ONNX Runtime inside Spark: one session with one slot in the worker of each of Spark's slots."""

from __future__ import annotations

from vitbench.frameworks import Task, spark_tasks
from vitbench.frameworks.spark_onnxruntime import FRAMEWORK


class Adapter(spark_tasks.Adapter):
    def __init__(self, task: Task) -> None:
        # The settings are those of `onnxruntime` itself: given the threads of a task, it makes one slot of them.
        super().__init__(task, FRAMEWORK.inside, task.variant)
