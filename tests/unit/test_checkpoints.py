"""What a checkpoint is, by its two files: what means the same, what no framework can do, what one of them cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vitbench.errors import UserError
from vitbench.frameworks import FRAMEWORKS
from vitbench.inputs import checkpoints, model_assets, preprocessing
from vitbench.plan import configuration
from vitbench.plan.grid import Grid

CONFIG = {
    "model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 3, "intermediate_size": 96, "image_size": 96, "patch_size": 16,
    "id2label": {"0": "crane", "1": "dog", "2": "crane"}, "label2id": {"crane": 2, "dog": 1},
}  # fmt: skip
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": 96, "width": 96}, "resample": 2,
    "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.25, 0.25, 0.25],
}  # fmt: skip
LEFT_OUT = object()


def written(folder: Path, config: dict[str, Any] = {}, processor: dict[str, Any] = {}) -> Path:  # noqa: B006, only read
    """A checkpoint's two files with these changes; LEFT_OUT takes a key out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, usual, changes in (("config", CONFIG, config), ("preprocessor_config", PROCESSOR, processor)):
        content = {key: value for key, value in (usual | changes).items() if value is not LEFT_OUT}
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def read(folder: Path, square: bool = False, **changes: dict[str, Any]) -> checkpoints.Checkpoint:
    return checkpoints.read(written(folder, **changes), "mine", square)


def line(folder: Path, **changes: dict[str, Any]) -> str:
    with pytest.raises(UserError) as raised:
        read(folder, **changes)
    assert "\n" not in str(raised.value) and str(raised.value).startswith("model mine: ")
    return str(raised.value)


USUAL = {"labels": ("crane", "dog", "crane (2)"), "image_size": 96, "patch_size": 16, "hidden_size": 48}


@pytest.mark.parametrize(
    ("config", "differs"),
    [
        ({}, {}),
        *(({"image_size": one}, {}) for one in ("96", 96.0, [96, 96], [96], {"height": 96, "width": 96}, " 96 ")),
        *(({"patch_size": one}, {}) for one in ("16", 16.0, [16, 16], {"height": 16, "width": 16}, None, LEFT_OUT)),
        ({"hidden_size": "48"}, {}),
        ({"num_channels": None}, {}),
        ({"architectures": None}, {}),
        ({"architectures": "ViTForImageClassification"}, {}),
        ({"id2label": ["crane", "dog", "crane"]}, {}),
        ({"id2label": {"2": "crane", "0": "crane", "1": "dog"}}, {}),
        ({"id2label": {"0": 5, "1": "", "2": "a"}}, {"labels": ("5", "", "a")}),
        ({"id2label": None, "label2id": {"b": 1, "a": "0"}}, {"labels": ("a", "b")}),
        ({"id2label": None, "label2id": None}, {"labels": ("LABEL_0", "LABEL_1")}),
        ({"id2label": LEFT_OUT, "label2id": LEFT_OUT, "num_labels": 3}, {"labels": ("LABEL_0", "LABEL_1", "LABEL_2")}),
        *(({"problem_type": one}, {}) for one in (None, "single_label_classification")),
    ],
)
def test_what_means_the_same_is_one_description(tmp_path, config, differs):
    found = read(tmp_path, config=config)
    assert {key: getattr(found, key) for key in USUAL} == USUAL | differs
    assert found.config["id2label"] == dict(enumerate(found.labels))
    assert found.config["label2id"] == {label: number for number, label in enumerate(found.labels)}


@pytest.mark.parametrize(
    ("processor", "differs"),
    [
        ({}, {}),
        *(({"size": one}, {}) for one in (96, "96", [96, 96], {"width": 96, "height": 96})),
        *(({"resample": one}, {}) for one in (None, LEFT_OUT, "bilinear", "BILINEAR", "2", 2.0, "PIL.Image.BILINEAR")),
        *(({"resample": number}, {"filter": word}) for number, word in enumerate(preprocessing.FILTERS)),
        *(({"image_mean": one}, {}) for one in (0.5, [0.5], "0.5", None, LEFT_OUT)),
        ({"image_std": [0.5, 1, 2]}, {"deviation": (0.5, 1.0, 2.0)}),
        ({"do_normalize": False, "image_std": None}, {"mean": (0, 0, 0), "deviation": (1, 1, 1)}),
        ({"do_rescale": False, "rescale_factor": "any"}, {"factor": 1.0}),
        ({"do_resize": None, "do_center_crop": None, "crop_size": None}, {}),
        ({"do_center_crop": True, "crop_size": 96}, {}),
        ({"do_center_crop": True, "crop_size": 96, "size": 112}, {"resize": (112, 112), "crop": (96, 96)}),
        ({"do_center_crop": True, "crop_size": 96, "size": {"shortest_edge": 112}}, {"resize": 112, "crop": (96, 96)}),
        ({"image_processor_type": "ViTImageProcessorFast", "size": 96}, {}),
        ({"image_processor_type": None, "feature_extractor_type": "ViTFeatureExtractor", "size": 96}, {}),
        ({"image_processor_type": LEFT_OUT, "size": 96}, {}),
        ({"image_processor_type": "CLIPImageProcessor"}, {}),
        (
            {"image_processor_type": "DeiTImageProcessor", "resample": None, "crop_size": 96, "size": 112},
            {"filter": "bicubic", "resize": (112, 112), "crop": (96, 96)},
        ),
    ],
)
def test_preprocessing_that_means_the_same_is_one_description(tmp_path, processor, differs):
    usual = {"resize": (96, 96), "crop": None, "filter": "bilinear", "factor": 1 / 255, "mean": (0.5, 0.5, 0.5),
             "deviation": (0.25, 0.25, 0.25)}  # fmt: skip
    assert vars(read(tmp_path, processor=processor).preprocessing) == usual | differs


