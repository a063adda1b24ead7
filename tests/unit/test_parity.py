"""Equal labels: what fails a pair, with planted faults."""

from __future__ import annotations

import pandas
import pytest
from example_runs import HF, ONNX, TF, Said, cell, flagged, judge, labels, one_pair

from vitbench import tables
from vitbench.analysis import parity
from vitbench.inputs.datasets import Image


def drop(image: str):
    return lambda said: [one for one in said if one[0] != image]


def repeat(image: str):
    return lambda said: [*said, *(one for one in said if one[0] == image)]


def shift(said):
    """The labels of each image are those of its neighbour, as after a join by row."""
    return [(image, said[number - 1][1], score) for number, (image, _, score) in enumerate(said)]


def relabel(image: str, label: str):
    return lambda said: [(one, label if one == image else name, score) for one, name, score in said]


def test_the_same_labels_pass(table):
    gate, ratio = judge(one_pair(table))
    row = gate.iloc[0]
    assert (row.dataset, row.baseline, row.candidate) == ("full", f"{HF}/cpu/w1/bs8", f"{TF}/cpu/w1/bs8")
    assert (row.images, row.compared, row.agreement, row.passed) == (6, 6, 1.0, True)
    assert (row["lost"], row["duplicated"]) == ("", "") and pandas.isna(row.reason)
    assert (row.baseline_accuracy, row.candidate_accuracy, row.probability_difference) == (1, 1, 0)
    assert list(gate.columns) == list(tables.COLUMNS["parity"])
    assert ratio.iloc[0].speedup == 1.5 and ratio.iloc[0].agreement == 1


