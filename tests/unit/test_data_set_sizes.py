"""Data sets of several sizes: whether the size changes the answer, the line through them, and what is drawn of both."""

from __future__ import annotations

import json
import math

import derive_tables
import numpy
import pandas
import pytest
import simulations
from drawn import collisions, words
from example_page import barriers, parsed, write
from example_tables import FIVE, TWO, example, typed

from vitbench import tables
from vitbench.analysis import speedup as speedups
from vitbench.analysis.data_set_sizes import _within, data_set_sizes
from vitbench.analysis.jobs import jobs
from vitbench.analysis.looks import Rule
from vitbench.analysis.pairs import comparisons
from vitbench.analysis.physics import ABOVE
from vitbench.analysis.total_time import MANY, fit, total_time
from vitbench.cells import cell_name
from vitbench.present.charts import data_set_sizes as chart
from vitbench.present.page import break_even

HF, TF = TWO
SIZES = (16, 32, 48, 100, 200)
BEGIN, A_PASS, EACH = 25.0, 0.4, {HF: 0.125, TF: 0.08}
# Of each block, so that no two repeats are the same; what all cells of a block share cancels.
DRIFT = (1.0, 1.01, 0.99, 1.02, 0.985)


def row(variant: str, images: int, block: int, seconds: float, **more) -> dict:
    framework, name = variant.split("/")
    return {
        "source": "live", "machine": "xeon-2", "protocol": 3, "model": "vit-base-seeded", "workers": 1,
        "dataset": f"sizes-photos-{images}", "images": images, "framework": framework, "variant": name, "device": "cpu",
        "batch_size": 8, "repeat": block, "block": block, "status": "ok", "wall_seconds": seconds,
        "throughput": images / seconds, "cold_seconds": seconds + 3, "start_seconds": BEGIN - 8, "load_seconds": 5.0,
        "total_seconds": 60.0, "set_aside_seconds": 0.0, "record": f"{variant}/{images}/rep{block}.json",
    } | more  # fmt: skip


def runs(variants=TWO, sizes=SIZES, blocks=5, noise=0.0, seconds=None) -> pandas.DataFrame:
    """A runs table of seconds on a line, times each block's drift; `seconds` (variant, images) gives others."""
    random = numpy.random.default_rng(1)
    rows = []
    for variant in variants:
        for images in sizes:
            usual = seconds(variant, images) if seconds else A_PASS + EACH[variant] * images
            rows += [
                row(variant, images, block, usual * DRIFT[block] * math.exp(random.normal(0, noise)))
                for block in range(blocks)
            ]
    return typed(rows, "runs")


def flagged(table: pandas.DataFrame, images: int, block: int, **more) -> pandas.DataFrame:
    """The table with other values in the rows of a size and block."""
    there = (table.images == images) & (table.block == block)
    changed = table.copy()
    for column, value in more.items():
        changed.loc[there, column] = value
    return changed


def lines(table: pandas.DataFrame, **more) -> pandas.DataFrame:
    return typed(total_time(table, **more).to_dict("records"), "total_time")


def judged(table: pandas.DataFrame, passed: bool = True) -> pandas.DataFrame:
    """The table `speedup` of these runs, with labels that are the same, or not."""
    gate = [
        {"dataset": one["dataset"], "baseline": cell_name(one), "candidate": cell_name(other), "agreement": 1.0}
        | {"passed": passed, "reason": None if passed else "labels equal for 50.0%, 99% needed"}
        for one, other, _ in comparisons(table, HF)
    ]
    return speedups.speedup(table, HF, pandas.DataFrame(gate))


def by_size(table: pandas.DataFrame, impossible=(), **how) -> pandas.DataFrame:
    found = data_set_sizes(table, judged(table, **how), impossible=impossible)
    return typed(found.to_dict("records"), "data_set_sizes")


# --- the line


