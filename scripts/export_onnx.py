"""Export a checkpoint to ONNX with the assets that Spark NLP wants, and check its logits (rule export_onnx)."""

from pathlib import Path

from vitbench.errors import run_logged
from vitbench.inputs import models


def main(checkpoint: Path, folder: Path) -> None:
    """Write the export of `checkpoint` to `folder`; UserError when its logits differ from PyTorch's."""
    models.export_onnx(checkpoint, folder)
    difference = models.check_logits(checkpoint, onnx=folder)["onnx"]
    print(f"{folder}: logits within {difference:.1e} of PyTorch's")


if __name__ == "__main__":
    run_logged(snakemake.log[0], main, Path(snakemake.input[0]), Path(snakemake.output[0]))
