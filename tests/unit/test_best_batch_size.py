"""Which batch size is best, and why."""

from __future__ import annotations

import json

import choose_batch_size
import numpy as np
import pandas
import pytest
from example_records import example_record
from example_runs import HF, ONNX, TF, cell, choose, skipped

from vitbench.analysis import best_batch_size
from vitbench.records import record as records


def test_the_fastest_batch_size_is_best(table):
    def sweep(count: int):
        sizes = {1: 9, 8: 5, 16: 7}
        return table(*(cell(HF, "sample", size, [seconds] * count) for size, seconds in sizes.items()))

    few, enough = choose(sweep(3)), choose(sweep(5))
    assert (few["batch_size"], few["median"]) == (enough["batch_size"], enough["median"]) == (8, 5)
    assert "too few repeats" in few["reason"] and enough["reason"] == "fastest, confirmed"


def test_below_five_blocks_the_fastest_is_best_however_near_a_smaller_one_is(table):
    found = choose(table(cell(HF, "sample", 1, [5.01, 5.01, 5.01]), cell(HF, "sample", 8, [5, 5, 5])))
    assert found["batch_size"] == 8


def test_a_noisy_smaller_size_is_no_equivalent_one(table):
    """As no-oneDNN at 1 beside 8: 9% slower, and so noisy that no test tells them apart."""
    noisy, steady = [5.9, 5.0, 5.9, 4.8, 5.9], [5.0, 5.05, 4.95, 5.0, 5.0]
    found = choose(table(cell(HF, "sample", 1, noisy), cell(HF, "sample", 8, steady)))
    assert found["batch_size"] == 8 and "not shown to be faster than 1" in found["reason"]


def test_the_smallest_that_is_equivalent_by_test_is_best(table):
    steady = np.array([5.0, 5.05, 4.95, 5.0, 5.0])
    near, far = [1.02 * steady[::-1], 1.03 * steady], 1.08 * steady
    runs = table(
        cell(HF, "sample", 1, far.tolist()),
        cell(HF, "sample", 8, near[0].tolist()),
        cell(HF, "sample", 16, near[1].tolist()),
        cell(HF, "sample", 32, steady.tolist()),
    )
    found = choose(runs)
    assert found["batch_size"] == 8 and "equivalent to the fastest, 32" in found["reason"]
    assert best_batch_size.choose_batch_size(runs, margin=0.15)["batch_size"] == 1


@pytest.mark.parametrize(("margin", "best"), [(0.05, 8), (0.005, 32)])
def test_the_margin_that_is_configured_decides_the_choice_and_the_table(table, tmp_path, margin, best):
    steady = [5.0, 5.05, 4.95, 5.0, 5.0]
    sizes = {8: [1.02 * seconds for seconds in steady[::-1]], 32: steady}
    runs = table(*(cell(HF, "sample", size, seconds) for size, seconds in sizes.items()))
    assert best_batch_size.best_batch_sizes(runs, margin).batch_size.item() == best
    paths = []
    for size, times in sizes.items():
        for block, seconds in enumerate(times):
            paths.append(tmp_path / f"bs{size}" / f"rep{block}.json")
            same = {"batch_size": size, "effective_batch_size": size, "block": block, "repeat": block}
            records.write(paths[-1], example_record(wall_seconds=seconds, throughput=6 / seconds, **same))
    choose_batch_size.main(paths, list(sizes), margin, tmp_path / "choice.json")
    assert json.loads((tmp_path / "choice.json").read_text())["batch_size"] == best


def test_without_a_sweep_the_one_size_that_was_named_is_taken(tmp_path):
    choose_batch_size.main([], [16], 0.05, tmp_path / "choice.json")
    choice = json.loads((tmp_path / "choice.json").read_text())
    assert (choice["batch_size"], choice["median"], choice["records"]) == (16, None, [])
    with pytest.raises(ValueError):
        choose_batch_size.main([], [8, 16], 0.05, tmp_path / "other.json")
    assert not (tmp_path / "other.json").exists()


def test_a_size_that_was_never_measured_in_a_block_of_the_fastest_is_named_and_confirms_nothing(table):
    never = choose(table(cell(HF, "sample", 1, [9, None]), cell(HF, "sample", 8, [None, 5])))
    assert never["batch_size"] == 8 and never["reason"] == "fastest, but without a common block with 1"
    five = [5, 5.1, 4.9, 5, 5]
    sizes = {1: [None] * 5 + [9], 8: [*five, None], 16: [7, 7.1, 6.9, 7, 7, None]}
    some = choose(table(*(cell(HF, "sample", size, seconds) for size, seconds in sizes.items())))
    assert some["batch_size"] == 8 and some["reason"] == "fastest, but without a common block with 1"


