"""The executors of a session on a cluster: what is asked for, how many came, which were lost, what was done again.

On one node there is none of it: Spark works inside its driver, `local[*]`.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from vitbench.errors import UserError, without_nodes
from vitbench.frameworks.declaration import threads_of_a_task
from vitbench.frameworks.spark import driver_outlives
from vitbench.frameworks.standalone import Standalone

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from vitbench.frameworks import Task

# Seconds in which all executors must have registered: a JVM starts, and somebody else's cluster may have a queue.
PATIENCE = 300.0
# Milliseconds in which Spark's own queue of events must be empty after a pass; by itself Spark gives it ten seconds.
TO_TELL = 120_000
# Seconds between two looks at the workers of a cluster of our own.
SECONDS_BETWEEN_LOOKS = 1.0
# How the threads of HotSpot's compilers are called, as far as the kernel keeps their names.
_COMPILERS = ("C1 Compiler", "C2 Compiler")
# A host or address with its port, which no record names.
_ADDRESS = re.compile(r"[\w.-]+:\d+")


@dataclass(frozen=True)
class Cluster:
    """What a cell asks of a cluster: executors that are all alike, one a worker."""

    master: str | None
    """as Spark spells it; None for a standalone cluster of our own"""
    workers: int
    cores: int
    """of each executor"""
    memory_mb: int
    """heap of each executor, MB of 2^20 bytes"""
    hadoop: str | None = None
    """folder with the configuration of a Hadoop cluster"""

    @classmethod
    def of(cls, task: Task) -> Cluster | None:
        """The cluster that a repeat's cell asks for; None on one node."""
        return cls(**task.spark["cluster"]) if "cluster" in task.spark else None

    @property
    def here(self) -> bool:
        """Whether its executors are processes of this machine."""
        return self.master is None or self.master.startswith("local-cluster[")

    @property
    def kind(self) -> str:
        """What a record calls its master: no address stands there."""
        if self.master is None:
            return "standalone"
        return self.master if self.here else self.master.partition("://")[0]

    @property
    def words(self) -> str:
        """What a record's setting says of it: `standalone, 2 executors of 1 core`."""
        executors = f"{self.workers} executor{'' if self.workers == 1 else 's'}"
        return f"{self.kind}, {executors} of {self.cores} core{'' if self.cores == 1 else 's'}"

    def slots(self, threads: int) -> int:
        """Tasks that all executors together run at a time, each on so many cores (at most an executor's)."""
        return self.cores // threads * self.workers

    def settings(self, threads: int, environment: dict[str, str]) -> dict[str, str]:
        """Spark's settings for these executors.

        Args:
            threads: cores that a task takes.
            environment: variables that executors must have, beside what they inherit of a daemon of ours.
        """
        return {f"spark.executorEnv.{name}": value for name, value in environment.items()} | {
            "spark.executor.cores": str(self.cores),
            "spark.executor.memory": f"{self.memory_mb}m",
            # No more executors than were asked for: on a standalone cluster by their cores, elsewhere by their number.
            "spark.cores.max": str(self.workers * self.cores),
            "spark.executor.instances": str(self.workers),
            "spark.dynamicAllocation.enabled": "false",
            "spark.task.cpus": str(threads),
            # As many partitions as slots, as on one node; Spark would make two of a single core.
            "spark.default.parallelism": str(self.slots(threads)),
        }


def threads_and_slots(task: Task) -> tuple[int, int]:
    """Of a variant with `threads_a_slot`: the threads of each of Spark's tasks, and how many tasks run at a time."""
    cluster = Cluster.of(task)
    cores = cluster.cores if cluster else task.threads
    threads = threads_of_a_task(task.variant, cores)
    return threads, cluster.slots(threads) if cluster else cores // threads


