"""Break-even: planted lines meet where arithmetic says so; what may not be said is not said."""

import math

import pandas
import pytest
from example_tables import typed

from vitbench.analysis.break_even import Line, break_even, full_cells, line, measured_images
from vitbench.analysis.looks import Rule
from vitbench.present.labels import by_hardware

IMAGES, BLOCKS = 100, 5


def repeats(variant: str, fixed: float, each: float, framework="sparknlp", blocks=BLOCKS, **changes) -> list[dict]:
    """Repeats of one full cell: `fixed` seconds of start, load and cold surplus, a third each; `each` an image."""
    warm = each * IMAGES
    row = {
        "dataset": "full", "images": IMAGES, "framework": framework, "variant": variant, "device": "cpu", "workers": 1,
        "batch_size": 8, "status": "ok", "start_seconds": fixed / 3, "load_seconds": fixed / 3, "wall_seconds": warm,
        "cold_seconds": warm + fixed / 3, "pass_seconds": f"{warm + fixed / 3};{warm};{warm}", "flags": "",
    }  # fmt: skip
    return [row | {"repeat": block, "block": block} | changes for block in range(blocks)]


def table(*cells: list[dict], gate=(), control="inconclusive", rule=None, impossible=()) -> pandas.DataFrame:
    """The table of these cells; `control`: the verdict of the A/A control on the CPU."""
    runs = typed([row for cell in cells for row in cell], "runs")
    speedup = typed([{"candidate": "huggingface/a-control/cpu/w1/bs8", "family": "control", "verdict": control}],
                    "speedup")  # fmt: skip
    gate = typed(list(gate), "parity").assign(passed=[row["passed"] for row in gate])
    return break_even(runs, gate, speedup, rule, impossible)


def test_a_line_is_start_load_cold_surplus_and_warm_seconds_an_image():
    found = line(typed(repeats("a", 30, 0.2), "runs"))
    assert found == pytest.approx(Line(30, 0.2))
    assert found.seconds(50) == pytest.approx(40)
    assert measured_images(typed(repeats("a", 30, 0.2), "runs")) == 300


def test_planted_cells_meet_where_they_should():
    (row,) = table(repeats("a", 10, 0.3, "huggingface"), repeats("b", 40, 0.15)).to_dict("records")
    assert row["early"] == "huggingface/a/cpu/w1/bs8" and row["late"] == "sparknlp/b/cpu/w1/bs8"
    assert row["break_even"] == pytest.approx(200)  # (40 - 10) / (0.3 - 0.15)
    assert (row["low"], row["high"]) == pytest.approx((200, 200))
    assert row["verdict"] == "overtakes" and not row["extrapolated"] and row["blocks"] == BLOCKS
    early = row["early_fixed_seconds"] + 200 * row["early_seconds_an_image"]
    assert early == pytest.approx(row["late_fixed_seconds"] + 200 * row["late_seconds_an_image"])


@pytest.mark.parametrize("fixed, extrapolated", [(99, False), (106, True), (23.5, True)])
def test_far_from_what_was_measured_is_extrapolated(fixed, extrapolated):
    # measured: one data set of 100 to a process's 300 images; believed up to 600
    (row,) = table(repeats("a", 10, 0.3), repeats("b", fixed, 0.15)).to_dict("records")
    assert row["break_even"] == pytest.approx((fixed - 10) / 0.15) and row["extrapolated"] is extrapolated
    assert ("extrapolated" in (row["reason"] or "")) is extrapolated


def test_what_only_one_of_both_has_measured_is_not_measured():
    (row,) = table(repeats("a", 10, 0.3), repeats("b", 55, 0.15, pass_seconds="15")).to_dict("records")
    assert row["break_even"] == pytest.approx(300) and row["measured_images"] == 100 and row["extrapolated"]


def test_who_starts_later_and_is_slower_never_catches_up():
    (row,) = table(repeats("a", 10, 0.15), repeats("b", 40, 0.3)).to_dict("records")
    assert row["verdict"] == "never" and row["blocks_never"] == BLOCKS
    assert [row[column] for column in ("break_even", "low", "high")] == [None] * 3


def test_the_range_is_that_of_the_blocks_each_with_its_own_times():
    late = repeats("b", 40, 0.15)
    late[0]["start_seconds"] += 15  # in this block alone it meets 100 images later
    (row,) = table(repeats("a", 10, 0.3), late).to_dict("records")
    assert row["break_even"] == pytest.approx(200)
    assert (row["low"], row["high"]) == pytest.approx((200, 300))


