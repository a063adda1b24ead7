"""OpenVINO inside Spark: one compiled graph with one stream in the worker of each of Spark's slots."""

from __future__ import annotations

from vitbench.frameworks import Task, spark_tasks
from vitbench.frameworks.spark_openvino import FRAMEWORK


class Adapter(spark_tasks.Adapter):
    def __init__(self, task: Task) -> None:
        super().__init__(task, FRAMEWORK.inside, task.variant)
