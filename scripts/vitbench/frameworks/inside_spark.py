"""What adapters share that compute inside Spark: what its virtual machines took, what was lost, what passes wrote."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from vitbench.frameworks import Plain
from vitbench.frameworks.cluster import Executors
from vitbench.frameworks.declaration import PARQUET
from vitbench.frameworks.spark import collecting_seconds, compiling_seconds, driver_outlives

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class InsideSpark(Plain):
    """An adapter with a session of Spark."""

    streams = False
    spark: SparkSession
    executors: Executors | None
    """of its cluster; None on one node"""
    sink: str
    """COLLECT or PARQUET"""
    answers: str
    """folder that a pass writes its answers to, with PARQUET"""

    def read_back(self) -> list[Any]:
        """The rows that the last pass wrote; they are removed."""
        with driver_outlives(self.spark):
            rows = self.spark.read.parquet(self.answers).collect()
        self.forget()
        return rows

    def forget(self) -> None:
        """Remove what the last pass wrote, if it did, with the clock off: the next one would take the time of it."""
        if self.sink == PARQUET:
            shutil.rmtree(self.answers)

    def settling_seconds(self) -> float:
        compiled = self.executors.compiling_seconds() if self.executors else None
        return compiling_seconds(self.spark) if compiled is None else compiled

    def collecting_seconds(self) -> float:
        return collecting_seconds(self.spark) + (self.executors.collecting_seconds() if self.executors else 0.0)

    def faults(self) -> dict[str, int]:
        return self.executors.faults() if self.executors else {}

    def close(self) -> None:
        try:
            self.spark.stop()
        finally:
            if self.executors:
                self.executors.stop()
