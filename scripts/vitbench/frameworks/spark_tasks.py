"""Frameworks of Python inside Spark: tasks read the files, and the Python worker of each slot holds the model.

The driver hands out paths and gets labels back. A task takes one share of the images, cut as for several processes
without Spark. The process that runs a task, Spark's *Python worker*, stays for the next one, so that the model is
loaded once a slot. What is done with a batch is the framework's own adapter's: files, image processor, weights and
precision are the same with and without Spark.

The shares are rows of an RDD. The two ways that a data frame has, `mapInArrow` and `predict_batch_udf`, need pyarrow,
which is not among the locked packages (docs/methodology.md, "Python inside Spark").
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.frameworks import ADAPTERS, Prediction, Task, Unavailable
from vitbench.frameworks.huggingface.processes import shares
from vitbench.frameworks.spark import collecting_seconds, compiling_seconds, start_session, virtual_machine

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession

# What a task gets, and what it says of each image of a batch: (id, path), (id, label, probability).
Share = list[tuple[str, str]]
Answer = tuple[str, str, float]
# An exception that was raised in a Python worker, as the JVM knows it: its message is Python's traceback.
RAISED = "org.apache.spark.api.python.PythonException"
# What the JVM says of a worker that is gone: whether it had read all that it was sent decides which.
DIED, RESET = "Python worker exited unexpectedly", "java.net.SocketException"
_FRAME = re.compile(r'^  File "(.+?)", line \d+', re.MULTILINE)

# In a Python worker, the adapter of the framework that it runs, from its first task on.
_own: Any = None


def own(module: str, task: Task) -> Any:
    """This Python worker's adapter, started and loaded when it is first asked for."""
    global _own
    if _own is None:
        adapter = import_module(module).Adapter(task)
        adapter.start()
        adapter.load()
        _own = adapter
    return _own


def batches(task: Task, given: Iterable[Share]) -> Iterator[Share]:
    """The batches of a task's shares. Reading them to the end is what lets Spark use the worker again (SPARK-26549)."""
    for share in given:
        for begin in range(0, len(share), task.batch_size):
            yield share[begin : begin + task.batch_size]


# What tasks run; each gets the module of the adapter, its task and the shares.


def load(module: str, task: Task, given: Iterable[Share]) -> Iterator[Unavailable | None]:
    """Load the model into this worker; why that cannot be, or nothing."""
    for _share in given:
        try:
            own(module, task)
            yield None
        except Unavailable as reason:
            yield reason


def classify(module: str, task: Task, given: Iterable[Share]) -> Iterator[list[Answer]]:
    """The answers of each batch."""
    adapter = own(module, task)
    for batch in batches(task, given):
        adapter.batches[len(batch)] += 1
        answers = adapter.answer([path for _, path in batch])
        yield [(image, *answer) for (image, _), answer in zip(batch, answers, strict=True)]


def describe(module: str, task: Task, given: Iterable[Share]) -> Iterator[Unavailable | dict[str, Any]]:
    """What the adapter in this worker says of itself, or why its time means nothing."""
    for _share in given:
        try:
            yield own(module, task).describe()
        except Unavailable as reason:
            yield reason


def python_alone(temporary: Path, natives: Path, cores: int, threads: int) -> SparkSession:
    """A session without jars, whose tasks run this Python and find this library.

    Args:
        temporary, natives: see `vitbench.frameworks.spark.start_session`.
        cores: that Spark may use.
        threads: of a task; cores / threads tasks run at a time.

    Raises:
        UserError: Java, memory or network do not let Spark start.
    """
    settings = {
        # What a task takes of the cores; Spark gives this number to OpenMP in the workers too.
        "spark.task.cpus": str(threads),
        "spark.python.worker.reuse": "true",
        # Workers inherit the JVM's environment, in which nothing foreign is, but for what `start_session` leaves of
        # PYTHONPATH; this is where they find the library, whoever started this process.
        "spark.executorEnv.PYTHONPATH": str(HOME / "scripts"),
    }
    python = {"PYSPARK_PYTHON": sys.executable}
    return start_session([], temporary, f"local[{cores}]", natives, settings, engine=python, spark_nlp=False)


def check_worker(spark: SparkSession) -> None:
    """Raise UserError unless a Python worker starts and finds this library."""
    # Any function of ours: the worker imports its module.
    _collected(spark.sparkContext.parallelize([""], 1).map(last_line))


