"""Models: a Hugging Face checkpoint made from a definition, its ONNX export, and the check that all exports agree."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy
import onnxruntime
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from transformers import (
    BaseImageProcessor,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    DeiTImageProcessor,
    PreTrainedModel,
    ViTForImageClassification,
    ViTImageProcessor,
)
from transformers.utils import logging

from vitbench.errors import UserError, one_line
from vitbench.files import staged
from vitbench.inputs import checkpoints, hub, seeded
from vitbench.inputs.checkpoints import Checkpoint
from vitbench.inputs.model_assets import FIXED_LOGITS, FIXED_TENSORS, refusal, write_assets
from vitbench.inputs.preprocessing import FILTERS, Preprocessing

TOLERANCE = 1e-4  # largest difference of a logit; what is left is the order of float32 sums
# The classes of `checkpoints.ARCHITECTURES`: those of transformers itself, no code from a hub.
CLASSES: dict[str, type[PreTrainedModel]] = {
    one.__name__: one
    for one in (ViTForImageClassification, DeiTForImageClassification, DeiTForImageClassificationWithTeacher)
}
# Weights with a row for each output.
HEADS = ("classifier.weight", "cls_classifier.weight")
# The deviation of initial weights is of no use once there are weights, and 0 stops the libraries that still read it.
INITIALIZER_RANGE = 0.02
LOADING_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, StrictDataclassError)

logging.disable_progress_bar()


def build_checkpoint(definition: dict, folder: Path) -> None:
    """Make a Hugging Face checkpoint (safetensors, one file, float32) in `folder` from a definition.

    Beside it lies FIXED_TENSORS, by which `check_logits` compares the exports. Raises UserError when the definition
    names an unknown kind, or what it names is no checkpoint of one of CLASSES or cannot be had.
    """
    kind = definition.get("kind")
    if kind not in BUILDERS:
        raise UserError(f"model: unknown kind {kind!r}; use one of {', '.join(BUILDERS)} in resources/models.yaml")
    model, processor = BUILDERS[kind](definition, Path(folder).parent)
    pixels = fixed_tensors(model.config.image_size)
    logits = _torch_logits(model, pixels)
    if not numpy.isfinite(logits).all():
        raise UserError(
            f"model {checkpoints.title(definition)}: its logits are no finite numbers: name another checkpoint"
        )
    with staged(Path(folder)) as place:
        # One file whatever the size, because the exports' older libraries and Spark NLP's importers expect it.
        model.save_pretrained(place, max_shard_size="1000GB")
        processor.save_pretrained(place)
        numpy.savez(place / FIXED_TENSORS, pixel_values=pixels, logits=logits)
        # Before the copy is there, so that there is none without.
        checkpoints.note_source(definition, Path(folder).parent)


def fixed_tensors(size: int) -> numpy.ndarray:
    """Three images [3, 3, size, size], float32 in -1..1: noise, a ramp, and both; always the same for a size."""
    noise = numpy.random.default_rng(1).uniform(-1, 1, (3, size, size))
    ramp = numpy.broadcast_to(numpy.linspace(-1, 1, size), (3, size, size)) * numpy.array([1, -1, 0.5])[:, None, None]
    return numpy.stack([noise, ramp, (noise + ramp) / 2]).astype(numpy.float32)


def export_onnx(checkpoint: Path, folder: Path) -> None:
    """Write `folder`/model.onnx (opset 17, `pixel_values` → `logits`, any batch size) and Spark NLP's assets.

    The assets are left out where Spark NLP cannot do the model: others can.
    """
    model = _load(checkpoint)
    pixels = torch.from_numpy(fixed_tensors(model.config.image_size))
    with staged(Path(folder)) as place, warnings.catch_warnings():
        place.mkdir()
        if refusal(checkpoints.read(Path(checkpoint), str(checkpoint))) is None:
            write_assets(Path(checkpoint), place)
        # The newer exporter (dynamo) is what the warning advises; Spark NLP's ONNX Runtime reads the older one's files.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        torch.onnx.export(
            _Logits(model),
            (pixels,),
            str(place / "model.onnx"),
            input_names=["pixel_values"],
            output_names=["logits"],
            dynamic_axes={"pixel_values": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )


def check_logits(checkpoint: Path, onnx: Path | None = None, tensorflow: Path | None = None) -> dict[str, float]:
    """Largest difference between PyTorch's logits of the fixed tensors and those of each export (folders).

    Raises UserError when one is above TOLERANCE: that export is not the same model.
    """
    with numpy.load(Path(checkpoint) / FIXED_TENSORS) as fixed:
        pixels, expected = fixed["pixel_values"], fixed["logits"]
    found = {}
    if onnx is not None:
        session = onnxruntime.InferenceSession(Path(onnx) / "model.onnx", providers=["CPUExecutionProvider"])
        found["onnx"] = session.run(["logits"], {"pixel_values": pixels})[0]
    if tensorflow is not None:
        found["tensorflow"] = numpy.load(Path(tensorflow) / FIXED_LOGITS)
    differences = {}
    for export, logits in found.items():
        if logits.shape != expected.shape:
            raise UserError(f"{export} export of {checkpoint}: logits {logits.shape}, PyTorch's are {expected.shape}")
        differences[export] = float(numpy.abs(logits - expected).max())
        # Not `>`: a NaN must fail too.
        if not differences[export] <= TOLERANCE:
            raise UserError(
                f"{export} export of {checkpoint}: logits differ by {differences[export]:.2g} from PyTorch's "
                f"(allowed {TOLERANCE:g}); delete the model's folder and build it again"
            )
    return differences


class _Logits(torch.nn.Module):
    """The model as a function of one tensor, so that the export has one output."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values=pixel_values).logits


