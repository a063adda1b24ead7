"""Checkpoints and exports of a two-layer ViT, with real files and real engines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import import_annotator
import numpy
import onnxruntime
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    DeiTConfig,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    DeiTImageProcessor,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from vitbench.errors import UserError
from vitbench.files import sha256
from vitbench.inputs import checkpoints, models, photographs, seeded
from vitbench.inputs.model_assets import FIXED_LOGITS, FIXED_TENSORS

DEFINITIONS = yaml.safe_load((Path(__file__).parents[2] / "resources/models.yaml").read_text(encoding="utf-8"))
TINY = DEFINITIONS["vit-tiny-seeded"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("seeded") / "checkpoint"
    models.build_checkpoint(TINY, folder)
    return folder


@pytest.fixture(scope="module")
def onnx(checkpoint) -> Path:
    folder = checkpoint.parent / "onnx"
    models.export_onnx(checkpoint, folder)
    return folder


@pytest.fixture
def own(tmp_path) -> Path:
    """A user's own checkpoint, as transformers saves it: other sizes, and two classes of one name, as in ImageNet."""
    folder = tmp_path / "own model"
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        id2label={0: "crane", 1: "dog", 2: "crane"}, label2id={"crane": 2, "dog": 1},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=[0.1, 0.2, 0.3]).save_pretrained(folder)
    return folder


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_seeded_model_labels_held_out_crops_however_they_are_resized(checkpoint):
    model = ViTForImageClassification.from_pretrained(checkpoint).eval()
    classes, pixels = seeded.read_crops(photographs.crops(100, TINY["seed"], "heldout"), 224)
    classes = numpy.array(classes)
    with torch.inference_mode():
        logits = torch.stack([model(pixel_values=torch.stack(resized)).logits for resized in pixels])
    scores, found = logits.softmax(dim=-1).max(dim=-1)
    for way in range(len(seeded.RESIZINGS)):
        right = found[:, way].numpy() == classes
        assert right.mean() >= 0.95
        assert min(right[classes == number].mean() for number in range(10)) >= 0.8
    assert 0.6 < scores.median() < 0.99


def test_the_two_resizings_differ_where_an_image_shrinks_and_are_normalised():
    crop = next(photographs.crops(1, 1, "heldout"))
    _, (ways,) = seeded.read_crops([crop], 224)
    smooth, plain = ways
    assert smooth.shape == plain.shape == (3, 224, 224)
    assert smooth.dtype == plain.dtype == torch.float32
    assert all(-1 <= way.min() < 0 < way.max() <= 1 for way in ways)
    difference = (smooth - plain).abs().mean()
    assert 0.001 < difference < 0.2


def test_the_same_definition_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    digests = []
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        models.build_checkpoint(TINY | {"seed": seed, "crops": 20}, tmp_path / name)
        digests.append(sha256(tmp_path / name / "model.safetensors"))
    assert digests[0] == digests[1] != digests[2]


def test_the_checkpoint_is_complete_for_pipeline_and_for_transformers_4(checkpoint):
    assert {path.name for path in checkpoint.iterdir()} == {
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
        FIXED_TENSORS,
    }
    config = json.loads((checkpoint / "config.json").read_text())
    assert config["id2label"] == {str(number): label for number, label in enumerate(photographs.labels())}
    assert config["architectures"] == ["ViTForImageClassification"]
    processor = json.loads((checkpoint / "preprocessor_config.json").read_text())
    assert processor["size"] == {"height": 224, "width": 224}
    assert (processor["resample"], processor["image_mean"], processor["image_std"]) == (2, [0.5] * 3, [0.5] * 3)


def test_onnx_gives_the_same_logits_for_any_batch_size(checkpoint, onnx):
    assert models.check_logits(checkpoint, onnx=onnx)["onnx"] <= models.TOLERANCE
    session = onnxruntime.InferenceSession(onnx / "model.onnx", providers=["CPUExecutionProvider"])
    with numpy.load(checkpoint / FIXED_TENSORS) as fixed:
        pixels, expected = fixed["pixel_values"], fixed["logits"]
    assert expected.shape == (3, 10)
    assert numpy.abs(expected[0] - expected[1]).max() > 0.1  # else a wrong export could pass
    for count in (1, 2, 7):
        (logits,) = session.run(["logits"], {"pixel_values": numpy.resize(pixels, (count, *pixels.shape[1:]))})
        numpy.testing.assert_allclose(logits, numpy.resize(expected, (count, 10)), atol=models.TOLERANCE)


