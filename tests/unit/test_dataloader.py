"""The model behind a DataLoader gives the pipeline's labels, in batches of the size asked for, in every pass anew."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from vitbench.files import HOME
from vitbench.frameworks import ADAPTERS, Task, Unavailable
from vitbench.frameworks.huggingface import adapter, dataloader

SETTINGS = {"image_processor": "pil", "runner": "dataloader", "loader_workers": 0, "precision": "float32"}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A checkpoint of two layers with random weights, and eleven images."""
    folder = tmp_path_factory.mktemp("dataloader")
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(1)
    config = ViTConfig(**shape, image_size=32, patch_size=8, num_labels=7, initializer_range=0.5)
    ViTForImageClassification(config).save_pretrained(folder / "model")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "model")
    generator = numpy.random.default_rng(1)
    for number in range(11):
        pixels = generator.integers(0, 255, (40, 50, 3), dtype=numpy.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def task(place: Path, batch_size: int = 4, device: str = "cpu", **settings) -> Task:
    images = [(str(number), str(place / f"{number}.png")) for number in range(11)]
    return Task(
        variant=SETTINGS | settings,
        device=device,
        workers=1,
        batch_size=batch_size,
        threads=1,
        images=images,
        images_folder=str(place),
        model=str(place / "model"),
        jars=[],
        natives=str(place / "natives"),
        temporary=str(place),
    )


def started(kind, given: Task):
    made = kind(given)
    made.start()
    made.load()
    return made


@pytest.mark.parametrize(
    ("batch_size", "batches"),
    [(4, {"3": 1, "4": 2}), (8, {"3": 1, "8": 1}), (12, {"11": 1}), (20, {"11": 1}), (1, {"1": 11})],
)
def test_labels_and_scores_are_the_pipelines(place, batch_size, batches):
    one, other = started(adapter.Adapter, task(place)), started(dataloader.Adapter, task(place, batch_size))
    expected, found = list(one.classify()), list(other.classify())
    assert [(each.id, each.label) for each in found] == [(each.id, each.label) for each in expected]
    assert len({each.label for each in found}) > 1
    assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-4)
    described = other.describe()
    assert (described["effective_batch_sizes"], described["precision"]) == (batches, "float32")
    other.close()


def test_every_pass_reads_the_files_again(place, tmp_path):
    for number in range(11):
        (tmp_path / f"{number}.png").write_bytes((place / f"{number}.png").read_bytes())
    (tmp_path / "model").symlink_to(place / "model")
    made = started(dataloader.Adapter, task(tmp_path))
    before = list(made.classify())
    Image.new("RGB", (50, 40), "red").save(tmp_path / "3.png")
    after = list(made.classify())
    assert [one.id for one, two in zip(before, after, strict=True) if one.score != two.score] == ["3"]


@pytest.mark.parametrize("precision", ["tensorfloat32", "bfloat16", "float16"])
def test_a_precision_that_this_processor_lacks_is_unavailable(place, precision, monkeypatch):
    monkeypatch.setattr(adapter, "multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_fp16_supported", lambda: False)
    with pytest.raises(Unavailable, match=precision):
        dataloader.Adapter(task(place, precision=precision)).start()


def test_workers_hand_over_their_images_from_a_folder_with_a_long_name(place, tmp_path):
    """As in a repeat: TMPDIR is its own folder, deep below measurements/, and its working folder."""
    folder = tmp_path / ("deep" * 40)
    folder.mkdir()
    code = "; ".join(
        [
            "import pickle, sys",
            "from vitbench.frameworks.huggingface.dataloader import Adapter",
            "made = Adapter(pickle.loads(bytes.fromhex(sys.argv[1])))",
            "made.start()",
            "made.load()",
            "print([list(made.classify()) == list(made.classify()), sum(made.batches.values())])",
            "made.close()",
        ]
    )
    variables = os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(HOME / "scripts")}
    told = pickle.dumps(task(place, loader_workers=2)).hex()
    done = subprocess.run(
        [sys.executable, "-c", code, told], cwd=folder, env=variables, capture_output=True, text=True, timeout=600
    )
    assert done.stdout.split("\n")[-2] == "[True, 3]", done.stderr
    assert list(folder.iterdir()) == []


def test_the_definition_says_which_module_runs_it():
    assert ADAPTERS["huggingface"](SETTINGS) == dataloader.__name__
    assert ADAPTERS["huggingface"]({"image_processor": "pil"}) == adapter.__name__
