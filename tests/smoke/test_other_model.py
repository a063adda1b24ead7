"""The whole workflow on a model that is not the default: 96 pixels, 37 labels with odd names, both engines, parity."""

import json
import unicodedata
from collections import Counter
from pathlib import Path

import check_records
import odd_model
import pytest
import tree

from vitbench import tables
from vitbench.records import record as records

pytestmark = pytest.mark.long
VARIANTS = {"huggingface/pipeline", "sparknlp/tensorflow", "sparknlp/onnx"}


# Labels whose images lie in a folder of that name; all others lie in one that says nothing to the model.
KNOWN = ("semi;colon", "ünïcödé", "100%", "=1+1", "-2")


def as_people_write(checkpoint: Path) -> None:
    """The same model in other words, and resized by another filter."""
    odd_model.rewrite(checkpoint, "config", image_size="96", patch_size=[16, 16], initializer_range=0)
    odd_model.rewrite(checkpoint, "preprocessor_config", resample=3, size=[96, 96])
    odd_model.rewrite(checkpoint, "preprocessor_config", do_rescale=False, image_mean=127.5, image_std=[127.5] * 3)


def save_images(folder: Path) -> None:
    """Two images of each label, of sizes that the model must resize; folders as a Mac writes them."""
    for number, label in enumerate(odd_model.labels()):
        place = folder / (unicodedata.normalize("NFD", label) if label in KNOWN else "something else")
        place.mkdir(parents=True, exist_ok=True)
        for seed, size in enumerate((150, 260)):
            odd_model.noisy(number, size, seed).save(place / f"{number:02d} {seed}.png")


@pytest.fixture(scope="module")
def run(smoke, tmp_path_factory):
    """A finished run on that model and two images of each label."""
    folder = tmp_path_factory.mktemp("odd") / "another model"
    (folder / "resources").mkdir(parents=True)
    for part in ("jars", "environments"):
        (folder / "resources" / part).symlink_to(smoke / "resources" / part)
    odd_model.checkpoint(folder / "own" / "checkpoint")
    as_people_write(folder / "own" / "checkpoint")
    save_images(folder / "own" / "images")
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


def test_accuracy_is_of_the_images_whose_folder_the_model_knows_and_the_same_everywhere(run, capsys):
    known = 2 * sum(label in KNOWN for label in odd_model.labels())
    summary, parity = tables.read(run / "results/summary.csv"), tables.read(run / "results/parity.csv")
    full = parity[parity.dataset == "full"]
    assert set(summary[summary.dataset == "full"].accuracy) == {1.0}
    assert set(full.baseline_accuracy) == set(full.candidate_accuracy) == {1.0}
    lines = (run / "results/summary.txt").read_text()
    assert f"Accuracy over {known} of 74 images; no label of the model: something else" in lines
    assert check_records.main([str(run)]) == 0, capsys.readouterr().out


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """A finished run on the same model, but resized by a filter that Spark NLP has not; the run's output."""
    folder = tmp_path_factory.mktemp("refused")
    odd_model.checkpoint(folder / "own" / "checkpoint")
    odd_model.rewrite(folder / "own" / "checkpoint", "preprocessor_config", resample="lanczos")
    save_images(folder / "own" / "images")
    (folder / "more.yaml").write_text(
        "model: odd\n"
        "datasets: {sample: patterns, full: patterns}\n"
        "batch_sizes: [4]\n"
        "define:\n"
        "  models: {odd: {kind: folder, folder: own/checkpoint}}\n"
        "  datasets: {patterns: {kind: folder, folder: own/images}}\n"
    )
    (folder / "output.txt").write_text(tree.smoke(folder))
    return folder


def test_an_engine_that_cannot_do_the_model_is_a_row_with_its_reason_and_the_others_go_on(refused):
    runs = tables.read(refused / "results/runs.csv")
    status = {f"{row.framework}/{row.variant}": row.status for row in runs.itertuples()}
    assert status["huggingface/pipeline"] == "ok"
    assert status["sparknlp/tensorflow"] == status["sparknlp/onnx"] == "skipped"
    assert runs[runs.status == "skipped"].reason.str.contains("lanczos").all()
    assert "sparknlp/onnx cannot do the model odd" in (refused / "output.txt").read_text()
    assert not (refused / "resources/jars").exists(), "nothing costly was done for it"
    assert (refused / "reports/benchmark.xlsx").exists() and (refused / "reports/speedup.png").exists()
