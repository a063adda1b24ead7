"""Which images count for accuracy: one rule, whatever asks for it, from the record to the closing lines."""

from __future__ import annotations

import csv
import json
import unicodedata
from pathlib import Path

import analyse_runs
import collect_records
import pandas
import planted
import pytest

from vitbench import accuracy, tables
from vitbench.analysis import physics
from vitbench.campaigns import checker, evidence
from vitbench.campaigns.packing import pack
from vitbench.files import safe_cell, write_atomically
from vitbench.plan.grid import Grid
from vitbench.records.archive import open_archive, record_paths
from vitbench.records.record import predictions_path

HOME = Path(__file__).parents[2]
MODEL = ("tench, Tinca tinca", "Egyptian cat", "cardigan", "Cardigan, Cardigan Welsh corgi", "Crème brûlée",
         "crane", "crane (517)", "bank, shore", "bank, money", "a/b", "=1+1")  # fmt: skip


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("Egyptian cat", "Egyptian cat"),
        ("Egyptian_cat", "Egyptian cat"),
        ("val/Egyptian_cat", "Egyptian cat"),
        ("tench", "tench, Tinca tinca"),
        ("tench,_Tinca_tinca", "tench, Tinca tinca"),
        ("cardigan", "cardigan"),  # the same text, before any first synonym
        ("Cardigan", "Cardigan, Cardigan Welsh corgi"),
        (unicodedata.normalize("NFD", "Crème brûlée"), "Crème brûlée"),
        (unicodedata.normalize("NFD", "Crème_brûlée"), "Crème brûlée"),
        ("crane", "crane"),
        ("a/b", "a/b"),
        ("=1+1", "=1+1"),
        ("bank", None),  # two labels begin so
        ("Tinca tinca", None),
        ("egyptian cat", None),
        ("n02124075", None),
        ("cat", None),
    ],
)
def test_a_label_of_the_data_set_stands_for_one_of_the_model_or_for_none(label, found):
    assert accuracy.match([label], MODEL) == {label: found}


def test_images_without_a_label_do_not_count_and_the_record_states_only_what_differs():
    matched = accuracy.match(["crane", "tench", "kat", ""], MODEL)
    assert accuracy.stated(matched) == {"kat": None, "tench": "tench, Tinca tinca"}
    labels = {"i0": "crane", "i1": "tench", "i2": "kat", "i3": ""}
    wanted = {"i0": "crane", "i1": "tench, Tinca tinca", "i2": "", "i3": ""}
    assert accuracy.expected(labels, matched) == accuracy.expected(labels, accuracy.stated(matched)) == wanted


def test_an_image_that_is_answered_twice_or_not_at_all_is_not_right():
    wanted = {"i0": "a", "i1": "b", "i2": "c", "i3": ""}
    assert accuracy.share_right([("i0", "a", 0.9), ("i1", "b", 0.9), ("i1", "b", 0.9), ("i3", "a", 1)], wanted) == 1 / 3
    assert accuracy.share_right([("i0", "a"), ("i1", "b"), ("i2", "c")], wanted) == 1
    assert accuracy.share_right([("i0", "a")], {"i0": "", "i1": ""}) is None


def test_what_does_not_count_is_named_with_what_is_nearest():
    labels = {"i0": "crane", "i1": "crane", "i2": "egyptian cta", "i3": "zzz", "i4": "", "i5": "zzz"}
    line = accuracy.note(labels, accuracy.match(labels.values(), MODEL), MODEL)
    assert line == (
        "accuracy over 2 of 6 images; no label of the model: egyptian cta, zzz; nearest: Egyptian cat for egyptian cta"
    )
    many = {str(number): f"n{number:08d}\n" for number in range(5)}
    line = accuracy.note(many, accuracy.match(many.values(), MODEL), MODEL)
    assert "0 of 5" in line and "and 2 more" in line and "\n" not in line
    assert accuracy.note({"i0": "crane", "i1": ""}, {}, MODEL) == ""