def test_the_line_is_recovered_with_its_hours():
    found = lines(runs())
    assert (
        list(found.variant) == ["pipeline", "tensorflow"] and (found.blocks == 5).all() and (found.data_sets == 5).all()
    )
    drift = math.exp(numpy.log(DRIFT).mean())
    for one, variant in zip(found.itertuples(), TWO, strict=True):
        assert one.seconds_an_image == pytest.approx(EACH[variant] * drift)
        assert one.fixed_seconds == pytest.approx(BEGIN + A_PASS * numpy.mean(DRIFT))
        assert one.hours * 3600 == pytest.approx(one.fixed_seconds + MANY * one.seconds_an_image, rel=1e-4)
        assert one.hours_low < one.hours < one.hours_high and one.reason == ""
        assert (
            one.each_low < one.seconds_an_image < one.each_high and one.fixed_low < one.fixed_seconds < one.fixed_high
        )
        assert abs(one.departure) < 1e-9 and one.lack_of_fit_p == 1


def test_the_interval_is_student_s_over_the_blocks():
    """Three blocks that differ by a factor alone: the interval of the slope is that of the factors' logarithms."""
    factors = numpy.array([[0.9], [1.0], [1.2]])
    found = fit(SIZES, factors * (numpy.array(SIZES) * 0.1), numpy.zeros((3, 5)))
    logs = numpy.log(factors)
    half = 4.302652729911275 * logs.std(ddof=1) / math.sqrt(3)  # t of two degrees of freedom, from a table
    assert found.each.low == pytest.approx(0.1 * math.exp(logs.mean() - half))
    assert found.each.high == pytest.approx(0.1 * math.exp(logs.mean() + half))


@pytest.mark.parametrize("blocks", [3, 5])
def test_hours_hold_the_truth_and_a_line_is_seldom_called_bent(blocks):
    found = simulations.fits(blocks, trials=800)
    assert 0.93 <= simulations.hours_coverage(found) <= 0.98  # 95%, but for what 800 trials know
    assert 0.03 <= simulations.called_bent(found) <= 0.07


def test_noise_that_is_a_share_of_the_time_has_its_weights():
    """By plain least squares the largest data set alone would say what a pass costs, by its noise."""
    random, images = numpy.random.default_rng(7), numpy.array(SIZES)
    weighted, plain = [], []
    for _ in range(200):
        passes = (A_PASS + 0.1 * images) * numpy.exp(random.normal(0, 0.04, (5, len(SIZES))))
        weighted.append(fit(SIZES, passes, numpy.zeros_like(passes)).fixed.value)
        plain.append(numpy.polyfit(images, passes.mean(axis=0), 1)[1])
    assert numpy.mean(weighted) == pytest.approx(A_PASS, abs=0.02)
    assert numpy.std(weighted) < 0.6 * numpy.std(plain)


def test_a_bend_that_is_more_than_the_noise_gives_no_hours_but_the_reason():
    def bent(variant, images):
        return EACH[variant] * images * (1.15 if images == 16 else 1.0) + A_PASS

    found = lines(runs(noise=0.004, seconds=bent))
    assert found.hours.isna().all() and found.hours_low.isna().all()
    assert found.reason.str.startswith("no line: ").all() and (found.lack_of_fit_p < 0.05).all()
    assert found.seconds_an_image.notna().all()  # what was measured is still said
    hidden = lines(runs(noise=0.15, seconds=bent))
    assert hidden.hours.notna().all()  # the same bend is within such noise


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"sizes": SIZES[:3]}, "3 sizes, and an interval takes 4"),
        ({"blocks": 1}, "1 block in which every size is usable, and an interval takes 2"),
        ({"sizes": SIZES[:1]}, "no block in which two sizes are usable"),
        ({"sizes": ()}, None),
    ],
)
def test_too_few_sizes_or_blocks_say_so_and_give_no_interval(how, reason):
    found = lines(runs(**how))
    assert list(found.reason) == ([] if reason is None else [reason] * 2)
    assert found[["hours", "hours_low", "fixed_low", "each_low"]].isna().all(axis=None)
    if reason and "no block" not in reason:
        assert found.seconds_an_image.notna().all()


