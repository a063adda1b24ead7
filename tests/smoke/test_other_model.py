"""The whole workflow on a model that is not the default: 96 pixels, 37 labels with odd names, both engines, parity."""

import json
from collections import Counter

import odd_model
import pytest
import tree

from vitbench import tables
from vitbench.records import record as records

pytestmark = pytest.mark.long
VARIANTS = {"huggingface/pipeline", "sparknlp/tensorflow", "sparknlp/onnx"}


@pytest.fixture(scope="module")
def run(smoke, tmp_path_factory):
    """A finished run on that model and two images of each label, of sizes that it must resize."""
    folder = tmp_path_factory.mktemp("odd") / "another model"
    (folder / "resources").mkdir(parents=True)
    for part in ("jars", "environments"):
        (folder / "resources" / part).symlink_to(smoke / "resources" / part)
    odd_model.checkpoint(folder / "own" / "checkpoint")
    (folder / "own" / "images").mkdir()
    for label in range(len(odd_model.labels())):
        for seed, size in enumerate((150, 260)):
            odd_model.noisy(label, size, seed).save(folder / "own" / "images" / f"{label:02d} {seed}.png")
    (folder / "more.yaml").write_text(
        "model: odd\n"
        "datasets: {sample: patterns-sample, full: patterns}\n"
        "batch_sizes: [4]\n"
        "define:\n"
        "  models: {odd: {kind: folder, folder: own/checkpoint}}\n"
        "  datasets:\n"
        "    patterns-sample: {kind: folder, folder: own/images, images: 37, seed: 1}\n"
        "    patterns: {kind: folder, folder: own/images}\n"
    )
    tree.smoke(folder)
    return folder


def test_every_cell_was_measured_and_worked(run):
    runs = tables.read(run / "results/runs.csv")
    measured = set(runs.framework + "/" + runs.variant)
    assert measured >= VARIANTS and (runs.status == "ok").all()


def test_the_frameworks_agree(run):
    parity = tables.read(run / "results/parity.csv")
    assert set(parity.dataset) == {"sample", "full"} and parity.passed.all()
    assert (parity[parity.dataset == "full"].compared == 74).all()


def test_each_label_came_through_each_framework_as_it_is(run):
    names = json.loads(next(run.glob("resources/models/odd-*/checkpoint/config.json")).read_text())["id2label"]
    names = [names[str(number)] for number in range(len(names))]
    assert len(set(names)) == 37 and set(odd_model.labels()) <= set(names)
    seen = set()
    for path in run.glob("measurements/**/full-*/**/rep0.json"):
        record = records.read(path)
        predicted = records.read_predictions(records.predictions_path(path))
        assert Counter(label for _, label, _ in predicted) == dict.fromkeys(names, 2), path
        seen.add(f"{record['framework']}/{record['variant']}")
    assert seen >= VARIANTS


def test_the_forms_of_the_model_give_the_same_logits(run):
    found = json.loads(next(run.glob("resources/models/odd-*/logits.json")).read_text())["largest_difference"]
    assert found.keys() == {"onnx", "tensorflow"} and all(0 <= difference <= 1e-4 for difference in found.values())
