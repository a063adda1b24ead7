"""The model behind a DataLoader gives the pipeline's labels, in batches of the size asked for, in every pass anew."""

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch
import torchvision
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from vitbench.files import HOME
from vitbench.frameworks import ADAPTERS, Task, Unavailable, decoders
from vitbench.frameworks.huggingface import adapter, dataloader, preparation
from vitbench.inputs import photographs

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


@pytest.fixture(scope="module")
def files(tmp_path_factory, place) -> Path:
    """JPEG files of two sizes and, among them, what no decoder but Pillow reads: two of PNG, one that is turned."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "model").symlink_to(place / "model")
    for number, crop in enumerate(photographs.crops(11, 2, "heldout")):
        with Image.open(io.BytesIO(crop.jpeg)) as image:
            own = image.crop((0, 0, 90, 64)) if number % 2 else image.crop((0, 0, 64, 90))
        tags = Image.Exif()
        tags[decoders.ORIENTATION] = 6 if number == 5 else 1
        own.save(folder / f"{number}.png", "PNG" if number in (3, 8) else "JPEG", exif=tags)
    return folder


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("on_device", ["preprocessing", "decoding"])
def test_what_the_device_prepares_is_what_workers_prepare(files, on_device, workers):
    """Here the device is the CPU. Neighbours have other sizes and kinds: a mixed-up order would show."""
    settings = {"image_processor": "torchvision"}
    one = started(dataloader.Adapter, task(files, **settings))
    other = started(dataloader.Adapter, task(files, **settings, on_device=on_device, loader_workers=workers))
    expected, found = list(one.classify()), list(other.classify())
    assert len({each.score for each in expected}) == 11
    assert [(each.id, each.label) for each in found] == [(each.id, each.label) for each in expected]
    assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-5)
    assert list(other.classify()) == found
    described = other.describe()
    assert described["effective_batch_sizes"] == {"3": 1, "4": 2} and "on the device" in described["setting"]
    answers = other.answer([str(files / "7.png"), str(files / "8.png")])
    assert answers == [(each.label, pytest.approx(each.score, abs=1e-5)) for each in expected[7:9]]
    other.close()


def test_a_worker_hands_over_the_less_the_more_the_device_does(files):
    def handed_over(name: str, **settings) -> tuple[str, tuple[int, ...]]:
        made = started(dataloader.Adapter, task(files, image_processor="torchvision", **settings))
        given = made.prepare.hand_over(str(files / name))
        return str(given.dtype), tuple(given.shape)

    size = (files / "0.png").stat().st_size
    assert handed_over("0.png") == ("torch.float32", (3, 32, 32))
    assert handed_over("0.png", on_device="preprocessing") == ("torch.uint8", (3, 90, 64))
    assert handed_over("0.png", on_device="decoding") == ("torch.uint8", (size,))
    # What Pillow alone reads it reads here too, and turns.
    assert handed_over("5.png", on_device="decoding") == ("torch.uint8", (3, 90, 64))
    assert handed_over("3.png", on_device="decoding") == ("torch.uint8", (3, 64, 90))


@pytest.mark.parametrize("on_device", ["preprocessing", "decoding"])
def test_what_a_worker_hands_over_at_a_time_is_one_tensor(files, on_device):
    """One of each image takes half a millisecond of the process that the device waits for."""
    made = started(dataloader.Adapter, task(files, image_processor="torchvision", on_device=on_device))
    images = [made.prepare.hand_over(str(files / f"{number}.png")) for number in (3, 4, 5)]
    numbers, shapes = made.prepare.collect(images)
    assert numbers.dtype == torch.uint8 and numbers.numel() == sum(image.numel() for image in images)
    again = preparation.apart(numbers, shapes)
    assert all(torch.equal(one, image) for one, image in zip(again, images, strict=True))


def test_a_gpus_decoder_waits_for_what_was_queued_before_it(monkeypatch):
    """Here is no GPU: what is called, and in which order. Without the waiting it overwrites what is still read."""
    called = []
    stream = SimpleNamespace(synchronize=lambda: called.append("waited"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torchvision.io, "decode_jpeg", lambda files, _, where: called.append(where) or files)
    files = [torch.zeros(3, dtype=torch.uint8)]
    for device in ("cuda", "cpu", "mps"):
        preparation.DecodedOnDevice(None, None, device)._decode(files)
    assert called == ["waited", "cuda", "cpu", "cpu"]


def test_a_decoder_that_is_to_go_is_not_said_at_each_batch(files, recwarn):
    made = started(dataloader.Adapter, task(files, image_processor="torchvision", on_device="decoding"))
    assert len(list(made.classify())) == 11
    assert [str(one.message) for one in recwarn if "TorchCodec" in str(one.message)] == []


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