def test_repeats_of_one_side_alone_do_not_move_the_number_out_of_its_range():
    alone = [row | {"block": row["block"] + BLOCKS} for row in repeats("b", 40, 0.2, blocks=4)]
    (row,) = table(repeats("a", 10, 0.3), repeats("b", 40, 0.15, blocks=3) + alone).to_dict("records")
    assert row["blocks"] == 3 and row["break_even"] == pytest.approx(300)  # the median is that of the four alone
    assert row["low"] == pytest.approx(200) and row["low"] <= row["break_even"] <= row["high"]


def test_blocks_that_disagree_have_no_upper_end_and_the_interval_decides():
    late = repeats("b", 40, 0.15)
    late[2] |= {"wall_seconds": 40.0, "cold_seconds": 53.0}  # slower than the early one's 30
    (row,) = table(repeats("a", 10, 0.3), late).to_dict("records")
    assert row["verdict"] == "uncertain" and "times as fast an image" in row["reason"]
    assert row["blocks_never"] == 1 and row["high"] is None and row["low"] == pytest.approx(200)


@pytest.mark.parametrize(("each", "verdict"), [(0.27, "overtakes"), (0.295, "uncertain"), (0.33, "never")])
def test_the_verdict_is_that_of_the_seconds_an_image(each, verdict):
    (row,) = table(repeats("a", 10, 0.30), repeats("b", 40, each)).to_dict("records")
    assert row["verdict"] == verdict and (verdict != "uncertain" or "equivalent" in row["reason"])
    wider = table(repeats("a", 10, 0.30), repeats("b", 40, each), rule=Rule(margin=0.2))
    assert wider.verdict[0] == "uncertain"


def test_where_the_control_differs_from_itself_nothing_is_claimed():
    (row,) = table(repeats("a", 10, 0.3), repeats("b", 40, 0.15), control="slower").to_dict("records")
    assert row["verdict"] == "uncertain" and "control" in row["reason"]


def test_the_pairs_of_the_table_are_a_family():
    """One certain difference among many pairs of cells that only just differ is not enough."""

    def noisy(variant: str, times: list[float]) -> list[dict]:
        rows = repeats(variant, 10, 0.3)
        return [
            row | {"wall_seconds": 30 * factor, "cold_seconds": 40.0} for row, factor in zip(rows, times, strict=True)
        ]

    weak = noisy("a", [1, 1.01, 0.99, 1, 1]), noisy("b", [0.93, 0.96, 0.87, 0.94, 0.9])
    assert table(*weak).verdict[0] == "overtakes"
    others = [noisy(f"c{number}", [1, 0.99, 1.01, 1, 1]) for number in range(6)]
    among = table(*weak, *others)
    wanted = {"sparknlp/a/cpu/w1/bs8", "sparknlp/b/cpu/w1/bs8"}
    (row,) = [row for row in among.itertuples() if {row.early, row.late} == wanted]
    assert row.verdict == "uncertain" and "Holm" in row.reason


def test_below_five_blocks_there_is_no_verdict():
    (row,) = table(repeats("a", 10, 0.3, blocks=4), repeats("b", 40, 0.15, blocks=4)).to_dict("records")
    assert row["verdict"] == "too few repeats" and row["break_even"] == pytest.approx(200)


@pytest.mark.parametrize("flag", ["suspect", "no steady state", "images lost;suspect"])
def test_repeats_set_aside_and_the_control_do_not_enter(flag):
    wrong = repeats("b", 400, 0.01, blocks=1, flags=flag)
    control = repeats("a-control", 10, 0.3)
    (row,) = table(repeats("a", 10, 0.3), repeats("b", 40, 0.15), wrong, control).to_dict("records")
    assert row["break_even"] == pytest.approx(200) and row["blocks"] == BLOCKS


def test_another_device_or_data_set_is_no_partner():
    gpu = repeats("b", 40, 0.01, device="gpu")
    sample = repeats("c", 40, 0.01, dataset="sample")
    assert table(repeats("a", 10, 0.3), gpu, sample).empty


def test_a_pair_whose_labels_differ_has_no_number_not_even_through_the_baseline():
    names = [f"sparknlp/{variant}/cpu/w1/bs8" for variant in "abc"]
    gate = [
        {"dataset": "full", "baseline": names[0], "candidate": names[1], "passed": True, "reason": ""},
        {"dataset": "full", "baseline": names[0], "candidate": names[2], "passed": False, "reason": "2 images lost"},
    ]
    found = table(repeats("a", 10, 0.3), repeats("b", 40, 0.15), repeats("c", 50, 0.1), gate=gate)
    verdicts = {frozenset((row.early, row.late)): row for row in found.itertuples()}
    assert verdicts[frozenset(names[:2])].verdict == "overtakes"
    for pair in (names[0], names[2]), (names[1], names[2]):
        row = verdicts[frozenset(pair)]
        assert row.verdict == "parity failed" and "2 images lost" in row.reason and math.isnan(row.break_even)