class Executors:
    """The executors of one session: awaited when it starts, watched while it works, stopped with it.

    Args:
        threads: cores that a task takes.
    """

    def __init__(self, cluster: Cluster, threads: int) -> None:
        self.cluster, self.threads = cluster, threads
        self.daemons: Standalone | None = None
        self.seen = 0
        """how many had registered when the session was up"""
        self.lost: dict[str, str] = {}
        """executor → why it was lost"""
        self.retried = 0
        # Jobs, and their stages, whose failed tasks were counted.
        self._jobs = 0
        self._stages: set[int] = set()
        self._stopped = threading.Event()
        self._compiled: dict[tuple[int, int], float] = {}

    def master(self, folder: Path) -> str:
        """The master's address. A cluster of our own is started, with its files in `folder`, which is made.

        Raises:
            UserError: its master does not listen.
        """
        if self.cluster.master is None:
            self.daemons = Standalone(folder)
            return self.daemons.start(self.cluster.workers, self.cluster.cores, self.cluster.memory_mb)
        if self.cluster.here:
            # Spark's trial of a cluster keeps its workers' files below Spark's own folder.
            os.environ["SPARK_HOME"] = str(_linked_home(folder))
        return self.cluster.master

    def join(self, spark: SparkSession) -> None:
        """Wait until as many executors as were asked for have registered with the driver.

        Raises:
            UserError: they have not within PATIENCE seconds, or a daemon of ours has ended.
        """
        self.spark = spark
        deadline = time.monotonic() + PATIENCE
        while (found := sum(one.isActive() for one in self._summaries())) < self.cluster.workers:
            if self.daemons:
                self.daemons.check()
            if time.monotonic() > deadline:
                raise UserError(
                    f"workers: {found} of {self.cluster.workers} executors of {self.cluster.cores} cores and "
                    f"{self.cluster.memory_mb} MB registered within {PATIENCE:.0f} s (master: {self.cluster.kind}): "
                    "ask for less of each (`spark: worker_cores, worker_memory_gb`), or free the cluster"
                )
            time.sleep(0.05)
        self.seen = found
        if self.daemons:
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """End what Spark does where all workers of a cluster of our own are gone: it would wait for others for ever.

        A job that begins afterwards, too: the last worker may have ended between two.
        """
        from py4j.protocol import Py4JError

        said = False
        while not self._stopped.wait(SECONDS_BETWEEN_LOOKS):
            if not self.daemons.workers_gone:
                continue
            if not said:
                print("every worker of the cluster has ended: Spark's jobs are cancelled", flush=True)
                said = True
            try:
                self.spark.sparkContext.cancelAllJobs()
            except (Py4JError, OSError):  # the driver is gone, too, and says so where it is missed
                return

    def faults(self) -> dict[str, int]:
        """Executors that were lost, and tasks that failed and were tried again, since this was asked last.

        Raises:
            UserError: the driver died.
        """
        with driver_outlives(self.spark):
            # Spark tells its store by a queue of its own.
            self.spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty(TO_TELL)
            gone = {one.id(): _why(one) for one in self._summaries() if not one.isActive()}
            again = self._failed_tasks()
        new = gone.keys() - self.lost.keys()
        self.lost |= gone
        self.retried += again
        return {"executors_lost": len(new), "tasks_retried": again}

    def describe(self) -> dict[str, Any]:
        """The record's field `cluster`."""
        self.faults()
        return {
            "master": self.cluster.kind,
            "here": self.cluster.here,
            "executors": self.seen,
            "cores": self.cluster.cores,
            "memory_mb": self.cluster.memory_mb,
            "pinned": self.daemons is not None and self.daemons.pinned,
            "executors_lost": len(self.lost),
            "why_lost": sorted(set(self.lost.values())),
            "tasks_retried": self.retried,
        }

    def compiling_seconds(self) -> float | None:
        """CPU seconds of the compilers in all JVMs below this process, the driver's too, by the kernel's count.

        None where the kernel does not tell, or executors run elsewhere. A thread that has ended keeps what it had when
        this was asked last, so that the sum never falls.
        """
        if not self.cluster.here or not Path("/proc/self/task").is_dir():
            return None
        for place, seconds in _compilers():
            self._compiled[place] = max(seconds, self._compiled.get(place, 0.0))
        return sum(self._compiled.values())

    def collecting_seconds(self) -> float:
        """What the executors' garbage collectors have taken while tasks ran, as the tasks tell it."""
        with driver_outlives(self.spark):
            return sum(one.totalGCTime() for one in self._summaries()) / 1000

    def tell(self) -> None:
        """Print what the daemons of a cluster of our own, and its executors, said last."""
        if self.daemons:
            self.daemons.tell()

    def stop(self) -> None:
        """Stop the daemons of a cluster of our own."""
        self._stopped.set()
        if self.daemons:
            self.daemons.stop()

    def _summaries(self) -> list[Any]:
        """What Spark knows of each executor that ever registered."""
        found = self.spark.sparkContext._jsc.sc().statusStore().executorList(False)
        every = [found.apply(number) for number in range(found.size())]
        return [one for one in every if one.id() != "driver"]

    def _failed_tasks(self) -> int:
        """Attempts at tasks that failed, in the jobs since this was asked last."""
        tracker = self.spark.sparkContext.statusTracker()
        found = 0
        # Spark numbers its jobs from 0 on; to ask for all that it keeps would take longer with every pass.
        while info := tracker.getJobInfo(self._jobs):
            self._jobs += 1
            new = set(info.stageIds) - self._stages
            self._stages |= new
            found += sum(stage.numFailedTasks for number in new if (stage := tracker.getStageInfo(number)))
        return found


def _linked_home(folder: Path) -> Path:
    """Make `folder` a second home of Spark, of links to what the first one holds; what is written there is ours."""
    import pyspark

    folder.mkdir(parents=True)
    for entry in Path(pyspark.__file__).parent.iterdir():
        if entry.name != "work":
            (folder / entry.name).symlink_to(entry)
    return folder


def _why(summary: Any) -> str:
    """Why an executor was lost, in one line and without addresses."""
    reason = summary.removeReason()
    if not reason.isDefined():
        return "Spark says nothing"
    return _ADDRESS.sub("…", without_nodes(" ".join(reason.get().split())))[:300]


def _compilers() -> Iterator[tuple[tuple[int, int], float]]:
    """((process, thread), CPU seconds so far) of each compiler's thread in the JVMs below this process."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # gone meanwhile
            threads = process.threads() if process.name() == "java" else []
            for thread in threads:
                with suppress(OSError):
                    name = Path(f"/proc/{process.pid}/task/{thread.id}/comm").read_text()
                    if name.startswith(_COMPILERS):
                        yield (process.pid, thread.id), thread.user_time + thread.system_time