def test_the_onnx_folder_has_the_assets_that_spark_nlp_reads(onnx):
    assert {path.name for path in onnx.iterdir()} == {"model.onnx", "assets"}
    labels = json.loads((onnx / "assets/labels.json").read_text())
    assert labels == {label: number for number, label in enumerate(photographs.labels())}
    assert json.loads((onnx / "assets/preprocessor_config.json").read_text()) == {
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ViTFeatureExtractor",
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 2,
        "size": 224,
    }


@pytest.mark.parametrize("shift", [2e-4, float("nan")])
def test_an_export_with_other_logits_fails(checkpoint, tmp_path, shift):
    with numpy.load(checkpoint / FIXED_TENSORS) as fixed:
        logits = fixed["logits"]
    numpy.save(tmp_path / FIXED_LOGITS, logits)
    assert models.check_logits(checkpoint, tensorflow=tmp_path) == {"tensorflow": 0}
    logits[2, 9] += shift
    numpy.save(tmp_path / FIXED_LOGITS, logits)
    with pytest.raises(UserError, match="tensorflow export of .* logits differ by"):
        models.check_logits(checkpoint, tensorflow=tmp_path)
    numpy.save(tmp_path / FIXED_LOGITS, logits[:, :3])
    with pytest.raises(UserError, match=r"logits \(3, 3\), PyTorch's are \(3, 10\)"):
        models.check_logits(checkpoint, tensorflow=tmp_path)


def test_the_onnx_file_of_another_model_fails(onnx, tmp_path):
    models.build_checkpoint(TINY | {"seed": 2, "crops": 20}, tmp_path / "other")
    with pytest.raises(UserError, match="onnx export of .*other: logits differ"):
        models.check_logits(tmp_path / "other", onnx=onnx)


def test_ridge_finds_what_least_squares_finds_and_folds_the_standardisation_in():
    noise = numpy.random.default_rng(1).normal(0, 1, (200, 3))
    independent, _ = numpy.linalg.qr(noise - noise.mean(axis=0))
    found = 5 + independent * [1, 10, 0.01]
    targets = found @ numpy.array([[1.0, -2], [0.1, 0.3], [50, 7]]) + [3, -4]
    weight, bias = seeded.ridge(found, targets, 1e-12)
    numpy.testing.assert_allclose(weight, [[1, 0.1, 50], [-2, 0.3, 7]], rtol=1e-6)
    numpy.testing.assert_allclose(bias, [3, -4], rtol=1e-6)
    # On features that do not depend on each other, strength s divides each weight by 1 + s.
    shrunk, bias = seeded.ridge(found, targets, 1)
    numpy.testing.assert_allclose(shrunk, weight / 2, rtol=1e-6)
    numpy.testing.assert_allclose(found.mean(axis=0) @ shrunk.T + bias, targets.mean(axis=0), rtol=1e-6)


def test_the_scale_makes_the_median_score_what_was_asked_for():
    logits = numpy.random.default_rng(1).normal(0, 1, (301, 10))
    scaled = logits * seeded.logit_scale(logits, 0.9)
    scores = numpy.exp(scaled).max(axis=1) / numpy.exp(scaled).sum(axis=1)
    assert numpy.median(scores) == pytest.approx(0.9, abs=1e-6)