def test_square_replaces_every_size_and_crop_and_nothing_else(tmp_path):
    odd = {"size": {"shortest_edge": 7}, "do_center_crop": True, "crop_size": 5, "do_resize": False, "resample": 3}
    found = read(tmp_path, square=True, processor=odd).preprocessing
    assert (found.resize, found.crop, found.filter) == ((96, 96), None, "bicubic")
    assert found.squashes


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "swin"}, ["'swin'"]),
        ({"model_type": ["vit"]}, ["['vit']"]),
        ({"architectures": ["ViTModel"]}, ["'ViTModel'"]),
        ({"architectures": ["DeiTForImageClassification"]}, ["'vit'", "'DeiTForImageClassification'"]),
        ({"image_size": [96, 128]}, ["image_size", "96 x 128", "square"]),
        ({"patch_size": [16, 8]}, ["patch_size", "16 x 8", "square"]),
        ({"image_size": "large"}, ["image_size", '"large"']),
        ({"image_size": True}, ["image_size", "true"]),
        ({"image_size": [96, 96, 3]}, ["image_size", "[96, 96, 3]"]),
        ({"patch_size": 0}, ["patch_size", "0"]),
        ({"patch_size": 128}, ["patch_size", "128", "96"]),
        ({"hidden_size": -48}, ["hidden_size", "-48"]),
        ({"num_attention_heads": 5}, ["48", "num_attention_heads 5"]),
        ({"num_channels": 1}, ["num_channels", "1"]),
        ({"id2label": {"1": "a", "2": "b", "3": "c"}}, ["id2label", "begins with 1", "0 to 2"]),
        ({"id2label": {"0": "a", "2": "b"}}, ["id2label", "none for 1"]),
        ({"id2label": {"-1": "a", "0": "b"}}, ["id2label", "'-1'"]),
        ({"id2label": {"a": "0", "b": "1"}}, ["id2label", "'a'"]),
        ({"id2label": {"0": "a", "00": "b"}}, ["id2label", "twice"]),
        ({"id2label": {"0": ["a"], "1": "b"}}, ["label 0", "['a']"]),
        ({"id2label": "abc"}, ["id2label", "no mapping"]),
        ({"problem_type": "multi_label_classification"}, ["problem_type", "multi_label_classification", "one label"]),
        ({"problem_type": "regression"}, ["problem_type", "regression", "one label"]),
    ],
)
def test_a_config_that_is_no_classifiers_is_said_with_key_and_value(tmp_path, config, words):
    said = line(tmp_path, config=config)
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        *(({"resample": one}, ["resample", json.dumps(one), "5 hamming"]) for one in (6, -1, "cubic", True, [2], 1.5)),
        *(({"image_mean": one}, ["image_mean", "three"]) for one in ([0.5, 0.5], [0.5, None, 0.5], "x", float("nan"))),
        ({"image_std": 0}, ["image_std", "above 0"]),
        ({"image_std": [0.5, -1, 0.5]}, ["image_std", "above 0"]),
        ({"rescale_factor": 0}, ["rescale_factor", "0"]),
        ({"rescale_factor": float("inf")}, ["rescale_factor", "Infinity"]),
        ({"do_normalize": "yes"}, ["do_normalize", '"yes"']),
        ({"do_resize": False}, ["96 x 96", "do_resize false", "preprocessing: square"]),
        ({"size": 224}, ["96 x 96", "224", "preprocessing: square"]),
        ({"size": {"height": 96, "width": 128}}, ["96 x 96", "128", "preprocessing: square"]),
        ({"size": {"shortest_edge": 96}}, ["96 x 96", "shortest_edge", "preprocessing: square"]),
        ({"size": "wide"}, ["96 x 96", "wide"]),
        ({"do_center_crop": True, "crop_size": 64}, ["96 x 96", "crop_size 64", "preprocessing: square"]),
        ({"do_pad": True}, ["96 x 96", "preprocessing: square"]),
        ({"image_processor_type": "CLIPImageProcessor", "size": 96}, ["CLIP", "size is 96", "shortest_edge"]),
        ({"image_processor_type": "BitImageProcessor", "image_mean": None}, ["Bit", "no image_mean"]),
    ],
)
def test_a_preprocessing_that_no_framework_can_do_is_said_with_key_and_value(tmp_path, processor, words):
    said = line(tmp_path, processor=processor)
    assert all(word in said for word in words), said


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00"])
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_a_file_that_holds_no_mapping_is_named(tmp_path, name, content):
    (written(tmp_path) / name).write_text(content)
    with pytest.raises(UserError, match=name):
        checkpoints.read(tmp_path, "mine")
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=name):
        checkpoints.read(tmp_path, "mine")


