"""Models: a Hugging Face checkpoint made from a definition, its ONNX export, and the check that all exports agree."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy
import onnxruntime
import torch
from safetensors import SafetensorError
from transformers import (
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    PreTrainedModel,
    ViTForImageClassification,
    ViTImageProcessor,
)
from transformers.utils import logging

from vitbench.errors import UserError
from vitbench.files import staged
from vitbench.inputs import hub, seeded
from vitbench.inputs.model_assets import FIXED_LOGITS, FIXED_TENSORS, write_assets

TOLERANCE = 1e-4  # largest difference of a logit; what is left is the order of float32 sums
# What a checkpoint may be, by `architectures` in its config.json: classes of transformers itself, no code from a hub.
ARCHITECTURES: dict[str, type[PreTrainedModel]] = {
    "ViTForImageClassification": ViTForImageClassification,
    "DeiTForImageClassification": DeiTForImageClassification,
    "DeiTForImageClassificationWithTeacher": DeiTForImageClassificationWithTeacher,
}
LOADING_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)

logging.disable_progress_bar()


def build_checkpoint(definition: dict, folder: Path) -> None:
    """Make a Hugging Face checkpoint (safetensors, one file, float32) in `folder` from a definition.

    Beside it lies FIXED_TENSORS, by which `check_logits` compares the exports. Raises UserError when the definition
    names an unknown kind, or what it names is no checkpoint of one of ARCHITECTURES or cannot be had.
    """
    kind = definition.get("kind")
    if kind not in BUILDERS:
        raise UserError(f"model: unknown kind {kind!r}; use one of {', '.join(BUILDERS)} in resources/models.yaml")
    model, processor = BUILDERS[kind](definition, Path(folder).parent)
    with staged(Path(folder)) as place:
        # One file whatever the size, because the exports' older libraries and Spark NLP's importers expect it.
        model.save_pretrained(place, max_shard_size="1000GB")
        processor.save_pretrained(place)
        pixels = fixed_tensors(model.config.image_size)
        numpy.savez(place / FIXED_TENSORS, pixel_values=pixels, logits=_torch_logits(model, pixels))


def fixed_tensors(size: int) -> numpy.ndarray:
    """Three images [3, 3, size, size], float32 in -1..1: noise, a ramp, and both; always the same for a size."""
    noise = numpy.random.default_rng(1).uniform(-1, 1, (3, size, size))
    ramp = numpy.broadcast_to(numpy.linspace(-1, 1, size), (3, size, size)) * numpy.array([1, -1, 0.5])[:, None, None]
    return numpy.stack([noise, ramp, (noise + ramp) / 2]).astype(numpy.float32)


def export_onnx(checkpoint: Path, folder: Path) -> None:
    """Write `folder`/model.onnx (opset 17, `pixel_values` → `logits`, any batch size) and Spark NLP's assets."""
    model = _load(checkpoint)
    pixels = torch.from_numpy(fixed_tensors(model.config.image_size))
    with staged(Path(folder)) as place, warnings.catch_warnings():
        place.mkdir()
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
        write_assets(Path(checkpoint), place)


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
    architecture = ARCHITECTURES[_json(folder, "config.json")["architectures"][0]]
    return architecture.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32).eval()


# --- kinds ------------------------------------------------------------------------------------------------------------


def _build_seeded(definition: dict, _: Path) -> tuple[PreTrainedModel, ViTImageProcessor]:
    model = seeded.build(definition)
    return model, _processor(model.config.image_size, list(seeded.MEAN), list(seeded.STD), resample=2)


def _processor(size: int, mean: list[float], deviation: list[float], resample: int) -> ViTImageProcessor:
    return ViTImageProcessor(
        size={"height": size, "width": size}, image_mean=mean, image_std=deviation, resample=resample
    )


def _build_hub(definition: dict, place: Path) -> tuple[PreTrainedModel, ViTImageProcessor]:
    return _read(hub.fetch(definition["hub"], place / "download"), definition, definition["hub"])