def test_an_own_checkpoint_is_taken_in_whole_with_distinct_labels(own, tmp_path):
    models.build_checkpoint({"kind": "folder", "folder": str(own)}, tmp_path / "out")
    before, after = load_file(own / "model.safetensors"), load_file(tmp_path / "out/model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["id2label"] == {"0": "crane", "1": "dog", "2": "crane (2)"}
    assert config["label2id"] == {"crane": 0, "dog": 1, "crane (2)": 2}
    models.export_onnx(tmp_path / "out", tmp_path / "onnx")
    assert models.check_logits(tmp_path / "out", onnx=tmp_path / "onnx")["onnx"] <= models.TOLERANCE
    assets = tmp_path / "onnx/assets"
    assert json.loads((assets / "labels.json").read_text()) == {"crane": 0, "dog": 1, "crane (2)": 2}
    processor = json.loads((assets / "preprocessor_config.json").read_text())
    assert (processor["image_mean"], processor["size"]) == ([0.1, 0.2, 0.3], 32)


def test_an_own_checkpoint_in_half_precision_becomes_float32(own, tmp_path):
    weights = {name: value.half() for name, value in load_file(own / "model.safetensors").items()}
    save_file(weights, own / "model.safetensors", metadata={"format": "pt"})
    edit(own / "config.json", dtype="float16")
    models.build_checkpoint({"kind": "folder", "folder": str(own)}, tmp_path / "out")
    assert {value.dtype for value in load_file(tmp_path / "out/model.safetensors").values()} == {torch.float32}


def remove_head(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({name: value for name, value in weights.items() if "classifier" not in name},
              folder / "model.safetensors", metadata={"format": "pt"})  # fmt: skip


def poison(folder: Path, weight: str, value: float) -> None:
    weights = load_file(folder / "model.safetensors")
    weights[weight].view(-1)[0] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "config.json cannot be read"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is not JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json holds no mapping"),
        (lambda folder: edit(folder / "config.json", model_type="swin"), "it is a 'swin'"),
        (lambda folder: edit(folder / "config.json", architectures=["ViTModel"]), "architecture 'ViTModel'"),
        (lambda folder: edit(folder / "config.json", image_size=[32, 48]), "image_size is 32 x 48"),
        (lambda folder: edit(folder / "config.json", hidden_size=20), r"weight .* \[3, 20\]"),
        (lambda folder: edit(folder / "config.json", patch_size=16), r"weight .*projection.weight .*8, 8.*16, 16"),
        (lambda folder: edit(folder / "config.json", num_hidden_layers=2), "weight vit.layers.1.* is missing"),
        (lambda folder: edit(folder / "config.json", id2label={"0": "a", "1": "b"}), "2 labels.* 3 outputs"),
        (lambda folder: edit(folder / "config.json", id2label=None, label2id=None), "2 labels.* 3 outputs"),
        (lambda folder: edit(folder / "config.json", layer_norm_eps="small"), "cannot be loaded.*layer_norm_eps"),
        (lambda folder: edit(folder / "config.json", hidden_act="gelux"), "cannot be loaded.*gelux"),
        (lambda folder: poison(folder, "classifier.bias", float("nan")), "classifier.bias holds numbers"),
        (lambda folder: poison(folder, "vit.layernorm.weight", float("inf")), "vit.layernorm.weight holds numbers"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "preprocessor_config.json cannot be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no .safetensors file"),
        (lambda folder: truncate(folder / "model.safetensors"), "cannot be loaded"),
        (remove_head, "weight classifier.bias is missing"),
        (lambda folder: edit(folder / "preprocessor_config.json", size={"height": 48, "width": 32}), "32 x 32"),
        (lambda folder: edit(folder / "preprocessor_config.json", resample=6), "resample is 6"),
    ],
)
def test_what_is_no_checkpoint_is_said_in_one_line(own, tmp_path, damage, message):
    damage(own)
    with pytest.raises(UserError, match=message) as caught:
        models.build_checkpoint({"kind": "folder", "folder": str(own)}, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_unknown_kind_is_named_with_the_known_ones(tmp_path):
    with pytest.raises(UserError, match="unknown kind 'hubble'; use one of seeded, hub, folder"):
        models.build_checkpoint({"kind": "hubble"}, tmp_path / "out")


def test_code_and_pickles_in_a_checkpoint_are_not_touched(own, tmp_path):
    edit(own / "config.json", auto_map={"AutoModelForImageClassification": "evil.Model"})
    (own / "evil.py").write_text("raise SystemExit('remote code ran')")
    (own / "pytorch_model.bin").write_bytes(b"not a pickle")
    models.build_checkpoint({"kind": "folder", "folder": str(own)}, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.py")) and not list((tmp_path / "out").glob("*.bin"))


@pytest.mark.parametrize("architecture", [DeiTForImageClassification, DeiTForImageClassificationWithTeacher])
def test_deit_is_taken_in_once_its_crop_is_replaced(tmp_path, architecture):
    folder = tmp_path / "deit"
    torch.manual_seed(1)
    config = DeiTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        initializer_range=0.3,
    )  # fmt: skip
    architecture(config).save_pretrained(folder)
    DeiTImageProcessor().save_pretrained(folder)
    definition = {"kind": "folder", "folder": str(folder)}
    with pytest.raises(UserError, match="preprocessing: square"):
        models.build_checkpoint(definition, tmp_path / "refused")
    models.build_checkpoint(definition | {"preprocessing": "square"}, tmp_path / "out")
    processor = json.loads((tmp_path / "out/preprocessor_config.json").read_text())
    assert processor["size"] == {"height": 32, "width": 32} and not processor.get("do_center_crop")
    models.export_onnx(tmp_path / "out", tmp_path / "onnx")
    assert models.check_logits(tmp_path / "out", onnx=tmp_path / "onnx")["onnx"] <= models.TOLERANCE


@pytest.mark.parametrize(
    ("labels", "unique"),
    [
        (["crane", "dog", "crane"], ["crane", "dog", "crane (2)"]),
        (["crane", "crane", "crane"], ["crane", "crane (1)", "crane (2)"]),
        (["crane", "crane", "crane (1)"], ["crane", "crane (1) (1)", "crane (1)"]),
        (["crane (2)", "crane", "crane"], ["crane (2)", "crane", "crane (2) (2)"]),
        (["", "", "a"], ["", " (1)", "a"]),
    ],
)
def test_labels_that_stand_twice_are_numbered_and_the_others_stay(labels, unique):
    assert list(checkpoints.unique(labels)) == unique


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config", {"initializer_range": 0}),
        ("config", {"initializer_range": None}),
        ("config", {"initializer_range": "0.02"}),
        ("config", {"image_size": "32", "patch_size": [8, 8]}),
        ("config", {"image_size": [32, 32], "hidden_size": "16", "architectures": None}),
        ("preprocessor_config", {"resample": "bilinear", "size": 32, "image_mean": 0.5}),
        ("preprocessor_config", {"resample": None, "do_rescale": False}),
        ("preprocessor_config", {"resample": 0, "rescale_factor": 1 / 127.5, "do_normalize": False}),
    ],
)
def test_what_means_the_same_becomes_the_same_checkpoint_and_export(own, tmp_path, file, changes):
    """Its own libraries must read what was written, transformers 4 and Spark NLP in their own environments too."""
    edit(own / f"{file}.json", **changes)
    models.build_checkpoint({"kind": "folder", "folder": str(own)}, tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert [config[key] for key in ("image_size", "patch_size", "hidden_size")] == [32, 8, 16]
    assert config["initializer_range"] == 0.02 and config["architectures"] == ["ViTForImageClassification"]
    AutoModelForImageClassification.from_pretrained(tmp_path / "out")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "out", backend="pil")
    assert processor(Image.new("RGB", (50, 40)))["pixel_values"][0].shape == (3, 32, 32)
    models.export_onnx(tmp_path / "out", tmp_path / "onnx")
    assert models.check_logits(tmp_path / "out", onnx=tmp_path / "onnx")["onnx"] <= models.TOLERANCE


