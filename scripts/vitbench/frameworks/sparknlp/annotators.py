"""Annotators of Spark NLP: made in a session of their own and saved to a folder, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.environment import plain_temporary
from vitbench.errors import UserError
from vitbench.files import HOME, staged
from vitbench.frameworks.spark import engine_environment, start_session
from vitbench.inputs import jars

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
    paths = [path.resolve() for path in jars.verify(HOME / "envs" / "jars" / jar_folder.name, jar_folder)]
    with staged(folder) as temporary, tempfile.TemporaryDirectory(dir=plain_temporary()) as links:
        scratch = temporary.with_name("scratch").resolve()
        scratch.mkdir()
        Path(links, "target").symlink_to(temporary.parent.resolve())
        spark = start_session(
            paths, scratch, "local[*]", natives.resolve(), engine=engine_environment(engine, onednn=True)
        )
        try:
            annotator = make(spark, Path(links))
            annotator.setInputCols(["image_assembler"]).setOutputCol("class")
            annotator.write().overwrite().save(f"{links}/target/{temporary.name}")
        finally:
            spark.stop()
            # Spark's deletions at exit come after this block; what they would find gone is theirs to ignore.
            shutil.rmtree(scratch, ignore_errors=True)


def check_same_files(source: Path, annotator: Path) -> list[str]:
    """Names of the files of an export that an annotator's archive holds, each byte for byte as in `source`.

    Of ONNX that is the whole model; of TensorFlow the weights (variables.*), for Spark NLP writes the graph anew.

    Raises:
        UserError: one differs, or there is none.
    """
    exported = {path.name: path for path in source.rglob("*") if path.is_file()}
    same = []
    for path in annotator.glob("image_classification_*"):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename in exported and entry.filename != "saved_model.pb":
                    if zlib.crc32(exported[entry.filename].read_bytes()) != entry.CRC:
                        raise UserError(
                            f"{path}: {entry.filename} is not that of {source}: remove {annotator} and run again"
                        )
                    same.append(entry.filename)
    if not same:
        raise UserError(f"{annotator} holds none of the files of {source}: remove it, run again")
    return sorted(same)