def test_a_larger_size_that_is_as_good_is_not_better(table):
    steady = [5.0, 5.05, 4.95, 5.0, 5.0]
    larger = [1.02 * seconds for seconds in steady[::-1]]
    assert choose(table(cell(HF, "sample", 8, steady), cell(HF, "sample", 16, larger)))["batch_size"] == 8


def test_a_slow_moment_of_the_machine_does_not_choose(table):
    """16 was measured in a slow third block that 8 lacks: only blocks that both have are compared."""
    found = choose(table(cell(HF, "sample", 8, [5, 5, None]), cell(HF, "sample", 16, [4.8, 4.8, 9])))
    assert found["batch_size"] == 16


def test_batch_sizes_that_came_to_the_same_batches_are_one_cell(table):
    """Here 32 and 64 were both cut to 32 by the partitions: 64 seems the fastest by luck alone."""
    runs = table(
        cell(TF, "sample", 8, [6, 6, 6]),
        cell(TF, "sample", 32, [5, 5, 5]),
        cell(TF, "sample", 64, [4, 4, 4], effective=32),
    )
    found = choose(runs)
    assert (found["batch_size"], found["median"]) == (32, 5)
    assert found["reason"].startswith("fastest") and found["reason"].endswith("the same batches as a smaller one: 64")


def test_batch_sizes_that_failed_are_ignored(table):
    runs = table(
        cell(HF, "sample", 1, [9, 9, 9]), cell(HF, "sample", 8, [8, None, 8]), cell(HF, "sample", 16, [None] * 3)
    )
    found = choose(runs)
    assert (found["batch_size"], found["median"]) == (8, 8)
    assert choose(table(cell(HF, "sample", 1, [9, 9, 9]), cell(HF, "sample", 8, [None] * 3)))["batch_size"] == 1


def test_a_batch_size_that_loses_images_is_not_chosen_for_its_speed(table):
    lossy = cell(HF, "sample", 8, [2, 2, 2], flags="images lost")
    found = choose(table(cell(HF, "sample", 1, [9, 9, 9]), lossy))
    assert found["batch_size"] == 1


def test_if_no_batch_size_worked_there_is_none_and_a_reason(table):
    found = choose(table(cell(HF, "sample", 1, [None] * 3), cell(HF, "sample", 8, [None] * 3)))
    assert found == {"batch_size": None, "median": None, "reason": "no batch size of the sweep worked"}


def test_best_batch_sizes_say_what_is_kept_and_when_the_sweep_would_now_choose_otherwise(table):
    runs = table(
        cell(HF, "sample", 1, [9, 9, 9]),
        cell(HF, "sample", 8, [5, 5, 5]),
        cell(HF, "full", 1, [8, 8, 8]),
        cell(TF, "sample", 8, [4, 4, 4]),
        cell(TF, "full", 8, [6, 6, 6]),
        cell(ONNX, "sample", 8, [None] * 3),
        cell(ONNX, "full", None, [None] * 3, statuses=dict.fromkeys(range(3), "error")),
    )
    found = best_batch_size.best_batch_sizes(runs).set_index("variant")
    assert list(found.columns) == ["framework", "device", "workers", "batch_size", "median", "kept", "reason"]
    assert (found.batch_size["pipeline"], found.kept["pipeline"]) == (8, 1)
    assert "the full run keeps 1" in found.reason["pipeline"]
    assert (found.batch_size["tensorflow"], found.kept["tensorflow"]) == (8, 8)
    assert found.reason["tensorflow"] == "the only one"
    assert pandas.isna(found.batch_size["onnx"]) and pandas.isna(found.kept["onnx"])


def test_a_size_whose_repeats_were_all_set_aside_is_named(table):
    sweep = table(cell(HF, "sample", 1, [9]), cell(HF, "sample", 8, [5], flags="suspect"))
    choice = best_batch_size.choose_batch_size(sweep)
    assert choice["batch_size"] == 1 and "without a usable repeat: 8" in choice["reason"]


def test_best_batch_sizes_leave_out_what_was_skipped(table):
    runs = table(cell(HF, "sample", 1, [9, 9, 9]), skipped(TF, "sample", 1), skipped(TF, "full", None))
    assert list(best_batch_size.best_batch_sizes(runs).variant) == ["pipeline"]