def test_patches_that_do_not_fill_the_image_work_as_in_transformers(tmp_path):
    folder = tmp_path / "own"
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=35, patch_size=8
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 35, "width": 35}).save_pretrained(folder)
    models.build_checkpoint({"kind": "folder", "folder": str(folder)}, tmp_path / "out")
    models.export_onnx(tmp_path / "out", tmp_path / "onnx")
    assert models.check_logits(tmp_path / "out", onnx=tmp_path / "onnx")["onnx"] <= models.TOLERANCE


def test_a_crop_stays_a_crop_for_those_that_can_do_it(own, tmp_path):
    edit(own / "preprocessor_config.json", size={"shortest_edge": 48}, do_center_crop=True, crop_size=32, resample=3)
    models.build_checkpoint({"kind": "folder", "folder": str(own)}, tmp_path / "out")
    image = Image.fromarray(numpy.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=numpy.uint8))
    for backend in ("pil", "torchvision"):
        processor = AutoImageProcessor.from_pretrained(tmp_path / "out", backend=backend)
        found = numpy.asarray(processor(image)["pixel_values"][0])
        resized = image.resize((72, 48), Image.Resampling.BICUBIC).crop((20, 8, 52, 40))
        wanted = (numpy.asarray(resized) / 255 - [0.1, 0.2, 0.3]) / 0.5
        assert numpy.abs(found - wanted.transpose(2, 0, 1)).mean() < 0.01
    # Spark NLP cannot: its assets are left out, and importing the export says why.
    models.export_onnx(tmp_path / "out", tmp_path / "onnx")
    assert models.check_logits(tmp_path / "out", onnx=tmp_path / "onnx")["onnx"] <= models.TOLERANCE
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["model.onnx"]
    (tmp_path / "out").rename(tmp_path / "checkpoint")
    with pytest.raises(UserError, match="crop.*preprocessing: square.*skipped"):
        import_annotator.main("onnx", tmp_path / "onnx", tmp_path, tmp_path, tmp_path / "annotator")
    assert not (tmp_path / "annotator").exists()


def test_a_checkpoint_of_the_hub_may_be_put_there_by_hand(own, tmp_path):
    shutil.copytree(own, tmp_path / "model" / "download")
    definition = {"kind": "hub", "hub": f"some/vit@{'0' * 40}"}
    models.build_checkpoint(definition, tmp_path / "model" / "checkpoint")
    assert (tmp_path / "model" / "checkpoint" / "model.safetensors").exists()


def test_the_model_of_the_article_is_pinned_to_a_commit():
    name, _, commit = DEFINITIONS["vit-base-patch16-224"]["hub"].partition("@")
    assert name == "google/vit-base-patch16-224" and len(commit) == 40


def test_vit_base_is_the_shape_of_vit_b_16():
    base = DEFINITIONS["vit-base-seeded"]
    shape = [base[key] for key in ("hidden_size", "layers", "heads", "intermediate_size", "image_size", "patch_size")]
    assert shape == [768, 12, 12, 3072, 224, 16]
