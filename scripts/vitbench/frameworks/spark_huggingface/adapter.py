"""Hugging Face inside Spark: the model of `huggingface/dataloader`, without its loader, in the worker of each slot."""

from __future__ import annotations

from vitbench.frameworks import Task, spark_tasks
from vitbench.frameworks.spark_huggingface import FRAMEWORK, in_a_task


class Adapter(spark_tasks.Adapter):
    def __init__(self, task: Task) -> None:
        super().__init__(task, FRAMEWORK.inside, in_a_task(task.variant))
