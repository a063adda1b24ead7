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

TENSORFLOW = {"engine": "tensorflow", "onednn": True}
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


@pytest.fixture(scope="module")
def expected(model, images):
    """Image → label → probability, by PyTorch."""
    paths = sorted(images.iterdir())
    checkpoint = ViTForImageClassification.from_pretrained(model / "checkpoint").eval()
    with torch.inference_mode():
        pixels = torch.stack([seeded.antialiased(Image.open(path), 224) for path in paths])
        shares = checkpoint(pixel_values=pixels).logits.softmax(dim=-1)
    names = checkpoint.config.id2label
    assert len(names) == 10
    return {
        path.stem: {names[number]: float(share) for number, share in enumerate(row)}
        for path, row in zip(paths, shares, strict=True)
    }


@pytest.mark.ci
@pytest.mark.parametrize("settings", [{"engine": "onnx"}, TENSORFLOW, TENSORFLOW | {"tensorflow_threads": 1}])
def test_its_probabilities_are_those_of_pytorch(smoke, model, images, expected, tmp_path, settings):
    found = classify(smoke, model / f"sparknlp-{settings['engine']}", images, tmp_path, settings)
    assert found.keys() == expected.keys()
    for image, probabilities in expected.items():
        for label, probability in probabilities.items():
            assert abs(float(found[image][f"Some({label})"]) - probability) <= 1e-3


@pytest.fixture(scope="module")
def quantised(smoke, model, tmp_path_factory):
    """The annotator of the graph in int8, made by its rules of what the smoke run has."""
    folder = tmp_path_factory.mktemp("quantised")
    made = folder / "resources" / "models" / model.name
    made.mkdir(parents=True)
    for part in ("checkpoint", "onnx"):
        (made / part).symlink_to(model / part)
    (folder / "resources" / "jars").symlink_to(smoke / "resources" / "jars")
    tree.smoke(folder, str((made / "sparknlp-onnx-dynamic").relative_to(folder)))
    return made / "sparknlp-onnx-dynamic"


@pytest.mark.ci
def test_a_quantised_annotator_holds_the_quantised_file_and_labels_alike(smoke, quantised, images, expected, tmp_path):
    assert annotators.check_same_files(quantised.with_name("onnxruntime-dynamic"), quantised) == ["model.onnx"]
    found = classify(smoke, quantised, images, tmp_path, {"engine": "onnx", "onnx_threads": 1})
    shares = {
        image: {label: float(told[f"Some({label})"]) for label in expected[image]} for image, told in found.items()
    }
    same = sum(max(row, key=row.get) == max(shares[image], key=shares[image].get) for image, row in expected.items())
    assert same >= len(expected) - 1
    apart = [abs(shares[image][label] - share) for image, row in expected.items() for label, share in row.items()]
    assert 1e-3 < max(apart) < 0.2, "the graph in float32 would be nearer, another model further away"


def classify(smoke, annotator, images, folder, settings):
    """Image → metadata of its annotation, from a saved annotator in a Spark of its own, an image a batch."""
    jar_folder = smoke / "resources" / "jars" / f"{settings['engine']}-cpu"
    task = {
        "variant": settings,
        "device": "cpu",
        "workers": 1,
        "batch_size": 1,
        "threads": 2,
        "images": [(path.stem, str(path)) for path in images.iterdir()],
        "images_folder": str(images),
        "model": str(annotator),
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
