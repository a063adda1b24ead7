"""What Spark NLP saved is what was exported, and gives the probabilities that PyTorch gives."""

import io
import json
import subprocess
import sys

import pytest
import torch
import tree
from PIL import Image
from transformers import ViTForImageClassification

from vitbench.errors import UserError
from vitbench.frameworks.sparknlp import annotators
from vitbench.inputs import jars, photographs, seeded

# Prints, for each image, its name and the probability of every label (`Some(label)` is Spark NLP's name for it).
CLASSIFY = """
import json, os, sys
from pathlib import Path
from vitbench.frameworks import Task
from vitbench.frameworks.sparknlp.adapter import Adapter
task = Task(**json.load(sys.stdin))
os.chdir(task.temporary)
adapter = Adapter(task)
adapter.start()
adapter.load()
rows = adapter.pipeline.transform(adapter.images()).select("image.origin", "class.metadata").collect()
adapter.close()
print(json.dumps({Path(origin).stem: metadata[0] for origin, metadata in rows}))
"""


@pytest.fixture(scope="module")
def model(smoke):
    """The folder of the smoke model, which has ten labels."""
    return next(smoke.glob("resources/models/vit-tiny-seeded-*"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Photographs of exactly the model's size, in a format that loses nothing: nobody has to resize or decode apart."""
    folder = tmp_path_factory.mktemp("annotators") / "images"
    folder.mkdir()
    for number, crop in enumerate(photographs.crops(12, 1, "heldout")):
        with Image.open(io.BytesIO(crop.jpeg)) as image:
            image.convert("RGB").resize((224, 224)).save(folder / f"{number:02d}.png")
    return folder


@pytest.mark.parametrize("engine", ["onnx", "tensorflow"])
def test_the_saved_annotator_holds_the_exported_files(model, engine):
    expected = {"onnx": ["model.onnx"], "tensorflow": ["variables.data-00000-of-00001", "variables.index"]}
    assert annotators.check_same_files(model / engine, model / f"sparknlp-{engine}") == expected[engine]


def test_an_annotator_of_another_model_is_refused(model, tmp_path):
    (tmp_path / "model.onnx").write_bytes((model / "onnx" / "model.onnx").read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"model\.onnx is not that of"):
        annotators.check_same_files(tmp_path, model / "sparknlp-onnx")
    with pytest.raises(UserError, match="none of the files"):
        annotators.check_same_files(tmp_path / "nothing", model / "sparknlp-onnx")


@pytest.mark.parametrize("engine", ["onnx", "tensorflow"])
def test_its_probabilities_are_those_of_pytorch(smoke, model, images, tmp_path, engine):
    paths = sorted(images.iterdir())
    found = classify(smoke, model, images, tmp_path, engine)
    checkpoint = ViTForImageClassification.from_pretrained(model / "checkpoint").eval()
    with torch.inference_mode():
        pixels = torch.stack([seeded.antialiased(Image.open(path), 224) for path in paths])
        expected = checkpoint(pixel_values=pixels).logits.softmax(dim=-1)
    names = checkpoint.config.id2label
    assert found.keys() == {path.stem for path in paths} and len(names) == 10
    for path, probabilities in zip(paths, expected, strict=True):
        for number, probability in enumerate(probabilities):
            assert abs(float(found[path.stem][f"Some({names[number]})"]) - float(probability)) <= 1e-3


def classify(smoke, model, images, folder, engine):
    """Image → metadata of its annotation, from the saved annotator in a Spark of its own, an image a batch."""
    jar_folder = smoke / "resources" / "jars" / f"{engine}-cpu"
    task = {
        "variant": {"engine": engine, "onednn": True},
        "device": "cpu",
        "workers": 1,
        "batch_size": 1,
        "threads": 2,
        "images": [(path.stem, str(path)) for path in images.iterdir()],
        "images_folder": str(images),
        "model": str(model / f"sparknlp-{engine}"),
        "jars": [str(path) for path in jars.verify(tree.ROOT / "envs" / "jars" / jar_folder.name, jar_folder)],
        "natives": str(smoke / "resources" / "jars" / "natives"),
        "temporary": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", CLASSIFY],
        input=json.dumps(task),
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tree.ROOT / "scripts")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