def test_an_interval_that_says_nothing_is_not_said():
    table = runs(blocks=2)
    table.loc[table.block == 1, "wall_seconds"] *= 3
    wild = lines(table)
    assert wild.hours.isna().all() and wild.reason.str.startswith("too noisy").all()
    assert wild.each_high.notna().all() and (wild.lack_of_fit_p == 1).all()


def test_only_blocks_in_which_every_size_is_usable_count():
    table = flagged(flagged(runs(), 48, 1, flags="suspect"), 100, 3, flags="batch size not reached")
    assert set(lines(table).blocks) == {4}
    assert set(lines(flagged(table, 16, 0, flags="images lost")).blocks) == {3}
    gone = table.copy()
    gone.loc[gone.images == 200, "status"] = "oom"
    for one in lines(gone).itertuples():
        assert one.data_sets == 4 and one.largest == 100 and "without a usable repeat: sizes-photos-200" in one.reason
        assert math.isfinite(one.hours)


def test_what_is_faster_than_the_machine_can_be_is_in_no_line():
    impossible = {("sizes-photos-48", f"{TF}/cpu/w1/bs8")}
    first, second = lines(runs(), impossible=impossible).itertuples()
    assert math.isfinite(first.hours) and math.isnan(second.hours) and "sizes-photos-48" in second.reason


def test_sizes_that_are_usable_in_no_block_together_are_named_so():
    table = runs(sizes=SIZES[:2], blocks=2)
    table.loc[(table.images == 16) & (table.block == 0), "flags"] = "suspect"
    table.loc[(table.images == 32) & (table.block == 1), "flags"] = "suspect"
    assert set(lines(table).reason) == {"no block in which every size is usable"}


def test_seconds_that_do_not_grow_are_no_line():
    found = lines(runs(seconds=lambda _, images: 3.0 - images / 1000))
    assert set(found.reason) == {"in block 0 more images take no longer: no line"} and found.hours.isna().all()


def test_runs_of_other_roles_are_in_neither_table():
    other = example(TWO, repeats=5)
    assert total_time(other.runs).empty and data_set_sizes(other.runs, other.speedup).empty


# --- size by size


def test_a_level_speed_is_equivalent_at_every_size():
    found = by_size(runs(noise=0.002, seconds=lambda variant, images: EACH[variant] * images))
    assert len(found) == 10 and list(found.images[:5]) == list(SIZES)
    assert (found.verdict[found.images < 200] == "equivalent").all() and (
        found.verdict[found.images == 200] == ""
    ).all()
    assert found.ratio[found.images < 200].between(0.99, 1.01).all() and found.ratio[found.images == 200].isna().all()
    assert ((found.ratio_low < found.ratio) & (found.ratio < found.ratio_high))[found.images < 200].all()
    pipeline = found[found.variant == "pipeline"]
    assert pipeline.seconds_an_image.to_numpy() == pytest.approx(EACH[HF], rel=0.02)
    assert (
        (pipeline.seconds_low < pipeline.seconds_an_image) & (pipeline.seconds_an_image < pipeline.seconds_high)
    ).all()


def test_a_size_at_which_an_image_takes_longer_is_slower():
    slow = runs(noise=0.002, seconds=lambda variant, images: EACH[variant] * images * (1.25 if images == 16 else 1))
    found = by_size(slow)
    assert set(found.verdict[found.images == 16]) == {"slower"} and set(found.verdict[found.images == 48]) == {
        "equivalent"
    }
    assert found.ratio[found.images == 16].to_numpy() == pytest.approx(1 / 1.25, rel=0.01)


def test_below_five_blocks_there_is_an_interval_and_no_verdict():
    for blocks, known in ((3, True), (1, False)):
        found = by_size(runs(blocks=blocks, noise=0.01))
        small = found[found.images < 200]
        assert set(small.verdict) == {"too few repeats"} and (small.blocks == blocks).all()
        assert small.ratio.notna().all() and small.ratio_low.notna().all() == known


