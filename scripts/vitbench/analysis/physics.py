"""What the arithmetic of a model asks for, and what this machine can do of it at most.

The peak is measured, not looked up: the highest rate at which any of the libraries multiplies matrices of the shapes
that the model has. A throughput above it is an error of measuring, whoever measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.records.record import cell_name

if TYPE_CHECKING:
    import pandas

# What a share of the peak may reach before it is impossible: both are measured, on a machine that is never quite still.
TOLERANCE = 1.05


# --- what the model asks for ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """What a ViT's arithmetic depends on."""

    image_size: int
    patch_size: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    labels: int
    channels: int = 3

    @property
    def patches(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    @property
    def tokens(self) -> int:
        """Patches and the [CLS] token."""
        return self.patches + 1


# ViT-B/16 at 224 pixels with ImageNet's labels.
VIT_BASE = Shape(
    image_size=224, patch_size=16, hidden_size=768, layers=12, heads=12, intermediate_size=3072, labels=1000
)


def read_shape(checkpoint: Path) -> Shape:
    """The shape that the config.json of a Hugging Face checkpoint names.

    Raises:
        UserError: the file is missing or lacks something.
    """
    path = Path(checkpoint) / "config.json"
    try:
        config = json.loads(path.read_text())
        return Shape(
            image_size=config["image_size"],
            patch_size=config["patch_size"],
            hidden_size=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            intermediate_size=config["intermediate_size"],
            labels=len(config.get("id2label") or ("LABEL_0", "LABEL_1")),  # which transformers leaves unwritten
            channels=config.get("num_channels", 3),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} does not say what shape the model has ({error!r}); name a ViT checkpoint") from error


@dataclass(frozen=True)
class Product:
    """`count` products of [rows, inner] x [inner, columns] at once; `weights`: the right side is the model's own."""

    name: str
    batch_size: int
    count: int
    rows: int
    inner: int
    columns: int
    weights: bool = True

    @property
    def flop(self) -> float:
        """A multiply-add counted as two."""
        return 2.0 * self.count * self.rows * self.inner * self.columns

    @property
    def text(self) -> str:
        size = f"{self.rows}x{self.inner}x{self.columns}"
        return f"{self.count} x {size}" if self.count > 1 else size


def products(shape: Shape, batch_size: int) -> dict[Product, int]:
    """Every matrix product of one forward pass, and how often it happens in it (Dosovitskiy et al. 2021)."""
    hidden, mlp, head = shape.hidden_size, shape.intermediate_size, shape.hidden_size // shape.heads
    rows, heads = batch_size * shape.tokens, batch_size * shape.heads
    patch = shape.channels * shape.patch_size**2
    return {
        Product("patch embedding", batch_size, 1, batch_size * shape.patches, patch, hidden): 1,
        Product("projection", batch_size, 1, rows, hidden, hidden): 4 * shape.layers,
        Product("attention scores", batch_size, heads, shape.tokens, head, shape.tokens, False): shape.layers,
        Product("attention values", batch_size, heads, shape.tokens, shape.tokens, head, False): shape.layers,
        Product("MLP up", batch_size, 1, rows, hidden, mlp): shape.layers,
        Product("MLP down", batch_size, 1, rows, mlp, hidden): shape.layers,
        Product("head", batch_size, 1, batch_size, hidden, shape.labels): 1,
    }


def flop_per_image(shape: Shape) -> float:
    """Floating point operations of the matrix products of one image; 35.13e9 for ViT-B/16, 224 pixels, 1,000 labels.

    Softmax, normalisation and activation are left out (below 1% of it), as in the rates that it is held against.
    """
    return sum(product.flop * times for product, times in products(shape, 1).items())


# --- what the machine can do ------------------------------------------------------------------------------------------


def peaks(rates: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The highest rate by device and precision, with the library and shape that reached it."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for rate in rates:
        key = (rate["device"], rate["precision"])
        if key not in best or rate["gflops"] > best[key]["gflops"]:
            best[key] = rate
    return [
        {name: best[key][name] for name in ("device", "precision", "gflops", "library", "version", "shape")}
        for key in sorted(best)
    ]


@cache
def _validator():
    import jsonschema
    import yaml

    path = HOME / "config" / "schema" / "peak.schema.yaml"
    return jsonschema.Draft202012Validator(yaml.safe_load(path.read_text()))


def problems(peak: Any) -> list[str]:
    """What is wrong with the content of a peak.json, in one line each."""
    found = [f"{error.json_path}: {error.message}" for error in _validator().iter_errors(peak)]
    if not found and peak["peak"] != peaks(peak["rates"]):
        found.append("$.peak is not the highest of $.rates")
    return sorted(found)


def check(peak: dict[str, Any], path: Path) -> None:
    """Raise a ValueError if what is to be written to `path` does not fit its schema: a mistake of ours."""
    if found := problems(peak):
        raise ValueError(f"what {path} is to hold is not valid: {'; '.join(found)}")


def checked(peak: Any, path: str) -> dict[str, Any]:
    """The content of the peak.json at `path`; UserError where it does not fit the schema."""
    if found := problems(peak):
        raise UserError(f"{path} is not valid ({found[0]}): remove it to measure it again")
    return peak


# --- what that says of a throughput -----------------------------------------------------------------------------------


def share_of_peak(throughput: float, flop: float, peak_gflops: float) -> float:
    """Share of the machine's peak that `throughput` images a second of `flop` each are."""
    return throughput * flop / 1e9 / peak_gflops


def impossible(throughput: float | None, flop: float, peak_gflops: float | None) -> bool:
    """Whether so many images a second are more than the machine can do; no where either is not known."""
    if not throughput or not peak_gflops or throughput != throughput or peak_gflops != peak_gflops:
        return False
    return share_of_peak(throughput, flop, peak_gflops) > TOLERANCE


def peak_of(peak: dict[str, Any], framework: str, device: str, precision: str | None) -> dict[str, Any] | None:
    """The entry of `peak["peak"]` that bounds a cell, None where none was measured.

    TensorFlow and ONNX Runtime use TF32 for float32 products on an NVIDIA GPU unless told not to; torch does not.
    """
    if device == "gpu" and precision == "float32" and framework == "sparknlp":
        precision = "tensorfloat32"
    for one in peak["peak"]:
        if (one["device"], one["precision"]) == (device, precision):
            return one
    return None


ABOVE = "above the machine's peak: an error"


def tabulate(runs: pandas.DataFrame, peak: dict[str, Any] | None) -> pandas.DataFrame:
    """One row a cell with usable repeats: what it does of what the machine can do (`tables.COLUMNS["physics"]`).

    Args:
        runs: a runs table of one machine and model (`tables.read`).
        peak: a peak.json of the same; None where nobody measured it, which leaves all but the throughput empty.
    """
    import pandas

    from vitbench import tables
    from vitbench.analysis.summary import usable

    cell = ["machine", "model", "dataset", "framework", "variant", "device", "workers", "batch_size"]
    rows = []
    for values, repeats in runs[usable(runs)].groupby(cell, sort=False):
        row = dict(zip(cell, values, strict=True))
        row |= {"throughput": repeats.throughput.median(), "precision": repeats.precision.iloc[0]}
        if peak is not None:
            row |= _against(row, peak)
        rows.append(row)
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["physics"]))


def _against(row: dict[str, Any], peak: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row that a peak.json adds."""
    flop, throughput = peak["flop_per_image"], row["throughput"]
    added = {
        "gflop_per_image": flop / 1e9,
        "gflops": throughput * flop / 1e9,
        "decode_per_core": peak["decode_per_second"],
        "decode_ceiling": peak["decode_per_second"] * peak["threads"],
    }
    bound = peak_of(peak, row["framework"], row["device"], row["precision"])
    if bound is None:
        return added
    return added | {
        "peak_gflops": bound["gflops"],
        "peak_precision": bound["precision"],
        "peak_library": f"{bound['library']} {bound['version']}",
        "share_of_peak": share_of_peak(throughput, flop, bound["gflops"]),
        "verdict": ABOVE if impossible(throughput, flop, bound["gflops"]) else "",
    }


def impossible_cells(physics: pandas.DataFrame) -> set[tuple[str, str]]:
    """(dataset, cell name) of the rows of a table `physics` that are above the machine's peak."""
    above = physics[physics.verdict == ABOVE]
    return {(row["dataset"], cell_name(row)) for row in above.to_dict("records")}