def _torch_logits(model: PreTrainedModel, pixels: numpy.ndarray) -> numpy.ndarray:
    with torch.inference_mode():
        return model(pixel_values=torch.from_numpy(pixels)).logits.numpy()


def _load(folder: Path) -> PreTrainedModel:
    architecture = CLASSES[checkpoints.read(Path(folder), str(folder)).architecture]
    return architecture.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32).eval()


# --- kinds ------------------------------------------------------------------------------------------------------------


def _build_seeded(definition: dict, _: Path) -> tuple[PreTrainedModel, BaseImageProcessor]:
    model = seeded.build(definition)
    side = model.config.image_size
    return model, _processor(Preprocessing((side, side), None, "bilinear", 1 / 255, seeded.MEAN, seeded.STD))


def _build_hub(definition: dict, place: Path) -> tuple[PreTrainedModel, BaseImageProcessor]:
    return _read(hub.fetch(definition["hub"], place / "download"), definition)


def _build_folder(definition: dict, _: Path) -> tuple[PreTrainedModel, BaseImageProcessor]:
    return _read(Path(definition["folder"]).expanduser(), definition)


def _read(folder: Path, definition: dict) -> tuple[PreTrainedModel, BaseImageProcessor]:
    """Model and image processor of a checkpoint's folder."""
    checkpoint = checkpoints.read(folder, checkpoints.title(definition), checkpoints.is_squared(definition))
    architecture = CLASSES[checkpoint.architecture]
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            f"model {checkpoint.name}: no .safetensors file; load it with transformers and save it with save_pretrained"
        )
    given = checkpoints.read_json(folder, "config.json") | checkpoint.config
    deviation = given.get("initializer_range")
    given["initializer_range"] = deviation if isinstance(deviation, float) and deviation > 0 else INITIALIZER_RANGE
    try:
        checkpoints.check_outputs(checkpoint, _outputs(folder))
        model, report = architecture.from_pretrained(
            folder,
            config=architecture.config_class.from_dict(given),
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except LOADING_ERRORS as error:
        raise UserError(
            f"model {checkpoint.name}: cannot be loaded ({one_line(error)}); check that config.json and weights belong "
            "together and that the download is complete"
        ) from error
    _check_weights(checkpoint, model, report)
    return model.eval(), _processor(checkpoint.preprocessing)


def _outputs(folder: Path) -> int | None:
    """How many outputs the weights have; None where they have no head."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as weights:
            for name in HEADS:
                if name in weights.keys():  # noqa: SIM118, it is no mapping
                    return weights.get_slice(name).get_shape()[0]
    return None


def _check_weights(checkpoint: Checkpoint, model: PreTrainedModel, report: dict) -> None:
    """Raise UserError unless each weight was there, of the shape that config.json says, and finite."""
    name = checkpoint.name
    if report["missing_keys"]:
        # transformers would fill them with random numbers and only warn.
        missing = sorted(report["missing_keys"])[0]
        raise UserError(f"model {name}: weight {missing} is missing; name a {checkpoint.architecture} checkpoint")
    if report["mismatched_keys"]:
        weight, found, expected = sorted(report["mismatched_keys"])[0]
        raise UserError(
            f"model {name}: weight {weight} has the shape {list(found)}, by config.json it is {list(expected)}: take "
            "both from the same checkpoint"
        )
    for weight, values in model.state_dict().items():
        if not torch.isfinite(values).all():
            raise UserError(
                f"model {name}: weight {weight} holds numbers that are not finite: its training failed or the file is "
                "damaged; name another checkpoint"
            )


def _processor(preprocessing: Preprocessing) -> BaseImageProcessor:
    """The image processor of transformers that does this."""
    resize, crop = preprocessing.resize, preprocessing.crop
    settings = {
        "size": {"shortest_edge": resize} if isinstance(resize, int) else _rectangle(resize),
        "image_mean": list(preprocessing.mean),
        "image_std": list(preprocessing.deviation),
        "rescale_factor": preprocessing.factor,
        "resample": FILTERS.index(preprocessing.filter),
    }
    return DeiTImageProcessor(crop_size=_rectangle(crop), **settings) if crop else ViTImageProcessor(**settings)


def _rectangle(sides: tuple[int, int]) -> dict[str, int]:
    return {"height": sides[0], "width": sides[1]}


# From a definition and the model's folder under resources/, where what a user downloaded by hand may lie.
BUILDERS: dict[str, Callable[[dict, Path], tuple[PreTrainedModel, BaseImageProcessor]]] = {
    "seeded": _build_seeded,
    "hub": _build_hub,
    "folder": _build_folder,
}
