"""Import a SavedModel or an ONNX file into Spark NLP and save the annotator, as `snakemake` does it for each engine."""

import os
import shutil
import tempfile
from pathlib import Path

from vitbench import jars
from vitbench.configuration import HOME
from vitbench.errors import run_logged
from vitbench.files import staged
from vitbench.spark import engine_environment, start_session


def main(engine: str, source: Path, jar_folder: Path, natives: Path, folder: Path) -> None:
    """Load `source` with `ViTForImageClassification.loadSavedModel` and write the annotator to `folder`."""
    from sparknlp.annotator import ViTForImageClassification

    os.environ.update(engine_environment(engine, onednn=True))
    paths = [path.resolve() for path in jars.verify(HOME / "envs" / "jars" / jar_folder.name, jar_folder)]
    # Spark NLP takes no path with a blank in it here, whatever its form; links stand in for those that may have one.
    with staged(folder) as temporary, tempfile.TemporaryDirectory() as links:
        scratch = temporary.with_name("scratch").resolve()
        scratch.mkdir()
        Path(links, "source").symlink_to(source.resolve())
        Path(links, "target").symlink_to(temporary.parent.resolve())
        spark = start_session(paths, scratch, "local[*]", natives.resolve())
        annotator = ViTForImageClassification.loadSavedModel(f"{links}/source", spark)
        annotator.setInputCols(["image_assembler"]).setOutputCol("class")
        annotator.write().overwrite().save(f"{links}/target/{temporary.name}")
        spark.stop()
        # Spark's deletions at exit come after this block; what they would find gone is theirs to ignore.
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.wildcards.engine,
        Path(snakemake.input.source),
        Path(snakemake.input.jars),
        Path("resources/jars/natives"),
        Path(snakemake.output[0]),
    )
