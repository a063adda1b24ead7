"""Make of a model's ONNX export what ONNX Runtime is to load: the same graph, or a quantised one."""

from pathlib import Path

from vitbench.errors import run_logged
from vitbench.inputs.onnx_forms import make

if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        make,
        Path(snakemake.input.checkpoint),
        Path(snakemake.input.export),
        snakemake.wildcards.weights,
        Path(snakemake.output[0]),
    )
