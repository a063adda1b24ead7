"""Effective batches: what was asked for, what the engine got, and how partitions filled the slots."""

import pandas
import pytest
from example_tables import TWO, example, typed

from vitbench.analysis.batches import counts, effective_batches, wave_factor


def row(**changes) -> dict:
    cell = {
        "source": "live", "machine": "m", "protocol": 2, "model": "v", "dataset": "sample", "images": 32,
        "framework": "sparknlp", "variant": "onnx", "device": "cpu", "workers": 1, "batch_size": 8, "status": "ok",
        "effective_batch_size": 8, "effective_batch_sizes": "8:4", "partition_rows": "16:2", "partitions": 2,
        "slots": 2, "waves": 1, "batches": "computed",
    }  # fmt: skip
    return cell | changes


def table(*rows: dict) -> pandas.DataFrame:
    return effective_batches(typed(list(rows), "runs"))


@pytest.mark.parametrize(
    "partitions, slots, factor", [(2, 2, 1), (3, 2, 0.75), (9, 8, 9 / 16), (1, 4, 0.25), (8, 4, 1)]
)
def test_the_wave_factor_is_the_share_of_the_slots_that_work(partitions, slots, factor):
    assert wave_factor(partitions, slots) == pytest.approx(factor)
    assert table(row(partitions=partitions, slots=slots)).wave_factor[0] == pytest.approx(factor)


def test_no_partitions_no_wave_factor():
    nothing = {"partitions": None, "slots": None, "waves": None, "partition_rows": None}
    assert wave_factor(float("nan"), 2) is None
    assert pandas.isna(table(row(framework="huggingface", **nothing)).wave_factor[0])


def test_a_histogram_is_read():
    assert counts("8:4;3:1") == {3: 1, 8: 4} and counts("") == {}


def test_a_batch_size_that_no_batch_had_is_not_reached_and_the_reason_is_said():
    beyond = {"batch_size": 32, "effective_batch_size": 16, "effective_batch_sizes": "16:2"}
    reached, in_partitions, in_data = table(
        row(),
        row(**beyond),
        row(batch_size=64, effective_batch_size=32, effective_batch_sizes="32:1", partition_rows=None, variant="x"),
    ).to_dict("records")
    assert reached["reached"] == "true" and not reached["reason"]
    assert in_partitions["reached"] == "false" and in_partitions["reason"] == "no partition has more than 16 rows"
    assert in_data["reached"] == "false" and in_data["reason"] == "the data set has 32 images"


def test_unknown_batches_are_neither_reached_nor_missed():
    (found,) = table(row(effective_batch_size=None, effective_batch_sizes=None)).to_dict("records")
    assert found["reached"] == "" and "not known" in found["reason"]


def test_repeats_that_saw_something_else_are_counted():
    other = row(effective_batch_sizes="8:3;4:2")
    (found,) = table(row(), other, row(), row(status="oom")).to_dict("records")
    assert found["effective_batch_sizes"] == "8:4" and (found["alike"], found["repeats"]) == (2, 3)


def test_a_cell_says_whether_its_batches_were_observed():
    mine, other = table(row(), row(framework="huggingface", batches="observed")).batches
    assert (mine, other) == ("computed", "observed")


def test_every_cell_that_worked_has_a_row():
    run = example(TWO, failed={("sparknlp/tensorflow", 16): "oom"})
    found = effective_batches(run.runs)
    assert len(found) == (run.summary["status"] == "ok").sum()
    assert set(found.reached) == {"true"}