def test_a_record_cannot_call_unknown_what_its_model_answers_nor_one_text_another():
    assert accuracy.contradicted({"kat": None, "Egyptian_cat": "Egyptian cat"}, {"Egyptian cat"}) == []
    assert accuracy.contradicted({"bank": None}, {"bank, money"}) == []
    assert accuracy.contradicted({"cat": None}, {"cat", "dog"}) == [("cat", None)]
    assert accuracy.contradicted({"cat": "dog"}, {"dog"}) == [("cat", "dog")]


# --- one of three folders is a label of the model, from record to packed campaign


def plant(folder: Path, answer: str, labels: dict[str, str | None], share: float | None) -> Path:
    """A finished run whose model calls every image the same; its records say this of labels and accuracy."""
    planted.plant_run(folder, Grid(planted.CONFIG))
    for path in (folder / one for one in record_paths(open_archive(folder).grid)):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": labels, "accuracy": share}))
        with open(predictions_path(path), newline="") as handle:
            header, *rows = csv.reader(handle)
        with open(predictions_path(path), "w", newline="") as handle:
            csv.writer(handle).writerows([header, *([image, safe_cell(answer), score] for image, _, score in rows)])
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run whose model knows astronauts only, which are a third of the images."""
    return plant(tmp_path_factory.mktemp("labels") / "run", "astronaut", {"coffee": None, "rocket": None}, 1.0)


def test_checker_accepts_it_packs_it_and_accepts_the_campaign(run, tmp_path):
    live = open_archive(run)
    assert checker.check(live)[0] == []
    pack(live, "mine", tmp_path, "v1")
    packed = open_archive(tmp_path / "mine")
    assert checker.check(packed)[0] == []
    assert packed.matched_labels("full") == live.matched_labels("full") == {"coffee": None, "rocket": None}
    pack(packed, "again", tmp_path, "v1")


@pytest.mark.parametrize(
    ("labels", "accuracy_of"),
    [({}, 1.0), ({"coffee": None}, 1.0), ({"astronaut": None}, None), ({"coffee": "rocket"}, 1)],
)
def test_checker_refuses_other_labels_than_the_accuracy_was_computed_with(run, tmp_path, labels, accuracy_of):
    path = run / record_paths(open_archive(run).grid)[0]
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | {"labels": labels, "accuracy": accuracy_of}))
    try:
        assert any(str(path.relative_to(run)) in reason for reason in checker.check(open_archive(run))[0])
    finally:
        path.write_text(before)


def test_summary_and_parity_say_the_same_accuracy(run, tmp_path):
    archive = open_archive(run)
    collect_records.main(archive, tmp_path / "runs.csv")
    physics_table = physics.tabulate(tables.read(tmp_path / "runs.csv"), None)
    write_atomically(tmp_path / "physics.csv", tables.as_csv(physics_table))
    names = ("summary", "budget", "best", "images", "parity", "disagreements", "speedup")
    out = {name: tmp_path / f"{name}.csv" for name in names}
    analyse_runs.main(tmp_path / "runs.csv", tmp_path / "physics.csv", archive, out)
    summary, parity = pandas.read_csv(out["summary"]), pandas.read_csv(out["parity"])
    assert set(summary.accuracy) == {1.0}
    assert set(parity.baseline_accuracy) == set(parity.candidate_accuracy) == {1.0}


@pytest.mark.parametrize("answer", ["=1+1", "-2", "'quoted'"])
def test_a_label_that_a_spreadsheet_would_compute_comes_back_from_every_archive(tmp_path, answer):
    live = open_archive(plant(tmp_path / "run", answer, dict.fromkeys(("astronaut", "coffee", "rocket")), None))
    pack(live, "mine", tmp_path, "v1")
    path = record_paths(live.grid)[0]
    for archive in (live, open_archive(tmp_path / "mine")):
        assert {label for _, label, _ in archive.predictions(path)} == {answer}
        assert {row[1] for row in evidence.Evidence.gather(archive).predictions(path)} == {answer}