def test_the_ratio_to_the_baseline_stands_at_every_size():
    found = by_size(runs(noise=0.002, seconds=lambda variant, images: EACH[variant] * images))
    baseline, other = found[found.variant == "pipeline"], found[found.variant == "tensorflow"]
    assert baseline.speedup.isna().all() and (baseline.baseline == "").all()
    assert other.speedup.to_numpy() == pytest.approx(EACH[HF] / EACH[TF], rel=0.01)
    assert (other.baseline == f"{HF}/cpu/w1/bs8").all() and (other.speedup_verdict == "faster").all()
    assert ((other.speedup_low < other.speedup) & (other.speedup < other.speedup_high)).all()


def test_other_labels_give_no_ratio_to_the_baseline_but_the_reason():
    found = by_size(runs(), passed=False)
    other = found[found.variant == "tensorflow"]
    assert other.speedup.isna().all() and set(other.speedup_verdict) == {"parity failed"}
    assert other.reason.str.contains("labels equal for 50.0%").all() and other.ratio[other.images < 200].notna().all()


def test_a_size_above_the_machines_peak_has_no_number_and_no_other_is_held_against_it():
    largest = f"sizes-photos-{SIZES[-1]}"
    found = by_size(runs(noise=0.002), impossible={(largest, f"{TF}/cpu/w1/bs8")}).set_index(["variant", "images"])
    above = found.loc[("tensorflow", 200)]
    assert above.blocks == 0 and math.isnan(above.seconds_an_image) and "above the machine's peak" in above.reason
    assert found.loc["pipeline"].ratio.isna().to_dict() == {16: False, 32: False, 48: False, 100: False, 200: True}
    assert found.loc["tensorflow"].ratio.isna().to_dict() == {16: False, 32: False, 48: False, 100: True, 200: True}


def test_what_is_derived_knows_what_is_above_the_peak(tmp_path):
    full = [row(variant, 32, block, EACH[variant] * 32 * DRIFT[block], dataset="full", pass_seconds="3;2")
            for variant in TWO for block in range(5)]  # fmt: skip
    table = pandas.concat([runs(noise=0.002), typed(full, "runs")], ignore_index=True)
    cell = {"framework": "sparknlp", "variant": "tensorflow", "device": "cpu", "workers": 1, "batch_size": 8}
    above = [cell | {"dataset": dataset, "verdict": ABOVE} for dataset in ("full", "sizes-photos-16")]
    given = {
        "runs": table, "physics": typed(above, "physics"), "speedup": judged(table),
        "parity": typed([], "parity").assign(passed=[]),
    }  # fmt: skip
    for name, frame in given.items():
        (tmp_path / f"{name}.csv").write_text(tables.as_csv(frame))
    (tmp_path / "grid.json").write_text(json.dumps({"repeats": 5}))
    out = {name: str(tmp_path / f"derived {name}.csv")
           for name in ("break_even", "batches", "sustained", "data_set_sizes", "total_time")}  # fmt: skip
    paths = {name: str(tmp_path / f"{name}.csv") for name in given} | {"grid": str(tmp_path / "grid.json")}
    derive_tables.main(paths, out)
    assert set(tables.read(out["break_even"], "break_even").verdict) == {"impossible"}
    of_sizes = tables.read(out["data_set_sizes"], "data_set_sizes")
    assert (of_sizes.reason == ABOVE).sum() == 1 and (
        tables.read(out["total_time"], "total_time").hours.isna()
    ).sum() == 1


def test_where_a_control_is_no_equal_of_itself_no_size_is_called_anything():
    controls = [row(variant, 48, block, seconds * DRIFT[block], dataset="full")
                for variant, seconds in ((HF, 6.0), (f"{HF}-control", 4.0)) for block in range(5)]  # fmt: skip
    table = pandas.concat([runs(noise=0.002), typed(controls, "runs")], ignore_index=True)
    judged_here = judged(table)
    assert set(judged_here.verdict[judged_here.family == "control"]) == {"faster"}
    found = by_size(table)
    assert set(found.verdict[found.images < 200]) == {"inconclusive"} and found.ratio[found.images < 200].notna().all()


