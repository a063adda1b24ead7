"""Frameworks of Python inside Spark: tasks read the files, and the Python worker of each slot holds the model.

The driver hands out paths and gets labels back. A task takes one share of the images, cut as for several processes
without Spark. The process that runs a task, Spark's *Python worker*, stays for the next one, so that the model is
loaded once a slot. What is done with a batch is the framework's own adapter's: files, image processor, weights and
precision are the same with and without Spark.

The shares are rows of an RDD; with `input: bytes` they are made of the rows of Parquet files of path and content, as
Spark reads them. The two ways that a data frame has, `mapInArrow` and `predict_batch_udf`, need pyarrow, which is not
among the locked packages (docs/methodology.md, "Python inside Spark"). With `sink: parquet` the answers do not come to
the driver: Spark writes them, each task what it made.
"""

from __future__ import annotations

import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.frameworks import ADAPTERS, Prediction, Task, Unavailable
from vitbench.frameworks.cluster import Cluster, Executors, threads_and_slots
from vitbench.frameworks.declaration import COLLECT, FILES, PARQUET
from vitbench.frameworks.huggingface.processes import shares
from vitbench.frameworks.inside_spark import InsideSpark
from vitbench.frameworks.spark import (
    batches_of,
    driver_outlives,
    rows_of_partitions,
    start_session,
    virtual_machine,
)

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import DataFrame, SparkSession

# What a task gets, and what it says of each image of a batch: (id, path or opened image), (id, label, probability).
Share = list[tuple[str, Any]]
Answer = tuple[str, str, float]
# The columns in which answers are written.
ANSWER = "id string, label string, score double"
# An exception that was raised in a Python worker, as the JVM knows it: its message is Python's traceback.
RAISED = "org.apache.spark.api.python.PythonException"
# What the JVM says of a worker that is gone: whether it had read all that it was sent decides which.
DIED, RESET = "Python worker exited unexpectedly", "java.net.SocketException"
# What the JVM says of an executor that was lost, once too often.
LOST = "ExecutorLostFailure"
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


def opened(size: int, rows: Iterable[tuple[str, bytearray]]) -> Iterator[Share]:
    """Shares of so many images, the last maybe of fewer, from rows of path (the image's id) and content."""
    import PIL.Image

    share: Share = []
    for image, content in rows:
        # Opened here, decoded where a file would be.
        share.append((image, PIL.Image.open(io.BytesIO(content))))
        if len(share) == size:
            yield share
            share = []
    if share:
        yield share


def describe(module: str, task: Task, given: Iterable[Share]) -> Iterator[Unavailable | dict[str, Any]]:
    """What the adapter in this worker says of itself, or why its time means nothing."""
    for _share in given:
        try:
            yield own(module, task).describe()
        except Unavailable as reason:
            yield reason


