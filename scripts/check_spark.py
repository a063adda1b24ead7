"""Start Spark once, as it will be measured, and stop it again: what does not fit is said before any measurement."""

import json
import tempfile
from pathlib import Path
from typing import Any

from vitbench.errors import run_logged
from vitbench.files import HOME, write_atomically
from vitbench.frameworks.cluster import Cluster, Executors
from vitbench.frameworks.spark import heap_gigabytes, start_session
from vitbench.frameworks.spark_tasks import check_worker, python_alone
from vitbench.inputs import jars
from vitbench.inputs.java import Java, find_java


def main(jar_folder: Path | None, natives: Path, out: Path, spark_options: dict[str, Any] | None = None) -> None:
    """Write which Java, Spark and Spark NLP work together; UserError says why they do not.

    Without a folder of jars it is Spark alone, with a task that runs Python.

    Args:
        spark_options: `settings` and `cluster`, as a repeat is told them (`vitbench.frameworks.Task.spark`).
    """
    import pyspark

    told = spark_options or {}
    settings = told.get("settings", {})
    executors = Executors(Cluster(**told["cluster"]), threads=1) if "cluster" in told else None
    java = Java(*find_java())
    facts = {"java": java.version, "java_from": java.origin, "heap_gigabytes": heap_gigabytes()}
    facts["pyspark"] = pyspark.__version__
    # On the disk that is measured on: the system's folder for temporary files may be small, or forbid to run anything.
    with tempfile.TemporaryDirectory(prefix=".spark-", dir=out.parent) as scratch:
        temporary = Path(scratch).resolve()
        if jar_folder:
            import sparknlp

            paths = [path.resolve() for path in jars.verify(HOME / "envs" / "jars" / jar_folder.name, jar_folder)]
            spark = start_session(paths, temporary, "local[1]", natives.resolve(), settings, executors=executors)
            facts["spark-nlp"] = sparknlp.version()
        else:
            spark = python_alone(temporary, natives.resolve(), 1, 1, settings, executors)
            check_worker(spark)
        if executors:
            found = executors.describe()
            facts["cluster"] = {key: found[key] for key in ("master", "executors", "cores", "memory_mb")}
        spark.stop()
    write_atomically(out, json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        Path(snakemake.input[0]) if snakemake.input else None,
        Path("resources/jars/natives"),
        Path(snakemake.output[0]),
        snakemake.params.spark,
    )
