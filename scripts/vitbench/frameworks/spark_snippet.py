"""A framework's own program (`Framework.snippet`) with its work in Spark's tasks in place of its own."""

from __future__ import annotations

from vitbench.frameworks.declaration import IMAGES_OF_A_FOLDER, MAIN

PROGRAM = """\
import os
import sys

from pyspark.sql import SparkSession
{program}def answers(shares):
{each}

{main}{images}    slots = {slots}
    # Tasks run the Python that has these packages: by itself Spark takes what is called python3 here.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = (
        SparkSession.builder.master("local[{cores}]")
        .config("spark.task.cpus", "{threads}")
        .config("spark.python.worker.reuse", "true")
        .getOrCreate()
    )
    shares = [paths[number::slots] for number in range(slots)]
    for found in spark.sparkContext.parallelize(shares, slots).mapPartitions(answers).collect():
        print(*found, sep="\\t")
    spark.stop()
"""


def in_tasks(program: str, each: str, cores: int, threads: int) -> str:
    """The program whose tasks do what `each` says with the lists of paths that `shares` yields.

    Args:
        program: the framework's own, of which what follows MAIN is left out.
        each: the body of a generator that is given `shares`, indented.
        threads: of a task; cores / threads tasks run at a time.
    """
    return PROGRAM.format(
        program=program.partition(MAIN)[0],
        each=each,
        main=MAIN,
        images=IMAGES_OF_A_FOLDER,
        slots=max(1, cores // threads),
        cores=cores,
        threads=threads,
    )
