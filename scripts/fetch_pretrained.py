"""Download an annotator ready-made from John Snow Labs' hub and save it (rule fetch_pretrained): the article's way.

Not run here, where that hub cannot be reached; what it says then is tested.
"""

from pathlib import Path

from vitbench.errors import UserError, run_logged
from vitbench.frameworks.sparknlp.annotators import save_annotator


def main(name: str, engine: str, jar_folder: Path, natives: Path, folder: Path) -> None:
    """Write what `ViTForImageClassification.pretrained(name)` gives to `folder`.

    Raises:
        UserError: it cannot be downloaded, or is no ViTForImageClassification.
    """
    from py4j.protocol import Py4JError
    from sparknlp.annotator import ViTForImageClassification

    def download(_spark, _links):
        try:
            return ViTForImageClassification.pretrained(name, "en")
        except (Py4JError, TypeError, AttributeError) as error:
            # Spark NLP prints what went wrong and goes on with nothing, which is what the other two are.
            first = next(iter(str(error).splitlines()), "")
            raise UserError(
                f"cannot download {name} from John Snow Labs' hub ({first[:200]}): check network and proxy, or unpack "
                f"the model's archive as {folder}, or leave its variant out of `frameworks`"
            ) from error

    save_annotator(download, engine, jar_folder, natives, folder)


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.wildcards.name,
        snakemake.params.engine,
        Path(snakemake.input.jars),
        Path("resources/jars/natives"),
        Path(snakemake.output[0]),
    )
