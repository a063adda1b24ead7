"""Import a SavedModel or an ONNX file into Spark NLP and save the annotator, as `snakemake` does it for each engine."""

from pathlib import Path

from vitbench.errors import run_logged
from vitbench.frameworks.declaration import CHECKPOINT
from vitbench.frameworks.sparknlp.annotators import check_same_files, save_annotator
from vitbench.inputs.model_assets import read_possible
from vitbench.inputs.onnx_forms import MODEL


def main(engine: str, source: Path, jar_folder: Path, natives: Path, folder: Path, export: Path | None = None) -> None:
    """Load `source` with `ViTForImageClassification.loadSavedModel` and write the annotator to `folder`.

    `export` is the folder that a quantised graph in `source` was made of: its assets belong to both.

    UserError when what was saved is not what was loaded, or Spark NLP cannot do the model.
    """
    # A model of the hub is known only now; its export serves others.
    read_possible(source.with_name(CHECKPOINT))
    from sparknlp.annotator import ViTForImageClassification

    def load(spark, links):
        if export is None:
            (links / "source").symlink_to(source.resolve())
        else:
            (links / "source").mkdir()
            for path in (source / MODEL, export / "assets"):
                (links / "source" / path.name).symlink_to(path.resolve())
        return ViTForImageClassification.loadSavedModel(f"{links}/source", spark)

    save_annotator(load, engine, jar_folder, natives, folder)
    print(f"{folder}: the same {', '.join(check_same_files(source, folder))} as {source}")


if __name__ == "__main__":
    export = snakemake.input.get("export")
    run_logged(
        snakemake.log[0],
        main,
        # What is quantised is ONNX.
        snakemake.wildcards.get("export", "onnx"),
        Path(snakemake.input.source),
        Path(snakemake.input.jars),
        Path("resources/jars/natives"),
        Path(snakemake.output[0]),
        Path(export) if export else None,
    )
