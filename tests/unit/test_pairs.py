"""Who is compared with whom."""

from __future__ import annotations

from example_runs import HF, ONNX, TF, cell, flagged, judge, skipped

from vitbench import cells
from vitbench.analysis import pairs
from vitbench.analysis import summary as analysis
from vitbench.analysis.pairs import BEST_GROUP, SAME_GROUP


def named_pairs(runs, baseline=HF) -> list[tuple[str, str, str]]:
    return [
        (cells.cell_name(one), cells.cell_name(other), group) for one, other, group in pairs.comparisons(runs, baseline)
    ]


def test_full_runs_are_compared_at_their_best_and_the_sample_at_the_same_batch_size(table):
    runs = table(
        cell(TF, "sample", 1, [9]), cell(TF, "sample", 8, [9]), cell(HF, "sample", 1, [9]), cell(HF, "sample", 8, [9]),
        cell(HF, "sample", 16, [9]), cell(HF, "full", 8, [9]), cell(TF, "full", 1, [9]),
    )  # fmt: skip
    assert named_pairs(runs) == [
        (f"{HF}/cpu/w1/bs8", f"{TF}/cpu/w1/bs1", BEST_GROUP),
        (f"{HF}/cpu/w1/bs1", f"{TF}/cpu/w1/bs1", SAME_GROUP),
        (f"{HF}/cpu/w1/bs8", f"{TF}/cpu/w1/bs8", SAME_GROUP),
    ]
    assert [pair[0].split("/cpu")[0] for pair in named_pairs(runs, TF)] == [TF] * 3


def test_each_device_has_its_baseline_and_each_variant_its_gain_from_the_device(table):
    runs = table(
        *(cell(variant, "full", 8, [9], device=device) for device in ("gpu", "cpu") for variant in (HF, TF, ONNX))
    )
    assert {(one, other) for one, other, _ in named_pairs(runs)} == {
        (f"{HF}/{device}/w1/bs8", f"{variant}/{device}/w1/bs8") for device in ("cpu", "gpu") for variant in (TF, ONNX)
    } | {(f"{variant}/cpu/w1/bs8", f"{variant}/gpu/w1/bs8") for variant in (HF, TF, ONNX)}
    assert len(named_pairs(runs)) == 7


def test_what_was_skipped_is_not_compared(table):
    runs = table(cell(HF, "full", 8, [9]), cell(ONNX, "full", 8, [9]), skipped(TF, "full", None))
    assert [other for _, other, _ in named_pairs(runs)] == [f"{ONNX}/cpu/w1/bs8"]


def test_equal_numbers_of_workers_are_compared_where_the_baseline_runs_on_a_cluster(table):
    runs = table(*(cell(variant, "full", 8, [9], workers=n) for variant in (TF, ONNX) for n in (1, 2, 4)))
    found = named_pairs(runs, TF)
    assert found[:3] == [(f"{TF}/cpu/w{n}/bs8", f"{ONNX}/cpu/w{n}/bs8", BEST_GROUP) for n in (1, 2, 4)]
    # And each against itself with one worker, after them.
    assert set(found[3:]) == {
        (f"{variant}/cpu/w1/bs8", f"{variant}/cpu/w{n}/bs8", BEST_GROUP) for variant in (TF, ONNX) for n in (2, 4)
    }


def test_a_baseline_on_one_node_is_that_of_every_number_of_workers(table):
    runs = table(cell(HF, "full", 8, [9]), *(cell(TF, "full", 8, [9], workers=n) for n in (1, 2)))
    assert named_pairs(runs) == [
        (f"{HF}/cpu/w1/bs8", f"{TF}/cpu/w1/bs8", BEST_GROUP),
        (f"{HF}/cpu/w1/bs8", f"{TF}/cpu/w2/bs8", BEST_GROUP),
        (f"{TF}/cpu/w1/bs8", f"{TF}/cpu/w2/bs8", BEST_GROUP),
    ]
    gate, found = judge(runs)
    assert list(gate.passed) == [True] * 3
    assert list(found.family) == [pairs.PRIMARY, pairs.PRIMARY, pairs.EXPLORATORY]


def test_a_control_and_a_device_are_held_against_the_same_number_of_workers(table):
    twins = (TF, f"{TF}{cells.CONTROL}")
    runs = table(*(cell(variant, "full", 8, [9], workers=n) for variant in twins for n in (1, 2)))
    assert set(named_pairs(runs, TF)) == {
        (f"{TF}/cpu/w1/bs8", f"{TF}{cells.CONTROL}/cpu/w1/bs8", pairs.CONTROL_GROUP),
        (f"{TF}/cpu/w2/bs8", f"{TF}{cells.CONTROL}/cpu/w2/bs8", pairs.CONTROL_GROUP),
        (f"{TF}/cpu/w1/bs8", f"{TF}/cpu/w2/bs8", BEST_GROUP),
    }
    runs = table(cell(TF, "full", 8, [9], device="cpu", workers=1), cell(TF, "full", 8, [9], device="gpu", workers=2))
    assert named_pairs(runs, HF) == []


def test_what_lost_work_on_a_cluster_carries_no_number(table):
    runs = table(flagged(cell(TF, "full", 8, [6, 60, 6], workers=2), b1="work lost"))
    row = analysis.summary(runs).iloc[0]
    assert (row.repeats, row.set_aside, row["median"], row["flags"]) == (2, 1, 6, "work lost")
