"""Start Spark with one set of jars and stop it again: what does not fit is said before anything is measured."""

import json
import tempfile
from pathlib import Path

from vitbench.errors import run_logged
from vitbench.files import HOME, write_atomically
from vitbench.frameworks.spark import heap_gigabytes, start_session
from vitbench.inputs import jars
from vitbench.inputs.java import Java, find_java


def main(jar_folder: Path, natives: Path, out: Path) -> None:
    """Write which Java, Spark and Spark NLP work together; UserError says why they do not."""
    import pyspark
    import sparknlp

    java = Java(*find_java())
    paths = [path.resolve() for path in jars.verify(HOME / "envs" / "jars" / jar_folder.name, jar_folder)]
    # On the disk that is measured on: the system's folder for temporary files may be small, or forbid to run anything.
    with tempfile.TemporaryDirectory(prefix=".spark-", dir=out.parent) as scratch:
        spark = start_session(paths, Path(scratch).resolve(), "local[1]", natives.resolve())
        spark.stop()
    facts = {
        "java": java.version,
        "java_from": java.origin,
        "heap_gigabytes": heap_gigabytes(),
        "pyspark": pyspark.__version__,
        "spark-nlp": sparknlp.version(),
    }
    write_atomically(out, json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        Path(snakemake.input[0]),
        Path("resources/jars/natives"),
        Path(snakemake.output[0]),
    )
