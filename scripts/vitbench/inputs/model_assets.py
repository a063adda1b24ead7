"""What Spark NLP wants beside an exported model. Standard library only: the TensorFlow environment imports it too."""

from __future__ import annotations

import json
from pathlib import Path

from vitbench.errors import UserError
from vitbench.inputs import checkpoints
from vitbench.inputs.checkpoints import Checkpoint

FIXED_TENSORS = "fixed_tensors.npz"  # in the checkpoint's folder: pixel_values, and PyTorch's logits of them
FIXED_LOGITS = "fixed_logits.npy"  # in the SavedModel's folder: TensorFlow's logits of the same pixel_values
# Filters of resizing by Spark NLP's number, which is Pillow's. Nearest is none of them: Spark NLP 5.5.3 lets 0, 2 and 3
# pass, and then asks Java's AffineTransformOp, which knows 1, 2 and 3. Found by calling it.
RESAMPLE = {"bilinear": 2, "bicubic": 3}


def refusal(checkpoint: Checkpoint) -> str | None:
    """Why Spark NLP cannot do a model, for a line that names both; None where it can."""
    preprocessing = checkpoint.preprocessing
    if not preprocessing.squashes:
        return (
            "Spark NLP only resizes images to a square and crops none (`preprocessing: square` in the model's "
            "definition does that in all frameworks)"
        )
    if preprocessing.filter not in RESAMPLE:
        return (
            f"Spark NLP resizes by {', '.join(RESAMPLE)} only, and the model wants {preprocessing.filter} (`resample` "
            "in preprocessor_config.json)"
        )
    return None


def read_possible(checkpoint: Path) -> Checkpoint:
    """The checkpoint in a folder; UserError where Spark NLP cannot do it."""
    found = checkpoints.read(checkpoint, str(checkpoint))
    if reason := refusal(found):
        raise UserError(f"Spark NLP cannot do the model {checkpoint}: {reason}; run again, it is skipped then")
    return found


def write_assets(checkpoint: Path, folder: Path) -> None:
    """Write `folder`/assets/labels.json ({label: index}) and preprocessor_config.json in the form of transformers 4.

    Spark NLP 5.5 reads the old form only: `feature_extractor_type`, and `size` as one number. It divides by 255
    whatever is written, so mean and deviation are those of pixels / 255. The index of a label is a number, not a
    string: of strings it finds the label, but writes the scores of all labels under one name.

    Raises:
        UserError: Spark NLP cannot do this model.
    """
    found = read_possible(checkpoint)
    assets = folder / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    mean, deviation = found.preprocessing.of_unit()
    old = {
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ViTFeatureExtractor",
        "image_mean": mean,
        "image_std": deviation,
        "resample": RESAMPLE[found.preprocessing.filter],
        "size": found.image_size,
    }
    _write(assets / "labels.json", {label: number for number, label in enumerate(found.labels)})
    _write(assets / "preprocessor_config.json", old)


def _write(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
