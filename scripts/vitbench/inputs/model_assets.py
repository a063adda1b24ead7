"""What Spark NLP wants beside an exported model. Standard library only: the TensorFlow environment imports it too."""

from __future__ import annotations

import json
from pathlib import Path

FIXED_TENSORS = "fixed_tensors.npz"  # in the checkpoint's folder: pixel_values, and PyTorch's logits of them
FIXED_LOGITS = "fixed_logits.npy"  # in the SavedModel's folder: TensorFlow's logits of the same pixel_values
# The labels of a model that names none; transformers does not write them into config.json.
UNNAMED = {"0": "LABEL_0", "1": "LABEL_1"}


def write_assets(checkpoint: Path, folder: Path) -> None:
    """Write `folder`/assets/labels.json ({label: index}) and preprocessor_config.json in the form of transformers 4.

    Spark NLP 5.5 reads the old form only: `feature_extractor_type`, and `size` as one number. The index of a label is a
    number, not a string: of strings it finds the label, but writes the scores of all labels under one name.
    """
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    processor = json.loads((checkpoint / "preprocessor_config.json").read_text(encoding="utf-8"))
    assets = folder / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    names = config.get("id2label", UNNAMED)
    labels = {label: int(index) for index, label in sorted(names.items(), key=lambda item: int(item[0]))}
    old = {
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ViTFeatureExtractor",
        "image_mean": processor["image_mean"],
        "image_std": processor["image_std"],
        "resample": processor["resample"],
        "size": config["image_size"],
    }
    _write(assets / "labels.json", labels)
    _write(assets / "preprocessor_config.json", old)


def _write(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