def test_the_noise_floor_of_the_controls_says_what_is_within_it():
    random = numpy.random.default_rng(3)
    controls = [
        row(variant, 48, block, 6.0 * math.exp(random.normal(0, 0.03)), dataset="full")
        for variant in (HF, f"{HF}-control") for block in range(5)
    ]  # fmt: skip
    table = pandas.concat([runs(noise=0.002), typed(controls, "runs")], ignore_index=True)
    found = by_size(table)
    small = found[found.images < 200]
    assert (small.floor > 1).all() and set(small.within_floor) == {"yes", "no", "not known"}
    # Whoever is surely within it is so with both ends; whoever is surely beyond it, with the nearer one.
    ends = numpy.abs(numpy.log(small[["ratio_low", "ratio_high"]]))
    far, near = ends.max(axis=1) < numpy.log(small.floor), ends.min(axis=1) > numpy.log(small.floor)
    assert far[small.within_floor == "yes"].all() and near[small.within_floor == "no"].all()
    sides = [_within(*given, 1.05, 1.20) for given in (
        (0.98, 1.03), (0.98, 1.10), (1.10, 1.15), (1.25, 1.30), (0.70, 0.80), (0.70, 1.30))]  # fmt: skip
    assert sides == ["yes", "not known", "not known", "no", "no", "not known"]
    assert set(by_size(runs(noise=0.002)).within_floor) == {""}  # nobody knows it


def test_a_size_without_a_usable_repeat_is_a_row_with_its_reason():
    table = runs()
    table.loc[(table.images == 32) & (table.variant == "pipeline"), "status"] = "oom"
    table.loc[(table.images == 48) & (table.variant == "pipeline"), "flags"] = "suspect"
    found = by_size(table).set_index(["variant", "images"])
    assert (
        found.loc[("pipeline", 32), "reason"] == "no repeat worked: oom" and found.loc[("pipeline", 32), "blocks"] == 0
    )
    assert found.loc[("pipeline", 48), "reason"] == "no repeat may carry a claim"
    table.loc[(table.images == 48) & (table.variant == "pipeline") & (table.block == 2), "status"] = "timeout"
    assert by_size(table).set_index(["variant", "images"]).loc[("pipeline", 48), "reason"] == (
        "no repeat may carry a claim"
    )


def test_blocks_that_lack_for_a_verdict_on_one_size_take_the_hours_of_all_sizes():
    table = runs(blocks=3, noise=0.01)
    of_sizes = judged(table)
    a_block = 2 * len(SIZES) * 60.0 / 3600  # each repeat of either variant takes a minute
    assert len(of_sizes) == len(SIZES) and (of_sizes.blocks_needed >= 5).all()
    lacking = of_sizes.blocks_needed - of_sizes.blocks * (of_sizes.growth != "")
    assert of_sizes.hours_needed.to_numpy() == pytest.approx((lacking * a_block).to_numpy())


def test_sizes_turn_no_primary_verdict():
    """The full runs are judged as they are without them."""
    full = example(TWO, repeats=5, floor=1.05).runs
    more = pandas.concat([full, runs(noise=0.02)], ignore_index=True)
    declared = [table[table.family != "exploratory"].reset_index(drop=True) for table in (judged(full), judged(more))]
    pandas.testing.assert_frame_equal(*declared)
    of_sizes = judged(more)
    of_sizes = of_sizes[of_sizes.dataset.str.startswith("sizes-")]
    assert len(of_sizes) == len(SIZES) and set(of_sizes.family) == {"exploratory"}
    assert of_sizes.comparison.is_unique  # each size is a group of its own, named after it


# --- what is drawn and written of them