def test_a_cell_above_the_machines_peak_has_no_number_and_is_named():
    late = "sparknlp/b/cpu/w1/bs8"
    rows = table(
        *(repeats("a", 10, 0.3), repeats("b", 40, 0.15), repeats("c", 20, 0.2)), impossible={("full", late)}
    ).to_dict("records")
    assert [row["verdict"] for row in rows] == ["impossible", "overtakes", "impossible"]
    above = [row for row in rows if row["verdict"] == "impossible"]
    assert all(late in row["reason"] and pandas.isna(row["break_even"]) for row in above)


def test_labels_that_nobody_could_compare_in_one_pair_do_not_fail_those_that_others_confirm():
    a, b, c = (f"sparknlp/{name}/cpu/w1/bs8" for name in "abc")
    known = {"dataset": "full", "baseline": a}
    nothing = {"passed": False, "compared": 0, "reason": "nothing to compare"}
    good = {"passed": True, "compared": 6}
    cells = repeats("a", 10, 0.3), repeats("b", 40, 0.15), repeats("c", 20, 0.2)
    gate = [known | {"candidate": b} | good, known | {"candidate": c} | good,
            known | {"baseline": "sparknlp/c/gpu/w1/bs8", "candidate": c} | nothing]  # fmt: skip
    assert list(table(*cells, gate=gate).verdict) == ["overtakes"] * 3
    gate[1] |= nothing
    found = table(*cells, gate=gate).to_dict("records")
    assert [row["verdict"] for row in found] == ["overtakes", "parity failed", "parity failed"]
    assert all(row["reason"] == f"{c}: its labels were not compared" for row in found[1:])


def test_a_cell_whose_labels_differ_on_other_hardware_alone_keeps_its_numbers():
    a, b, c = (f"sparknlp/{name}/cpu/w1/bs8" for name in "abc")
    good = {"dataset": "full", "baseline": a, "passed": True, "compared": 6}
    elsewhere = {"dataset": "full", "baseline": b, "candidate": "sparknlp/b/gpu/w1/bs8", "compared": 6}
    gate = [good | {"candidate": b}, good | {"candidate": c}, elsewhere | {"passed": False, "reason": "labels differ"}]
    found = table(repeats("a", 10, 0.3), repeats("b", 40, 0.15), repeats("c", 20, 0.2), gate=gate)
    assert list(found.verdict) == ["overtakes"] * 3 and found.break_even.notna().all()


def test_cells_that_were_held_against_themselves_alone_were_not_compared_with_each_other():
    """On a device without the baseline each has only the pair with itself on the CPU."""
    pair = {"dataset": "full", "passed": True, "compared": 6}
    gate = [pair | {"baseline": f"sparknlp/{name}/cpu/w1/bs8", "candidate": f"sparknlp/{name}/gpu/w1/bs8"}
            for name in "ab"]  # fmt: skip
    (row,) = table(repeats("a", 10, 0.3, device="gpu"), repeats("b", 40, 0.15, device="gpu"), gate=gate).itertuples()
    assert row.verdict == "parity failed" and "its labels were not compared" in row.reason


def test_without_a_usable_repeat_there_is_no_row():
    assert table(repeats("a", 10, 0.3), repeats("b", 40, 0.15, status="oom")).empty
    assert table(repeats("a", 10, 0.3), repeats("b", 40, 0.15, flags="suspect")).empty


def test_what_is_a_pair_stands_in_one_panel_and_a_part_of_the_machine_in_another():
    """One worker with half of the cores, two of them, and one node, of which the last two are compared."""
    inside = {"framework": "spark-huggingface", "machines": 1}
    node = repeats("a", 10, 0.3, "huggingface", cores=2, machines=1)
    one, two = (repeats("b", 40, 0.3 / n, **inside, workers=n, cores=n) for n in (1, 2))
    (row,) = table(node, one, two).to_dict("records")
    panels = by_hardware(full_cells(typed([*node, *one, *two], "runs")))
    assert {title: len(members) for title, members in panels.items()} == {"CPU, 2 cores": 2, "CPU, 1 core": 1}
    assert {row["early"], row["late"]} == panels["CPU, 2 cores"].keys()
    alone = by_hardware(full_cells(typed([*node, *repeats("c", 1, 0.1, device="gpu")], "runs")))
    assert list(alone) == ["CPU", "GPU"]