FAULTS = {
    "lost": (drop("i2"), "1 images lost", {"lost": "i2", "compared": 5}),
    "twice": (repeat("i3"), "1 images answered twice", {"duplicated": "i3", "compared": 5}),
    "shifted": (shift, "labels equal for", {"lost": "", "compared": 6}),
    "one wrong of six": (relabel("i5", "owl"), "labels equal for 83.3%, 99% needed", {"candidate_accuracy": 5 / 6}),
    "nothing said": (lambda said: [], "6 images lost", {"compared": 0, "agreement": 0}),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", ["", "full/cpu/bs8/rep1"])
def test_a_fault_fails_the_pair_even_in_one_repeat_alone_and_there_is_no_ratio(table, fault, where):
    how, reason, facts = FAULTS[fault]
    gate, ratio = judge(one_pair(table), Said().change(f"{TF}/{where}", how))
    row = gate.iloc[0]
    assert not row.passed and reason in row.reason
    for column, value in facts.items():
        assert row[column] == pytest.approx(value) if isinstance(value, float) else row[column] == value, column
    row = ratio.iloc[0]
    assert row.verdict == "parity failed" and reason in row.reason
    assert row[["speedup", "low", "high"]].isna().all()


def test_a_fault_of_the_baseline_counts_as_well(table):
    gate, ratio = judge(one_pair(table), Said().change(HF, drop("i0")))
    assert gate.iloc[0].lost == "i0" and ratio.iloc[0].verdict == "parity failed"


def test_agreement_just_above_the_gate_passes_and_is_shown(table):
    gate, ratio = judge(one_pair(table), Said().change(TF, relabel("i5", "owl")), least=0.8)
    assert gate.iloc[0].passed and gate.iloc[0].agreement == pytest.approx(5 / 6)
    assert ratio.iloc[0].verdict == "too few repeats" and ratio.iloc[0].agreement == pytest.approx(5 / 6)


@pytest.mark.parametrize("who", [HF, TF])
def test_a_repeat_that_left_images_out_before_its_last_pass_fails_although_all_labels_are_there(table, who):
    lossy = {variant: {"b1": "images lost"} if variant == who else {} for variant in (HF, TF)}
    cells = [flagged(cell(variant, "full", 8, [9, 9, 9]), **lossy[variant]) for variant in (HF, TF)]
    gate, ratio = judge(table(*cells))
    assert not gate.iloc[0].passed and "left images out" in gate.iloc[0].reason and gate.iloc[0].agreement == 1
    assert ratio.iloc[0].verdict == "parity failed" and pandas.isna(ratio.iloc[0].speedup)


def test_ids_of_images_that_were_answered_twice_come_back_from_the_file(table, tmp_path):
    gate, _ = judge(one_pair(table), Said().change(TF, lambda said: [*said, said[3], said[4]]))
    tables_file = tmp_path / "parity.csv"
    tables_file.write_text(tables.as_csv(gate))
    assert tables.read(tables_file, "parity")["duplicated"].item() == gate["duplicated"].item() == "i3;i4"


def test_probabilities_are_compared_where_both_give_them(table):
    scores = {"i0": 0.8, "i1": 0.6, "i2": None, "i3": 0.9, "i4": 0.9, "i5": 0.9}
    said = Said().change(TF, lambda said: [(image, label, scores[image]) for image, label, _ in said])
    assert judge(one_pair(table), said)[0].iloc[0].probability_difference == pytest.approx(0)
    none = Said().change(TF, lambda said: [(image, label, None) for image, label, _ in said])
    assert judge(one_pair(table), none)[0].iloc[0].probability_difference is None
    half = Said().change(TF, lambda said: [(image, label, 0.4) for image, label, _ in said])
    assert judge(one_pair(table), half)[0].iloc[0].probability_difference == pytest.approx(0.5)


def test_images_without_labels_are_compared_but_have_no_accuracy(table):
    gate = parity.parity(one_pair(table), HF, Said(), lambda role: dict.fromkeys(labels(role), ""), 0.99)
    assert gate.iloc[0].passed and pandas.isna(gate.iloc[0].baseline_accuracy)


def test_images_whose_label_the_model_has_not_are_compared_and_do_not_count_for_accuracy(table):
    known = {image: label if label == "cat" else "" for image, label in labels("full").items()}
    said = Said().change(TF, relabel("i0", "owl"))
    row = parity.parity(one_pair(table), HF, said, lambda role: known, 0.8).iloc[0]
    assert row.passed and row.compared == 6 and (row.baseline_accuracy, row.candidate_accuracy) == (1, 0.5)


def test_parity_says_of_which_form_the_images_are_that_differ(table):
    forms = {"i0": "", "i1": "JPEG, CMYK", "i2": "JPEG, CMYK", "i3": "PNG, transparent", "i4": "", "i5": ""}
    said = Said().change(TF, relabel("i2", "owl")).change(TF, drop("i1")).change(TF, relabel("i4", "cat"))
    runs = one_pair(table)
    row = parity.parity(runs, HF, said, labels, 0.99, lambda role: forms).iloc[0]
    assert row.differing == "2 of 2 JPEG, CMYK; 1 of 3 JPEG"
    assert parity.parity(runs, HF, Said(), labels, 0.99, lambda role: forms).iloc[0].differing == ""


def test_what_the_data_sets_hold_is_counted_by_form_and_reason():
    def image(number: int, valid: bool, reason: str = "", form: str = "") -> Image:
        return Image(f"i{number}", "", "", 1, "", valid, reason, f"=source {number}", form)

    manifest = [
        image(1, False, "empty file"),
        image(2, True),
        image(3, True, form="PNG"),
        image(4, True, form="PNG"),
        image(5, False, "empty file"),
        image(6, False, "a link to nothing"),
    ]
    found = parity.images({"sample": ("mine", manifest), "full": ("photos-48", [image(1, True)])})
    assert found.values.tolist() == [
        ["sample", "mine", True, "PNG", 2, "=source 3"],
        ["sample", "mine", True, "JPEG", 1, "=source 2"],
        ["sample", "mine", False, "empty file", 2, "=source 1"],
        ["sample", "mine", False, "a link to nothing", 1, "=source 6"],
        ["full", "photos-48", True, "JPEG", 1, "=source 1"],
    ]
    assert list(found.columns) == list(tables.COLUMNS["images"])


def test_each_pair_is_judged_by_itself(table):
    runs = table(*(cell(variant, "full", 8, [9, 9, 9]) for variant in (HF, TF, ONNX)))
    _, ratio = judge(runs, Said().change(TF, shift))
    assert list(ratio.candidate) == [f"{TF}/cpu/w1/bs8", f"{ONNX}/cpu/w1/bs8"]  # in the order of the runs
    assert list(ratio.verdict) == ["parity failed", "too few repeats"]