class Adapter:
    """A framework of Python inside Spark.

    Args:
        framework: which, as it is named without Spark.
        settings: of that framework's own variant that a task runs.
    """

    streams = False

    def __init__(self, task: Task, framework: str, settings: dict[str, Any]) -> None:
        self.task = task
        self.threads = min(task.variant["threads_a_slot"], task.threads)
        self.slots = task.threads // self.threads
        self.shares = shares(task.images, self.slots)
        self.module = ADAPTERS[framework](settings)
        self.inner = replace(task, variant=settings, threads=self.threads, images=[])
        self.batches: Counter[int] = Counter()

    def start(self) -> None:
        if self.task.workers != 1:
            raise Unavailable("only one worker (local mode) is built so far: set `workers: [1]`")
        if self.task.device != "cpu":
            raise Unavailable("Spark's slots share the cores of a CPU: leave the variant out on a GPU")
        temporary, natives = Path(self.task.temporary), Path(self.task.natives)
        self.spark = python_alone(temporary, natives, self.task.threads, self.threads)

    def load(self) -> None:
        self.given = self.spark.sparkContext.parallelize(self.shares, len(self.shares))
        few = [share[:1] for share in self.shares]
        self.few = self.spark.sparkContext.parallelize(few, len(few))
        self.in_each(load)

    def in_each(self, function: Callable[..., Iterator[Any]], given: RDD | None = None) -> list[Any]:
        """What a function above yields in the tasks, one for each share, all at the same time.

        `given` holds other shares than those of all images.

        Raises:
            Unavailable: the framework says so.
            UserError: a task failed, or its process died.
        """
        told = _collected((given or self.given).mapPartitions(partial(function, self.module, self.inner)))
        for one in told:
            if isinstance(one, Unavailable):
                raise one
        return told

    def short_pass(self) -> int:
        return sum(map(len, self.in_each(classify, self.few)))

    def classify(self) -> Iterator[Prediction]:
        answers = self.in_each(classify)
        self.batches = Counter(map(len, answers))
        for batch in answers:
            for answer in batch:
                yield Prediction(*answer)

    def settling_seconds(self) -> float:
        return compiling_seconds(self.spark)

    def collecting_seconds(self) -> float:
        return collecting_seconds(self.spark)

    def describe(self) -> dict[str, Any]:
        """As the workers tell it, each of which proves its own precision, with Spark's part added."""
        import pyspark

        told = self.in_each(describe)[0]
        jvm = self.spark.sparkContext._jvm
        slots = f"{self.slots} slot{'' if self.slots == 1 else 's'}"
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'} each"
        return told | {
            "setting": f"{told['setting']}, in Spark's tasks, {slots}, {threads}",
            "slots": self.slots,
            "partitions": len(self.shares),
            "partition_rows": {str(rows): times for rows, times in sorted(Counter(map(len, self.shares)).items())},
            "effective_batch_sizes": {str(size): times for size, times in sorted(self.batches.items())},
            "batches": "observed",
            "versions": told["versions"]
            | {"pyspark": pyspark.__version__, "java": jvm.java.lang.System.getProperty("java.version")},
            "environment": told["environment"] | {"jvm": virtual_machine(self.spark)},
        }

    def profile(self, passes: int) -> dict[str, Any]:
        from vitbench.frameworks import spark_profiler

        return spark_profiler.profile(self, passes)

    def close(self) -> None:
        self.spark.stop()


def _collected(rows: RDD) -> list[Any]:
    """The rows, computed in tasks; what went wrong there is one line."""
    from py4j.protocol import Py4JJavaError

    try:
        return rows.collect()
    except Py4JJavaError as error:
        causes = list(_causes(error.java_exception))
        raised = next((text for kind, text in causes if kind == RAISED), None)
        if raised is None:
            if any(DIED in text or kind == RESET for kind, text in causes):
                last = " ".join(causes[-1][1].split())
                raise UserError(f"a process of Spark's tasks died while it worked ({last})") from error
            raise
        if Path(_FRAME.findall(raised)[-1]).is_relative_to(HOME / "scripts"):
            # A line of ours raised it, as this one does.
            raise RuntimeError(raised) from error
        raise UserError(last_line(raised)) from error


def last_line(raised: str) -> str:
    """What a traceback ends in, `ValueError: …`, in one line."""
    lines = raised.rpartition("Traceback (most recent call last):\n")[2].splitlines()
    # Frames are indented; what follows them is the exception, its message maybe of several lines.
    said = dropwhile(lambda line: line.startswith(" "), lines)
    return " ".join(" ".join(said).split())


def _causes(error: Any) -> Iterator[tuple[str, str]]:
    """Class and message of a Java exception and of what it was caused by, outermost first."""
    while error is not None:
        yield error.getClass().getName(), error.getMessage() or ""
        error = error.getCause()
