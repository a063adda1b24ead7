"""Runs that must not stand beside each other, and those that may with a note."""

import pandas as pd
import pytest

from vitbench import tables
from vitbench.errors import UserError
from vitbench.records.mixing import mark_mixed, refuse_mixed

HF, TF = ("huggingface", "pipeline"), ("sparknlp", "tensorflow")


def runs(**last) -> pd.DataFrame:
    """Two repeats of two variants on both sets, with `last` in the very last row."""
    packages = {HF: "torch 2.15.0;transformers 5.23.0", TF: "spark-nlp 5.5.3"}
    rows = [
        {
            "source": "live",
            "machine": "xeon-2",
            "processor": "zen4 (AuthenticAMD 25.17.1)",
            "protocol": 2,
            "model": "vit",
            "dataset": role,
            "framework": variant[0],
            "variant": variant[1],
            "device": "cpu",
            "workers": 1,
            "batch_size": 8,
            "repeat": repeat,
            "status": "ok",
            "code": "c0de",
            "packages": packages[variant],
            "model_hash": f"of {variant[1]}",
            "data_hash": f"of {role}",
            "record": f"{role}/{variant[1]}/rep{repeat}.json",
        }
        for role in ("sample", "full")
        for variant in (HF, TF)
        for repeat in (0, 1)
    ]
    rows[-1] |= last
    return pd.DataFrame(rows, columns=tables.COLUMNS["runs"]).convert_dtypes()


def test_one_machine_protocol_model_and_data_set_may_be_compared():
    """Each framework loads a form of the model of its own, and the two sets differ: neither is a mixture."""
    refuse_mixed(runs())
    assert mark_mixed(runs()) == []


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("machine", "xeon-4", "in the machine: xeon-2"),
        ("processor", "zen5 (AuthenticAMD 26.2.1)", "in the processor: zen4"),
        ("protocol", 1, "in the protocol: 2"),
        ("model", "vit-large", "in the model: vit"),
        ("model_hash", "another", "in the model's files of sparknlp/tensorflow: of tensorflow"),
        ("data_hash", "another", "in the data set's manifest of full: of full"),
    ],
)
def test_what_differs_is_named_with_the_records_and_what_to_do(column, value, words):
    with pytest.raises(UserError) as raised:
        refuse_mixed(runs(**{column: value}))
    line = str(raised.value)
    assert words in line and str(value) in line and "full/tensorflow/rep1.json" in line and "\n" not in line
    assert "remove the records" in line


@pytest.mark.parametrize("change", [{"machine": "other", "record": None}, {"model_hash": "", "status": "error"}])
def test_a_row_without_a_record_or_a_hash_says_nothing(change):
    refuse_mixed(runs(**change))


def test_other_code_is_marked():
    assert mark_mixed(runs(code="beef")) == ["The measuring code changed between repeats: 7 by c0de, 1 by beef."]


def test_other_packages_are_marked_by_variant():
    given = runs()
    given.loc[0, "packages"] = "torch 2.16.0;transformers 5.23.0"
    assert mark_mixed(given) == ["huggingface/pipeline was measured with torch 2.16.0 and 2.15.0."]


def test_a_repeat_out_of_its_turn_is_marked():
    (note,) = mark_mixed(runs(out_of_turn="yes", block=1))
    assert "1 of 8 repeats" in note and "sparknlp/tensorflow on full" in note


def test_a_failed_repeat_without_versions_is_no_other_version():
    assert mark_mixed(runs(packages="", status="oom")) == []