def _build_folder(definition: dict, _: Path) -> tuple[PreTrainedModel, ViTImageProcessor]:
    folder = Path(definition["folder"]).expanduser()
    return _read(folder, definition, str(folder))


def _read(folder: Path, definition: dict, name: str) -> tuple[PreTrainedModel, ViTImageProcessor]:
    """Model and image processor of a checkpoint's folder; `name` is what the user knows it by."""
    config = _json(folder, "config.json")
    architecture = _architecture(config, name)
    _json(folder, "preprocessor_config.json")
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            f"model {name}: no .safetensors file; load it with transformers and save it with save_pretrained"
        )
    try:
        model, report = architecture.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        processor = ViTImageProcessor.from_pretrained(folder, local_files_only=True)
    except LOADING_ERRORS as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"model {name}: cannot be loaded ({reason}); check that the download is complete") from error
    if report["missing_keys"]:
        # transformers would fill them with random numbers and only warn.
        missing = sorted(report["missing_keys"])[0]
        raise UserError(f"model {name}: weight {missing} is missing; name a {architecture.__name__} checkpoint")
    size = model.config.image_size
    if not isinstance(size, int):
        raise UserError(f"model {name}: image_size is {size}; Spark NLP knows square images only, given as one number")
    if definition.get("preprocessing") == "square":
        processor = _processor(size, processor.image_mean, processor.image_std, processor.resample)
    _check_processor(name, processor, size)
    make_labels_unique(model)
    return model.eval(), processor


def _architecture(config: dict, name: str) -> type[PreTrainedModel]:
    wanted = config.get("architectures") or ["ViTForImageClassification"]
    if config.get("model_type") not in ("vit", "deit") or wanted[0] not in ARCHITECTURES:
        raise UserError(
            f"model {name}: it is a {config.get('model_type')!r} with architecture {wanted[0]!r}; only ViT and DeiT "
            f"classifiers are supported ({', '.join(ARCHITECTURES)})"
        )
    return ARCHITECTURES[wanted[0]]


def _json(folder: Path, name: str) -> dict:
    try:
        value = json.loads((folder / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"model {folder}: {name} cannot be read ({error.strerror}); name a checkpoint") from error
    except ValueError as error:
        raise UserError(f"model {folder}: {name} is not JSON; download the checkpoint again") from error
    if not isinstance(value, dict):
        raise UserError(f"model {folder}: {name} holds no mapping; download the checkpoint again")
    return value


def _check_processor(name: str, processor: ViTImageProcessor, size: int) -> None:
    """Spark NLP only resizes to a square, divides by 255 and normalises: anything else would be another model there."""
    same = (
        dict(processor.size) == {"height": size, "width": size}
        and processor.do_resize
        and processor.do_normalize
        and processor.do_rescale
        and abs(processor.rescale_factor - 1 / 255) < 1e-9
        and not getattr(processor, "do_center_crop", False)
    )
    if not same:
        raise UserError(
            f"model {name}: preprocessor_config.json must resize to {size} x {size}, rescale by 1/255 and normalise, "
            "for Spark NLP does nothing else; `preprocessing: square` in its definition does that in all frameworks"
        )


def make_labels_unique(model: PreTrainedModel) -> None:
    """Number the labels that stand twice, so that no two are alike and no other one changes.

    ImageNet has two classes "crane"; Spark NLP keeps labels as a map from name to number, where one would vanish.
    """
    names = model.config.id2label
    taken = set(names.values())
    seen: set[str] = set()
    for number in sorted(names):
        name = names[number]
        while name in seen or (name != names[number] and name in taken):
            name = f"{name} ({number})"
        names[number] = name
        seen.add(name)
    model.config.label2id = {label: number for number, label in names.items()}


# From a definition and the model's folder under resources/, where what a user downloaded by hand may lie.
BUILDERS: dict[str, Callable[[dict, Path], tuple[PreTrainedModel, ViTImageProcessor]]] = {
    "seeded": _build_seeded,
    "hub": _build_hub,
    "folder": _build_folder,
}
