"""From the runs table to the summary: a row a cell, what is set aside, and the A/A controls."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
from example_runs import HF, ONNX, TF, cell, choose, flagged, judge, skipped
from scipy import stats

from vitbench import cells, tables
from vitbench.analysis import best_batch_size, pairs
from vitbench.analysis import summary as analysis


def test_summary_has_a_row_a_cell_with_median_range_and_spread(table):
    runs = table(cell(HF, "sample", 1, [4, 5, 9]), cell(HF, "sample", 8, [2, 2, 2]), cell(TF, "sample", 1, [3, 3, 4]))
    found = analysis.summary(runs)
    assert [cells.cell_name(row) for row in found.to_dict("records")] == [
        f"{HF}/cpu/w1/bs1", f"{HF}/cpu/w1/bs8", f"{TF}/cpu/w1/bs1",
    ]  # fmt: skip
    first = found.iloc[0]
    assert (first.status, first.repeats, first["median"], first.low, first.high) == ("ok", 3, 5, 4, 9)
    assert first.cv == pytest.approx(np.std([4, 5, 9], ddof=1) / 6) and found.iloc[1].cv == 0
    assert first.throughput == pytest.approx(4 / 5)
    assert (first.throughput_low, first.throughput_high) == (pytest.approx(4 / 9), pytest.approx(1))
    assert (first.cold_median, first.start_median, first.load_median) == (7.5, 2, 3)
    assert set(tables.COLUMNS["summary"]) <= set(found.columns)


def test_summary_counts_only_what_is_ok_and_names_the_commonest_failure(table):
    failures = {0: "error", 1: "timeout", 2: "timeout"}
    runs = table(
        cell(HF, "sample", 1, [None, 5, 7]),
        cell(HF, "sample", 8, [None] * 3, statuses=failures),
        skipped(TF, "sample", 1),
    )
    found = analysis.summary(runs)
    assert list(found.status) == ["ok", "timeout", "skipped"] and list(found.repeats) == [2, 0, 0]
    assert found["median"][0] == 6 and found["median"][1:].isna().all()
    assert (found.low[0], found.high[0]) == (5, 7)


def test_summary_gathers_the_flags_of_all_repeats(table):
    rows = cell(HF, "sample", 1, [4, 5, 6])
    rows[0]["flags"], rows[2]["flags"] = "no steady state", "images lost;no steady state"
    assert analysis.summary(table(rows)).iloc[0]["flags"] == "images lost;no steady state"


def test_the_time_budget_adds_up_and_leaves_out_interruptions(table):
    """Three repeats of 20 s: 2 s start, 3 s load, 10 s passes, 1 s quiet; the second was measured twice."""
    repeats = cell(HF, "full", 8, [4, 4, 4], pass_seconds="6;4", quiet_seconds=1.0, set_aside_seconds=0.0)
    for row, started in zip(repeats, ("12:00:00", "12:00:45", "13:00:00"), strict=True):
        row["started"] = f"2026-11-24T{started}+00:00"
    repeats[1]["set_aside_seconds"] = 23.0  # began at 12:00:22, two seconds after the first had ended
    budget = analysis.time_budget(table(repeats, skipped(TF, "full", 8))).set_index("part")
    assert dict(budget.seconds) == {
        "start": 6, "load": 9, "passes": 30, "quiet": 3, "attempts set aside": 23,
        "own overhead": 3 * 4 + 2, "total": 85,
    }  # fmt: skip
    assert budget.share["own overhead"] == pytest.approx(14 / 85) and budget.share.iloc[:-1].sum() == pytest.approx(1)


def test_what_is_suspect_or_never_steady_carries_no_number(table):
    rows = flagged(
        cell(HF, "full", 8, [6, 99, 50, 8]), b1="suspect", b2="no steady state;images lost", b3="images lost"
    )
    row = analysis.summary(table(rows)).iloc[0]
    assert (row.repeats, row.set_aside, row["median"], row.low, row.high) == (2, 2, 7, 6, 8)
    assert row["flags"] == "images lost;no steady state;suspect"


def test_a_cell_without_a_usable_repeat_shows_what_it_has_and_claims_nothing(table):
    doubtful = flagged(cell(TF, "full", 8, [3, 4]), b0="suspect", b1="no steady state")
    runs = table(cell(HF, "full", 8, [6, 6]), doubtful)
    row = analysis.summary(runs).iloc[1]
    assert (row.status, row.repeats, row.set_aside, row["median"]) == ("ok", 0, 2, 3.5)
    _, speedups = judge(runs)
    assert pandas.isna(speedups.iloc[0].speedup) and speedups.iloc[0].verdict == "too few repeats"
    assert speedups.iloc[0].reason == "no block in which both were usable"


def test_only_blocks_in_which_both_are_usable_are_compared(table):
    runs = table(
        flagged(cell(HF, "full", 8, [6, 60, 6, 6, 6]), b1="suspect"),
        flagged(cell(TF, "full", 8, [3, 3, 30, 3, 3]), b2="no steady state"),
    )
    row = judge(runs)[1].iloc[0]
    assert (row.blocks, row.verdict) == (3, "too few repeats")
    assert (row.speedup, row.low, row.high) == pytest.approx((2, 2, 2))
    # The rates shown are those of usable repeats too.
    assert (row.baseline_throughput, row.candidate_throughput) == (1, 2)


def test_a_batch_size_is_not_chosen_by_a_suspect_repeat(table):
    runs = table(cell(HF, "sample", 1, [4, 4, 4]), flagged(cell(HF, "sample", 8, [1, 8, 8]), b0="suspect"))
    assert choose(runs)["batch_size"] == 1


CONTROL = "huggingface/pipeline-control"


def test_the_control_is_compared_in_a_row_of_its_own_and_is_no_variant(table):
    runs = table(cell(HF, "full", 8, [6] * 5), cell(CONTROL, "full", 8, [6.3] * 5), cell(TF, "full", 8, [5.0] * 5))
    gate, speedups = judge(runs)
    assert list(speedups.comparison) == [pairs.BEST_GROUP, pairs.CONTROL_GROUP]
    assert gate.passed.all()
    assert list(best_batch_size.best_batch_sizes(runs).variant) == ["pipeline", "tensorflow"]


def test_each_framework_has_its_control_and_their_noise_is_pooled(table):
    spread = [6.0, 6.3, 5.7, 6.1, 5.9]
    runs = table(
        cell(HF, "full", 8, [6.0] * 5), cell(TF, "full", 8, [5.0] * 5), cell(ONNX, "full", 8, [5.0] * 5),
        cell(CONTROL, "full", 8, spread), cell(TF + cells.CONTROL, "full", 8, [5 / 6 * one for one in spread]),
    )  # fmt: skip
    speedups = judge(runs)[1]
    controls = speedups[speedups.family == "control"]
    assert [(row.baseline.split("/")[1], row.candidate.split("/")[1]) for row in controls.itertuples()] == [
        ("pipeline", "pipeline-control"), ("tensorflow", "tensorflow-control"),
    ]  # fmt: skip
    assert not speedups[speedups.family != "control"].candidate.str.contains(cells.CONTROL).any()
    logs = np.log(6 / np.array(spread))
    floor = np.exp(stats.t.isf(0.025, 8) * logs.std(ddof=1) / np.sqrt(5))
    assert speedups.floor.to_numpy() == pytest.approx(floor)
    assert (speedups.floor_low < speedups.floor).all() and (speedups.floor < speedups.floor_high).all()


def test_no_verdict_rests_on_the_floor(table):
    """A wild control widens the floor; what its own interval says of a pair stays."""
    fast = [6 / 1.2 * one for one in (1, 1.001, 0.999, 1, 1)]
    cells_ = cell(HF, "full", 8, [6.0] * 5), cell(TF, "full", 8, fast)
    wild = judge(table(*cells_, cell(CONTROL, "full", 8, [4.0, 9.0, 6.0, 4.5, 8.0])))[1]
    assert wild.iloc[0].floor > 1.2 and wild.iloc[0].verdict == "faster" == judge(table(*cells_))[1].iloc[0].verdict


@pytest.mark.parametrize("control", [[6.6, 6.7, 6.6, 6.5, 6.6], [5.4, 5.5, 5.4, 5.4, 5.3]])
def test_where_a_control_differs_from_itself_no_claim_of_its_device_stands(table, control):
    gpu = {"device": "gpu"}
    runs = table(
        cell(HF, "full", 8, [6.0] * 5), cell(TF, "full", 8, [3.0] * 5), cell(ONNX, "full", 8, [6.01] * 5),
        cell(CONTROL, "full", 8, control), cell(HF, "full", 8, [2.0] * 5, **gpu), cell(TF, "full", 8, [1.0] * 5, **gpu),
        cell(HF, "sample", 8, [6.0] * 5), cell(TF, "sample", 8, [3.0] * 5),
    )  # fmt: skip
    found = judge(runs)[1]
    assert found[found.family == "control"].verdict.item() in ("faster", "slower")
    cpu = found[(found.family != "control") & ~found.candidate.str.contains("/gpu/")]
    assert len(cpu) == 3 and set(cpu.verdict) == {"inconclusive"}
    assert cpu.reason.str.contains("no claim of this device is to be believed").all()
    same_device = found[found.baseline.str.contains("/gpu/")]
    assert list(same_device.verdict) == ["faster"]  # its own control is another
    across = found[found.baseline.str.contains("/cpu/") & found.candidate.str.contains("/gpu/")]
    assert len(across) == 2 and set(across.verdict) == {"inconclusive"}
    assert across.reason.str.contains("no claim of this device is to be believed").all()


def test_a_comparison_between_two_devices_has_no_floor(table):
    """Each device has one of its own."""
    spread, gpu = [6.0, 6.3, 5.7, 6.1, 5.9], {"device": "gpu"}
    runs = table(
        cell(HF, "full", 8, [6.0] * 5), cell(CONTROL, "full", 8, spread),
        cell(HF, "full", 8, [2.0] * 5, **gpu), cell(CONTROL, "full", 8, [one / 3 for one in spread], **gpu),
    )  # fmt: skip
    found = judge(runs)[1]
    across = found.baseline.str.contains("/cpu/") & found.candidate.str.contains("/gpu/")
    assert across.sum() == 1 and found[across][["floor", "floor_low", "floor_high"]].isna().all(axis=None)
    assert (~across).sum() == 2 and found[~across].floor.notna().all()


def test_the_control_does_not_count_among_the_comparisons_of_holm(table):
    cells = [cell(HF, "full", 8, [6.0, 6.1, 6.0, 6.1, 6.0]), cell(TF, "full", 8, [5.5, 5.6, 5.7, 5.5, 5.6])]
    without = judge(table(*cells))[1]
    with_it = judge(table(*cells, cell(CONTROL, "full", 8, [6.1, 6.0, 6.0, 6.1, 6.0])))[1]
    assert with_it.iloc[0].p_holm == without.iloc[0].p_holm
