"""Annotators of Spark NLP: made in a session of their own and saved to a folder, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench import jars
from vitbench.configuration import HOME
from vitbench.files import staged
from vitbench.spark import engine_environment, start_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def save_annotator(
    make: Callable[[SparkSession, Path], Any], engine: str, jar_folder: Path, natives: Path, folder: Path
) -> None:
    """Call `make` with a session on the jars of `jar_folder`, and save the annotator that it returns to `folder`.

    Spark NLP takes no path with a blank in it here, whatever its form: `make` is also given an empty folder without
    one, for links to what it reads.

    Raises:
        UserError: the jars are not those that were locked, Spark does not start, or what `make` raises.
    """
    os.environ.update(engine_environment(engine, onednn=True))
    paths = [path.resolve() for path in jars.verify(HOME / "envs" / "jars" / jar_folder.name, jar_folder)]
    with staged(folder) as temporary, tempfile.TemporaryDirectory() as links:
        scratch = temporary.with_name("scratch").resolve()
        scratch.mkdir()
        Path(links, "target").symlink_to(temporary.parent.resolve())
        spark = start_session(paths, scratch, "local[*]", natives.resolve())
        try:
            annotator = make(spark, Path(links))
            annotator.setInputCols(["image_assembler"]).setOutputCol("class")
            annotator.write().overwrite().save(f"{links}/target/{temporary.name}")
        finally:
            spark.stop()
            # Spark's deletions at exit come after this block; what they would find gone is theirs to ignore.
            shutil.rmtree(scratch, ignore_errors=True)