def test_only_a_change_of_what_is_loaded_is_a_change_of_the_checkpoint(tmp_path):
    own = written(tmp_path / "my-vit")
    (own / "model.safetensors").write_text("weights")
    definition, copy = {"kind": "folder", "folder": str(own)}, tmp_path / "model"
    checkpoints.note_source(definition, copy)
    noted = json.loads((copy / checkpoints.SOURCE).read_text())
    assert noted.keys() == {"config.json", "preprocessor_config.json", "model.safetensors"}
    for name in ("README.md", ".DS_Store", "._model.safetensors", "runs/events", "checkpoint-500/model.safetensors"):
        (own / name).parent.mkdir(exist_ok=True)
        (own / name).write_text("new")
    checkpoints.check_source(definition, copy)
    # As it was noted once, with all that lay in the folder then.
    (copy / checkpoints.SOURCE).write_text(json.dumps(noted | {"README.md": "0", "runs/old.safetensors": "0"}))
    checkpoints.check_source(definition, copy)
    for change in (
        lambda: (own / "model-2.safetensors").write_text("more weights"),
        lambda: (own / "model-2.safetensors").replace(own / "model.safetensors"),
        lambda: (own / "model.safetensors").unlink(),
    ):
        change()
        with pytest.raises(UserError, match="my-vit has changed since"):
            checkpoints.check_source(definition, copy)
    (own / "model.safetensors").write_text("weights")
    checkpoints.check_source(definition, copy)
    (copy / checkpoints.SOURCE).unlink()
    with pytest.raises(UserError, match="my-vit has changed since"):
        checkpoints.check_source(definition, copy)


@pytest.mark.parametrize(("outputs", "fits"), [(None, True), (3, True), (2, False), (1000, False)])
def test_there_is_a_label_for_each_output(tmp_path, outputs, fits):
    found = read(tmp_path)
    if fits:
        checkpoints.check_outputs(found, outputs)
    else:
        with pytest.raises(UserError, match=rf"3 labels.* {outputs} outputs.* 0 to {outputs - 1}"):
            checkpoints.check_outputs(found, outputs)


def test_mean_and_deviation_of_pixels_by_255_are_the_same_arithmetic(tmp_path):
    for changes in ({}, {"do_rescale": False}, {"rescale_factor": 1 / 127.5}, {"do_normalize": False}):
        found = read(tmp_path, processor={"image_mean": [0.1, 0.2, 0.3]} | changes).preprocessing
        mean, deviation = found.of_unit()
        for pixel in (0, 100, 255):
            for colour in range(3):
                wanted = (pixel * found.factor - found.mean[colour]) / found.deviation[colour]
                assert (pixel / 255 - mean[colour]) / deviation[colour] == pytest.approx(wanted)


# --- what one framework cannot do

ONNX, PRETRAINED = {"engine": "onnx"}, {"engine": "tensorflow", "pretrained": "x", "of": "y"}
PIL, TORCHVISION = {"image_processor": "pil"}, {"image_processor": "torchvision"}
ON_DEVICE = TORCHVISION | {"on_device": "preprocessing"}


@pytest.mark.parametrize(
    ("processor", "refusing"),
    [
        ({}, set()),
        ({"resample": 0}, {"onnx"}),
        ({"resample": 3}, set()),
        ({"resample": 1}, {"onnx", "device"}),
        ({"resample": 4}, {"onnx", "torchvision", "device"}),
        ({"resample": 5}, {"onnx", "torchvision", "device"}),
        ({"do_rescale": False}, set()),
        ({"do_center_crop": True, "crop_size": 96, "size": 112}, {"onnx"}),
    ],
)
def test_each_framework_says_what_it_cannot_do(tmp_path, processor, refusing):
    found = read(tmp_path, processor=processor)
    said = {
        "onnx": FRAMEWORKS["sparknlp"].refuses(ONNX, found),
        "pretrained": FRAMEWORKS["sparknlp"].refuses(PRETRAINED, found),
        "pil": FRAMEWORKS["huggingface"].refuses(PIL, found),
        "torchvision": FRAMEWORKS["huggingface"].refuses(TORCHVISION, found),
        "device": FRAMEWORKS["huggingface"].refuses(ON_DEVICE, found),
    }
    assert {name for name, reason in said.items() if reason} == refusing