def python_alone(
    temporary: Path,
    natives: Path,
    cores: int,
    threads: int,
    settings: dict[str, str] | None = None,
    executors: Executors | None = None,
) -> SparkSession:
    """A session without jars, whose tasks run this Python and find this library.

    Args:
        temporary, natives, executors: see `vitbench.frameworks.spark.start_session`.
        cores: that Spark may use on one node.
        threads: of a task; cores / threads tasks run at a time.
        settings: more Spark settings. With `spark.pyspark.python` tasks run that Python, and with
            `spark.executorEnv.PYTHONPATH` they look for this library there, as nodes may want that have it elsewhere.

    Raises:
        UserError: Java, memory or network do not let Spark start, or not all executors registered.
    """
    more = {
        # What a task takes of the cores; Spark gives this number to OpenMP in the workers too.
        "spark.task.cpus": str(threads),
        "spark.python.worker.reuse": "true",
        # Parquet files of path and content are written for so many tasks (inputs/contents.py).
        "spark.sql.files.minPartitionNum": str(executors.cluster.slots(threads) if executors else cores // threads),
        # Workers inherit the JVM's environment, in which nothing foreign is, but for what `start_session` leaves of
        # PYTHONPATH; this is where they find the library, whoever started this process.
        "spark.executorEnv.PYTHONPATH": str(HOME / "scripts"),
    } | (settings or {})
    # Spark's start script runs a Python of its own, here, where that of other nodes need not be.
    python = {
        "PYSPARK_PYTHON": more.get("spark.pyspark.python", sys.executable),
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }
    return start_session(
        [],
        temporary,
        f"local[{cores}]",
        natives,
        more,
        engine=python,
        spark_nlp=False,
        executors=executors,
    )


def check_worker(spark: SparkSession) -> None:
    """Raise UserError unless a Python worker starts and finds this library."""
    # Any function of ours: the worker imports its module.
    _collected(spark.sparkContext.parallelize([""], 1).map(last_line))


class Adapter(InsideSpark):
    """A framework of Python inside Spark.

    Args:
        framework: which, as it is named without Spark.
        settings: of that framework's own variant that a task runs.
    """

    def __init__(self, task: Task, framework: str, settings: dict[str, Any]) -> None:
        self.task = task
        self.threads, self.slots = threads_and_slots(task)
        cluster = Cluster.of(task)
        self.executors = Executors(cluster, self.threads) if cluster else None
        self.input, self.sink = task.variant.get("input", FILES), task.variant.get("sink", COLLECT)
        self.answers = str(Path(task.temporary) / "answers")
        self.shares = shares(task.images, self.slots)
        self.module = ADAPTERS[framework](settings)
        self.inner = replace(task, variant=settings, threads=self.threads, images=[])
        self.batches: Counter[int] = Counter()

    def start(self) -> None:
        if self.task.device != "cpu":
            raise Unavailable("Spark's slots share the cores of a CPU: leave the variant out on a GPU")
        temporary, natives = Path(self.task.temporary), Path(self.task.natives)
        settings = self.task.spark.get("settings")
        self.spark = python_alone(temporary, natives, self.task.threads, self.threads, settings, self.executors)

    def load(self) -> None:
        self._hand_out()
        self.in_each(load)

    def _hand_out(self) -> None:
        self.given = self.spark.sparkContext.parallelize(self.shares, len(self.shares))
        self.few = self.spark.sparkContext.parallelize([share[:1] for share in self.shares], len(self.shares))

    def give(self, images: list[tuple[str, str]], folder: str, contents: str | None = None) -> None:
        super().give(images, folder, contents)
        self.shares = shares(images, self.slots)
        self._hand_out()

    def in_each(self, function: Callable[..., Iterator[Any]], given: RDD | None = None) -> list[Any]:
        """What a function above yields in the tasks, one for each share, all at the same time.

        `given` holds other shares than those of all images.

        Raises:
            Unavailable: the framework says so.
            UserError: a task failed (on a cluster as often as Spark tries it), or its process or the driver died.
        """
        with driver_outlives(self.spark):
            told = _collected(self._in_tasks(function, self.given if given is None else given))
        for one in told:
            if isinstance(one, Unavailable):
                raise one
        return told

    def _in_tasks(self, function: Callable[..., Iterator[Any]], given: RDD) -> RDD:
        return given.mapPartitions(partial(function, self.module, self.inner))

    def images(self) -> RDD:
        """The shares of a pass: of the files as they were cut, or of what the Parquet files hold, opened."""
        return self.given if self.input == FILES else self._opened(self.contents())

    def few_images(self) -> RDD:
        """As `images`, of one image a slot."""
        if self.input == FILES:
            return self.few
        # Rows that `limit` leaves are in one partition.
        return self._opened(self.contents().limit(len(self.shares)).repartition(len(self.shares)))

    def contents(self) -> DataFrame:
        """Path and content of each image, as Spark reads the Parquet files."""
        return self.spark.read.parquet(self.task.contents).select("path", "content")

    def _opened(self, contents: DataFrame) -> RDD:
        return contents.rdd.mapPartitions(partial(opened, self.task.batch_size))

    def run(self, images: RDD) -> list[list[Answer]]:
        """One pass: the answers of each batch in the driver; none, where they are written to `answers`."""
        if self.sink == COLLECT:
            return self.in_each(classify, images)
        rows = self._in_tasks(classify, images).flatMap(iter)
        with _in_one_line(), driver_outlives(self.spark):
            frame = self.spark.createDataFrame(rows, ANSWER, verifySchema=False)
            frame.write.parquet(self.answers)
        return []

    def short_pass(self) -> int:
        self.run(self.few_images())
        self.forget()
        return sum(1 for share in self.shares if share)

    def classify(self) -> Iterator[Prediction]:
        answers = self.run(self.images())
        self.batches = Counter(map(len, answers))
        for batch in answers:
            for answer in batch:
                yield Prediction(*answer)

    def written(self) -> Iterator[Prediction]:
        if self.sink == PARQUET:
            for answer in self.read_back():
                yield Prediction(*answer)

    def describe(self) -> dict[str, Any]:
        """As the workers tell it, each of which proves its own precision, with Spark's part added."""
        import pyspark

        told = self.in_each(describe)[0]
        jvm = self.spark.sparkContext._jvm
        slots = f"{self.slots} slot{'' if self.slots == 1 else 's'}"
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'} each"
        cluster = f", {self.executors.cluster.words}" if self.executors else ""
        rows = list(map(len, self.shares)) if self.input == FILES else rows_of_partitions(self.contents())
        batches = self.batches if self.sink == COLLECT else batches_of(rows, self.task.batch_size)
        return told | {
            "setting": f"{told['setting']}, in Spark's tasks, {slots}, {threads}{cluster}",
            "slots": self.slots,
            "partitions": len(rows),
            "partition_rows": {str(count): times for count, times in sorted(Counter(rows).items())},
            "effective_batch_sizes": {str(size): times for size, times in sorted(batches.items())},
            "batches": "observed" if self.sink == COLLECT else "computed",
            "input": self.input,
            "sink": self.sink,
            "versions": told["versions"]
            | {"pyspark": pyspark.__version__, "java": jvm.java.lang.System.getProperty("java.version")},
            "environment": told["environment"] | {"jvm": virtual_machine(self.spark)},
            "cluster": self.executors.describe() if self.executors else None,
        }

    def profile(self, passes: int) -> dict[str, Any]:
        from vitbench.frameworks import spark_profiler

        return spark_profiler.profile(self, passes)


def _collected(rows: RDD) -> list[Any]:
    """The rows, computed in tasks; what went wrong there is one line."""
    with _in_one_line():
        return rows.collect()


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Say in one line what goes wrong in the tasks of the block.

    Raises:
        UserError: a task failed, or its process died.
    """
    from py4j.protocol import Py4JJavaError

    try:
        yield
    except Py4JJavaError as error:
        causes = list(_causes(error.java_exception))
        raised = next((text for kind, text in causes if kind == RAISED), None)
        if raised is None:
            if any(DIED in text or kind == RESET for kind, text in causes):
                last = " ".join(causes[-1][1].split())
                raise UserError(f"a process of Spark's tasks died while it worked ({last})") from error
            # An address or host stands after it, which no record names.
            if (text := next((text for _, text in causes if LOST in text), None)) is not None:
                tries = re.search(r"failed (\d+) times", text)
                often = f", {tries[1]} times over one task" if tries else ""
                raise UserError(f"executors of Spark were lost while they worked{often}") from error
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