def drawn(table: pandas.DataFrame, **how):
    context = example(TWO).context
    context["datasets"] |= {f"sizes-photos-{size}": {"name": f"photos-{size}", "images": size} for size in SIZES}
    return chart.draw(by_size(table, **how), lines(table), context)


def five(variant: str, images: int) -> float:
    return (0.1 + FIVE.index(variant) / 50) * images


CASES = {
    "two": lambda: drawn(runs(noise=0.02)),
    "one size": lambda: drawn(runs(sizes=(16,))),
    "bent": lambda: drawn(runs(noise=0.002, seconds=lambda _, images: 0.1 * images**0.9)),
    "five, one block, sizes close together": lambda: drawn(
        runs(FIVE, sizes=(16, 17, 18, 400), blocks=1, seconds=five), passed=False
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_no_text_touches_another_or_the_edge(case, monkeypatch):
    assert collisions(CASES[case](), monkeypatch) == []


def test_the_chart_says_hours_with_their_interval_or_why_there_are_none(monkeypatch):
    table = runs(noise=0.01)
    one = lines(table).iloc[0]
    said = " ".join(words(CASES["two"](), monkeypatch).split())
    assert "hours for a million images" in said and "within the noise" in said and "sizes photos-16, photos-32" in said
    said = words(drawn(table), monkeypatch)
    assert f"{one.hours:.1f} [{one.hours_low:.1f}, {one.hours_high:.1f}]" in said
    assert "no line" in words(CASES["bent"](), monkeypatch)


def test_a_mark_lies_at_its_seconds_an_image():
    table = runs(noise=0.01)
    figure, found = drawn(table), by_size(table)
    (first, second) = figure.axes[0].lines
    for line, variant in ((first, "pipeline"), (second, "tensorflow")):
        rows = found[found.variant == variant]
        assert list(line.get_ydata()) == pytest.approx(list(1000 * rows.seconds_an_image))
        assert list(line.get_xdata()) == pytest.approx(list(rows.images), rel=0.05)


def test_without_sizes_the_chart_says_how_to_get_them(monkeypatch):
    nothing = (typed([], "data_set_sizes"), typed([], "total_time"))
    assert "config/sizes.yaml" in words(chart.draw(*nothing, example(TWO).context), monkeypatch)


def test_the_page_has_a_section_that_everybody_can_read(tmp_path):
    table = runs(noise=0.01)
    more = {"data_set_sizes": by_size(table).to_dict("records"), "total_time": lines(table).to_dict("records")}
    root = parsed(write(tmp_path, example(TWO), **more).read_text())
    assert barriers(root) == []
    (section,) = [node for node in root.all("section") if node.attributes.get("id") == "sizes"]
    hours = lines(table).hours
    assert all(f"{one:.1f} [" in section.text for one in hours) and "How to read it:" in section.text


def test_the_projection_takes_the_line_where_there_is_one():
    full = example(TWO, sizes=(8,)).runs
    table = runs(noise=0.01)

    def arms(total: pandas.DataFrame) -> list[break_even.Arm]:
        return break_even.arms(jobs(full, total, typed([], "parity")), total)

    plain = {arm.name: arm for arm in arms(typed([], "total_time"))}
    known = lines(table)
    for arm in arms(known):
        one = known[known.variant == arm.name.partition(",")[0].partition("/")[2]].iloc[0]
        assert (arm.fixed, arm.each) == (one.fixed_seconds, one.seconds_an_image) != (plain[arm.name].fixed, arm.each)
    bent = lines(runs(noise=0.002, seconds=lambda _, images: 0.1 * images**0.9))
    assert {arm.name: arm for arm in arms(bent)} == plain


def test_the_rule_of_the_sizes_has_a_fixed_number_of_blocks():
    grid = {"margin": 0.1, "most_repeats": 20, "repeats": {"sample": 1, "full": 5, "sizes": 5}, "looks": []}
    assert Rule.of(grid, "sizes") == Rule(0.1) and Rule.of(grid, "sizes-photos-16") == Rule(0.1)