@pytest.mark.parametrize("number", [2, 3])
def test_spark_nlp_gets_the_number_of_a_filter(tmp_path, number):
    model_assets.write_assets(written(tmp_path / "mine", processor={"resample": number}), tmp_path / "out")
    assets = tmp_path / "out" / "assets"
    assert json.loads((assets / "preprocessor_config.json").read_text())["resample"] == number
    assert json.loads((assets / "labels.json").read_text()) == {"crane": 0, "dog": 1, "crane (2)": 2}


@pytest.mark.parametrize(("number", "name"), [(0, "nearest"), (1, "lanczos")])
def test_nothing_is_written_for_spark_nlp_of_what_it_cannot_do(tmp_path, number, name):
    with pytest.raises(UserError, match=name):
        model_assets.write_assets(written(tmp_path / "mine", processor={"resample": number}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- the grid


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """The grid of a model of the user's own, with changes to its files and to the configuration."""
    monkeypatch.chdir(tmp_path)

    def make(config: dict[str, Any] = {}, processor: dict[str, Any] = {}, **keys: Any) -> Grid:  # noqa: B006
        written(tmp_path / "mine", config, processor)
        default = configuration.load(configuration.HOME / "config" / "config.yaml")
        more = {"model": "own", "define": {"models": {"own": {"kind": "folder", "folder": str(tmp_path / "mine")}}}}
        return Grid(configuration.resolve(default | more | keys), "linux-x86_64")

    return make


ALL = ["huggingface/pipeline", "sparknlp/tensorflow", "sparknlp/onnx"]


def test_what_an_engine_cannot_do_is_skipped_with_its_reason_and_the_others_go_on(grid):
    assert not grid(frameworks=ALL).skipped
    found = grid(processor={"resample": 1}, frameworks=ALL)
    assert set(found.variants) >= {"huggingface/pipeline"} and not found.exports()
    assert {f"{cell.framework}/{cell.variant}" for cell, _ in found.skipped} == {"sparknlp/tensorflow", "sparknlp/onnx"}
    assert {cell.dataset for cell, _ in found.skipped} == {"sample", "full"}
    assert all("own" in reason and "lanczos" in reason for _, reason in found.skipped)
    assert len([note for note in found.notes if "lanczos" in note]) == 2
    assert {"sparknlp/onnx/cpu/w1/bs8"} <= {name for _, name, _ in found.describe()["skipped"]}
    with pytest.raises(UserError, match="lanczos"):
        found.find("sample", "sparknlp/onnx/cpu/w1/bs8")


def test_square_lets_all_go_on(grid, tmp_path):
    crop = {"do_center_crop": True, "crop_size": 96, "size": 112}
    assert grid(processor=crop, frameworks=ALL).skipped
    own = {"kind": "folder", "folder": str(tmp_path / "mine"), "preprocessing": "square"}
    assert not grid(processor=crop, frameworks=ALL, define={"models": {"own": own}}).skipped


def test_a_baseline_that_cannot_do_the_model_and_no_variant_that_can_are_one_line(grid):
    with pytest.raises(UserError, match=r"baseline: sparknlp/tensorflow .*hamming.*choose huggingface/pipeline"):
        grid(processor={"resample": 5}, frameworks=ALL, baseline="sparknlp/tensorflow")
    with pytest.raises(UserError, match=r"frameworks: none.*hamming"):
        grid(processor={"resample": 5}, frameworks=["sparknlp/onnx"], baseline="sparknlp/onnx")


def test_a_model_that_none_can_do_is_said_before_any_job(grid):
    with pytest.raises(UserError, match=r"model .*mine: image_size is 96 x 128"):
        grid(config={"image_size": [96, 128]})


def test_what_was_built_counts_and_not_what_lies_in_the_folder_since(grid, tmp_path):
    slug = grid().model.slug
    written(tmp_path / "resources" / "models" / slug / "checkpoint", processor={"resample": 1})
    assert grid(frameworks=ALL).skipped


def test_a_model_of_the_hub_is_known_once_it_is_here(grid, tmp_path):
    hub = {"models": {"own": {"kind": "hub", "hub": f"some/vit@{'0' * 40}"}}}
    known = grid(frameworks=ALL, define=hub)
    assert known.checkpoint is None and not known.skipped
    written(tmp_path / "resources" / "models" / known.model.slug / "download", processor={"resample": 1})
    assert grid(frameworks=ALL, define=hub).skipped
