"""Two sets of records: what changed is found, what did not is not claimed, and what may not be compared is refused."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import compare_records
import judge_comparison
import numpy
import pandas
import planted
import pytest
import tabulate_comparison
from drawn import collisions, words
from exchange import swap, swapped
from scipy import stats

from vitbench import tables
from vitbench.analysis.looks import ALPHA, Rule
from vitbench.analysis.sets import CELL, Set, common_shift, compare_sets, refuse_different
from vitbench.analysis.statistics import Noise, compare, compare_unpaired, detectable
from vitbench.cells import CONTROL
from vitbench.errors import UserError
from vitbench.plan.grid import Grid
from vitbench.present import comparison
from vitbench.present.charts import compare as chart

MARGIN, REPEATS = 0.05, 6
SLOW = "sparknlp/tensorflow"


@pytest.fixture(scope="module")
def planted_run(tmp_path_factory) -> Path:
    """The working directory of a finished run of six blocks."""
    grid = Grid(planted.CONFIG | {"repeats": REPEATS, "profile": False})
    return planted.plant_run(tmp_path_factory.mktemp("sets") / "old", grid)


@pytest.fixture(scope="module")
def old(planted_run, tmp_path_factory) -> Set:
    """These records as a set."""
    out = tmp_path_factory.mktemp("table") / "runs.csv"
    return tabulate_comparison.read_set(tabulate_comparison.open_archive(planted_run), "old", out)[0]


def again(old: Set, seed: int = 1, noise: float = 0.01, slower: dict[str, float] | None = None) -> Set:
    """The set as another day would measure it: other noise, and variants (and controls) so many times as slow."""
    random = numpy.random.default_rng(seed)
    runs = old.runs.copy()
    factor = numpy.exp(random.normal(0, noise, len(runs)))
    for variant, times in (slower or {}).items():
        named = runs.framework + "/" + runs.variant
        factor[(named == variant) | (named == variant + CONTROL)] *= times
    runs["wall_seconds"] *= factor
    runs["throughput"] /= factor
    canaries = [
        one | {part: one[part] * math.exp(random.normal(0, 0.01)) for part in ("gemm_gflops", "decode_per_second")}
        for one in old.canaries
    ]
    return replace(old, name="new", runs=runs, canaries=canaries)


def cells(table: pandas.DataFrame) -> pandas.DataFrame:
    found = table[table.kind == CELL].copy()
    found["name"] = found.candidate.where(found.candidate != "", found.baseline)
    return found


def read(table: pandas.DataFrame, folder: Path) -> pandas.DataFrame:
    """The table as page and chart read it."""
    (folder / "compare.csv").write_text(tables.as_csv(table))
    return tables.read(folder / "compare.csv")


# --- the estimator


def test_an_unpaired_ratio_is_the_one_of_welch_s_test():
    random = numpy.random.default_rng(3)
    one, two = random.lognormal(1, 0.02, 7), random.lognormal(1.1, 0.06, 11)
    found = compare_unpaired(one, two)
    theirs = stats.ttest_ind(numpy.log(one), numpy.log(two), equal_var=False)
    interval = theirs.confidence_interval(1 - ALPHA)
    assert found.p == pytest.approx(theirs.pvalue) and found.freedom == pytest.approx(theirs.df)
    assert (found.low, found.high) == pytest.approx((math.exp(interval.low), math.exp(interval.high)))
    assert found.ratio == pytest.approx(math.exp(numpy.log(one).mean() - numpy.log(two).mean()))
    assert found.blocks == 7 and found.faster_blocks is None


def test_paired_and_unpaired_give_one_ratio_and_a_shared_drift_widens_the_unpaired_alone():
    random = numpy.random.default_rng(4)
    drift = random.normal(0, 0.1, 8)
    one, two = (numpy.exp(drift + random.normal(0, 0.01, 8)) for _ in range(2))
    paired, unpaired = compare(dict(enumerate(one)), dict(enumerate(two))), compare_unpaired(one, two)
    assert paired.ratio == pytest.approx(unpaired.ratio)
    assert unpaired.high / unpaired.low > 1.1 > paired.high / paired.low


def test_swapping_the_sides_turns_the_ratio_round():
    random = numpy.random.default_rng(5)
    one, two = random.lognormal(1, 0.02, 6), random.lognormal(1.2, 0.03, 9)
    there, back = compare_unpaired(one, two), compare_unpaired(two, one)
    assert (back.ratio, back.low, back.high) == pytest.approx((1 / there.ratio, 1 / there.high, 1 / there.low))
    assert (there.verdict, back.verdict) == ("slower", "faster") and there.p == pytest.approx(back.p)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_below_five_repeats_on_a_side_there_is_a_range_and_no_verdict(count):
    found = compare_unpaired([1.0, 1.1, 1.2, 1.3, 1.4, 1.5], [2.0, 2.2, 2.4, 2.6][:count])
    assert found.verdict == "too few repeats" and found.p is None
    last = [2.0, 2.2, 2.4, 2.6][count - 1]
    assert (found.low, found.high) == pytest.approx((1.0 / last, 1.5 / 2.0))
    assert math.isfinite(found.error) == (count > 1)


def test_repeats_that_are_equal_to_the_last_digit_are_equal():
    assert compare_unpaired([2.0] * 5, [2.0] * 5).verdict == "equivalent"
    assert compare_unpaired([2.0] * 5, [1.0] * 5).verdict == "faster"


def test_a_side_without_a_repeat_is_no_comparison():
    with pytest.raises(ValueError, match="without a repeat"):
        compare_unpaired([], [1.0])


def test_equal_cells_are_seldom_called_different_and_cells_at_the_margin_seldom_equivalent():
    """Unequal numbers and noises, where a pooled t test would err: the share of false claims stays at its level."""
    random, trials = numpy.random.default_rng(20261126), 4000
    found = {"different": 0, "equivalent": 0}
    for _ in range(trials):
        one, two = random.normal(0, 0.02, 12), random.normal(0, 0.08, 5)
        found["different"] += compare_unpaired(numpy.exp(one), numpy.exp(two), Rule(1e-9)).verdict != "inconclusive"
        near, apart = random.normal(0, 0.01, 12), random.normal(math.log(1.05), 0.03, 5)
        found["equivalent"] += compare_unpaired(numpy.exp(apart), numpy.exp(near), Rule(MARGIN)).verdict == "equivalent"
    assert 0.03 < found["different"] / trials < 0.065
    assert found["equivalent"] / trials < 0.065


def test_the_smallest_change_is_found_four_times_in_five():
    random, trials = numpy.random.default_rng(7), 2000
    spreads, counts = (0.03, 0.05), (6, 9)
    variances = [spread**2 / count for spread, count in zip(spreads, counts, strict=True)]
    error = math.sqrt(sum(variances))
    freedom = error**4 / sum(part**2 / (count - 1) for part, count in zip(variances, counts, strict=True))
    ratio = detectable(error, freedom, ALPHA, MARGIN)
    found = 0
    for _ in range(trials):
        one = numpy.exp(random.normal(math.log(ratio), spreads[0], counts[0]))
        two = numpy.exp(random.normal(0, spreads[1], counts[1]))
        found += compare_unpaired(one, two, Rule(MARGIN)).verdict == "faster"
    assert found / trials == pytest.approx(0.8, abs=0.05)


def test_the_noise_between_two_sets_is_that_of_one_process_of_each():
    noise = Noise.between(Noise(0.04, 9), Noise(0.04, 9), (8, 8))
    assert noise.spread == pytest.approx(0.04 / math.sqrt(8)) and noise.freedom == pytest.approx(18)
    floor, low, high = noise.floor(1)
    assert floor == pytest.approx(math.exp(stats.t.isf(0.025, 18) * noise.spread)) and 1 < low < floor < high


# --- the table


def test_a_planted_slow_down_of_a_tenth_is_found_and_nothing_else(old):
    found = cells(compare_sets(old, again(old, slower={SLOW: 1.1}), MARGIN))
    slow = found.name.str.startswith(SLOW)
    assert set(found.verdict[slow]) == {"slower"} and set(found.verdict[~slow]) == {"equivalent"}
    assert slow.sum() == 4 and (~slow).sum() == 4  # three batch sizes and the full run of each
    assert found.speedup[slow].between(1 / 1.13, 1 / 1.07).all()
    assert (found.low < found.speedup).all() and (found.speedup < found.high).all()
    assert (found.smallest_detectable > 1 + MARGIN).all() and (found.floor > 1).all()
    assert (found.p_holm[slow] < 0.05).all() and (found.agreement == 1).all()


def test_the_same_measured_again_is_equivalent(old):
    table = compare_sets(old, again(old), MARGIN)
    assert set(table.verdict) == {"equivalent"}
    assert list(table.kind) == ["cell"] * 8 + ["canary"] * 2 + ["control"] * 4


def test_swapping_the_sets_turns_every_row_round(old):
    new = again(old, slower={SLOW: 1.1})
    new = replace(new, grid=new.grid | {"cells": new.grid["cells"][1:]})
    there = cells(compare_sets(old, new, MARGIN)).set_index(["dataset", "name"])
    back = cells(compare_sets(new, old, MARGIN)).set_index(["dataset", "name"]).loc[there.index]
    turned = {"slower": "faster", "faster": "slower", "appeared": "vanished", "vanished": "appeared"}
    assert list(back.verdict) == [turned.get(verdict, verdict) for verdict in there.verdict]
    assert {"slower", "vanished"} <= set(there.verdict)
    numpy.testing.assert_allclose(back.speedup.astype(float), 1 / there.speedup.astype(float))
    numpy.testing.assert_allclose(back.low.astype(float), 1 / there.high.astype(float))
    for same in ("p_holm", "smallest_detectable", "floor", "agreement"):
        numpy.testing.assert_allclose(back[same].astype(float), there[same].astype(float))


def test_noise_alone_makes_seldom_a_claim_in_the_whole_table(old):
    """By Holm over all cells: of many A/A tables one in twenty at most has any claim at all."""
    claims = 0
    for seed in range(40):
        seconds = numpy.random.default_rng(seed)
        both = []
        for _ in range(2):
            runs = old.runs.copy()
            runs["wall_seconds"] = numpy.exp(seconds.normal(0, 0.08, len(runs)))
            both.append(replace(old, runs=runs, predictions=lambda _: [("i", "x", None)], labels=lambda _: {"i": "x"}))
        table = cells(compare_sets(*both, margin=1e-6))
        claims += table.verdict.isin(["faster", "slower"]).any()
    assert claims <= 6  # two are expected of 40; more than six has a chance of 1 in 200


def test_a_claim_that_so_many_cells_explain_by_chance_is_none(old):
    """One cell just below 5% by itself: among eight cells it is inconclusive, and says why."""
    new = again(old, noise=0.03)
    path = new.runs.record.str.contains("bs16")
    new.runs.loc[path & new.runs.record.str.contains(SLOW), "wall_seconds"] *= 1.08
    alone = compare_sets(
        *(replace(one, grid=one.grid | {"cells": [cell for cell in one.grid["cells"] if "tensorflow" in cell["name"]
           and "bs16" in cell["name"]]}) for one in (old, new)), MARGIN,
    ).iloc[0]  # fmt: skip
    among = cells(compare_sets(old, new, MARGIN))
    among = among[among.name.str.endswith("bs16") & among.name.str.startswith(SLOW)].iloc[0]
    assert alone.p_holm < among.p_holm <= 8 * alone.p_holm + 1e-12
    assert among.smallest_detectable > alone.smallest_detectable


def test_cells_that_only_one_set_has_appeared_or_vanished_and_say_why(old):
    new = again(old)
    first, last = new.grid["cells"][0], [one for one in new.grid["cells"] if "control" not in one["name"]][-1]
    other = dict(first, folder=first["folder"].replace("pipeline-", "pipeline-0"))
    new = replace(new, grid=new.grid | {"cells": [other, *new.grid["cells"][1:]]})
    failed = new.runs.record.str.startswith(last["folder"])
    new.runs.loc[failed, ["status", "reason"]] = ["oom", "the process died"]
    new.runs.loc[failed, ["wall_seconds", "throughput"]] = numpy.nan
    found = cells(compare_sets(old, new, MARGIN))
    gone = found[found.verdict == "vanished"]
    assert len(gone) == 2 and "defines the variant otherwise (pipeline-0" in gone.reason.iloc[0]
    assert "no repeat of new worked: oom: the process died" in gone.reason.iloc[1]
    came = found[found.verdict == "too few repeats"]
    assert len(came) == 1 and "new has no record of it" in came.reason.iloc[0]  # the other definition, without a record
    assert not (found.verdict == "appeared").any()
    assert (cells(compare_sets(new, old, MARGIN)).verdict == "appeared").sum() == 2


def test_repeats_that_carry_no_claim_do_not_count(old):
    new = again(old, slower={SLOW: 1.1})
    new.runs.loc[new.runs.framework == "sparknlp", "flags"] = "suspect"
    found = cells(compare_sets(old, new, MARGIN))
    slow = found[found.name.str.startswith(SLOW)]
    assert set(slow.verdict) == {"too few repeats"} and slow.reason.str.contains("no repeat of new").all()


def test_a_repeat_that_left_images_out_before_its_last_pass_leaves_no_ratio(old):
    new = again(old)
    path = new.runs.record.str.contains("bs16") & new.runs.record.str.contains(f"{SLOW}-")
    new.runs.loc[new.runs[path].index[1], "flags"] = "images lost"
    found = cells(compare_sets(old, new, MARGIN))
    failed = found[found.verdict == "parity failed"]
    assert list(failed.name.str.startswith(SLOW) & failed.name.str.endswith("bs16")) == [True]
    assert failed.speedup.isna().all() and failed.reason.str.contains("of new before its last left images out").all()


def test_more_cells_take_more_repeats_for_a_verdict(old):
    """A cell that alone has changed must pass the hardest step of the correction for all of them."""
    new = again(old, seed=1, noise=0.12, slower={SLOW: 1.08})
    name = next(cell["name"] for cell in old.grid["cells"] if cell["name"].startswith(SLOW) and "bs16" in cell["name"])
    one = [replace(each, grid=each.grid | {"cells": [cell for cell in each.grid["cells"] if cell["name"] == name]})
           for each in (old, new)]  # fmt: skip
    alone, among = (cells(compare_sets(*sets, MARGIN)).set_index("name").loc[name] for sets in (one, (old, new)))
    assert alone.speedup == among.speedup and alone.verdict == among.verdict == "inconclusive"
    assert alone.blocks_needed < among.blocks_needed


def test_other_labels_leave_no_ratio(old):
    new = again(old)
    said = old.predictions
    new = replace(new, predictions=lambda path: [(image, "cat", score) for image, _, score in said(path)])
    found = cells(compare_sets(old, new, MARGIN))
    assert set(found.verdict) == {"parity failed"} and found.speedup.isna().all()


def test_no_claim_stands_where_the_canary_says_that_the_machine_was_another(old):
    new = again(old, slower={SLOW: 1.1})
    slow = replace(new, canaries=[one | {"gemm_gflops": 0.9 * one["gemm_gflops"]} for one in new.canaries])
    table = compare_sets(old, slow, MARGIN)
    assert list(table.verdict[table.kind == "canary"]) == ["slower", "equivalent"]
    assert set(cells(table).verdict) == {"inconclusive"} and cells(table).reason.str.contains("by its canary").all()
    other = compare_sets(old, replace(slow, packages={"numpy": "0.1"}), MARGIN)  # then it says nothing of the machine
    assert "slower" in set(cells(other).verdict) and other.reason.str.contains("says nothing of the machine").any()
    told = compare_sets(old, slow, MARGIN, other_machine=True)
    assert "slower" in set(cells(told).verdict)


def test_decoding_by_another_canary_says_nothing_of_the_machine(old):
    fast = replace(old, canaries=[one | {"decode_per_second": 2 * one["decode_per_second"]} for one in old.canaries])
    reasons = []
    for runs in (old.runs, old.runs.assign(code="0" * 12)):
        table = compare_sets(old, replace(fast, runs=runs), MARGIN)
        reasons.append(table[table.kind == "canary"].set_index("baseline").reason["canary, JPEG decoding"])
    assert "says nothing of the machine" not in str(reasons[0]) and "says nothing of the machine" in reasons[1]


def test_no_claim_stands_where_a_cell_is_no_equal_of_itself(old):
    new = again(old, slower={SLOW: 1.1, "huggingface/pipeline-control": 1.2})
    table = compare_sets(old, new, MARGIN)
    assert set(cells(table).verdict) == {"inconclusive"}
    assert cells(table).reason.str.contains("came out slower against itself within new").all()


def test_where_all_cells_moved_alike_the_machine_is_suspected(old):
    both = {"huggingface/pipeline": 1.08, SLOW: 1.08}
    assert "All 8 cells moved the same way" in common_shift(compare_sets(old, again(old, slower=both), MARGIN))
    assert common_shift(compare_sets(old, again(old, slower={SLOW: 1.2}), MARGIN)) == ""


# --- what may be compared


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"protocol": 99}, "protocol"),
        ({"model": {"slug": "another-model"}}, "model"),
        ({"datasets": {"sample": {"slug": "sample-other"}, "full": {"slug": "full-other"}}}, "data set full"),
    ],
)
def test_sets_whose_times_mean_different_things_are_refused_whatever_was_told(old, change, what):
    new = replace(old, name="new", grid=old.grid | change)
    for told in (False, True):
        with pytest.raises(UserError, match=f"differ in the {what}") as raised:
            refuse_different(old, new, told)
        assert "\n" not in str(raised.value) and "old" in str(raised.value) and "new" in str(raised.value)


def test_data_sets_of_several_sizes_that_one_set_lacks_are_no_reason_to_refuse_the_others(old):
    def with_sizes(slug: str) -> Set:
        added = {"sizes-photos-16": {"name": "photos-16", "slug": slug, "definition": {}}}
        return replace(old, grid=old.grid | {"datasets": old.grid["datasets"] | added})

    more, other = with_sizes("sizes-photos-16-00000000"), with_sizes("sizes-photos-16-11111111")
    assert refuse_different(old, more) == refuse_different(more, old) == []
    with pytest.raises(UserError, match="data set sizes-photos-16"):
        refuse_different(more, other)


def test_other_images_under_the_same_name_are_refused(old):
    new = again(old)
    new.runs["data_hash"] = "0123456789ab"
    with pytest.raises(UserError, match="manifest of the data set"):
        refuse_different(old, new, True)


@pytest.mark.parametrize("where", ["machine", "processor"])
def test_other_hardware_is_refused_unless_told_and_then_labelled(old, where):
    new = again(old)
    new.runs["processor"] = "another"
    if where == "machine":
        new = replace(new, runs=old.runs, grid=old.grid | {"machine": "zen9-2c-8g"})
    with pytest.raises(UserError, match="other_machine=true"):
        refuse_different(old, new)
    assert refuse_different(old, new, True)[0].startswith(f"Other hardware, {where}")


def test_versions_that_changed_are_named(old):
    new = again(old)
    new.runs["packages"] = new.runs.packages.str.replace("5.5.3", "5.6.0")
    new.runs.loc[new.runs.framework == "huggingface", "model_hash"] = "abcdefabcdef"
    notes = refuse_different(old, new)
    assert f"{SLOW}: spark-nlp 5.5.3 → 5.6.0." in notes
    assert "huggingface/pipeline: other files of the model." in notes and refuse_different(old, again(old)) == []


# --- page, chart, exit status


@pytest.fixture(scope="module")
def compared(planted_run, tmp_path_factory) -> Path:
    """The working directory in which a set with a planted slow-down was compared on the command line."""
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(planted_run, folder / "new")
    planted.slow_down(folder / "new", SLOW, 1.1)
    arguments = ["--baseline", str(planted_run), "--candidate", str(folder / "new"), "--directory", str(folder)]
    assert compare_records.main([*arguments, "--fail-on", "slower"]) == judge_comparison.FAILED
    return folder


def test_the_report_is_there_whatever_the_exit_status(compared, capsys):
    table = tables.read(compared / "results/compare/compare.csv")
    assert (table.verdict == "slower").sum() == 4
    for name in ("md", "png", "svg"):
        assert (compared / f"reports/compare.{name}").stat().st_size > 1000
    folder = compared / "results/compare"
    assert judge_comparison.judge(folder, ["vanished", "parity failed"]) == 0
    assert judge_comparison.judge(folder, []) == 0
    said = capsys.readouterr()
    assert "of 8 cells 4 slower, 4 equivalent" in said.out and said.err == ""
    assert judge_comparison.judge(folder, ["vanished", "slower"]) == judge_comparison.FAILED
    assert "4 cells slower; the report is written" in capsys.readouterr().err


def test_the_page_says_how_each_cell_came_out_and_what_it_could_have_seen(compared):
    page = (compared / "reports/compare.md").read_text()
    table = cells(tables.read(compared / "results/compare/compare.csv"))
    for row in table.itertuples():
        line = next(
            line for line in page.splitlines() if line.startswith(f"| {row.name} | {row.verdict} | {row.speedup:.3f}")
        )
        assert f"| {REPEATS} / {REPEATS} |" in line
    assert "Corrected together: 8 cells" in page and "Welch" in page and "canary, float32 GEMM" in page
    prose = [line for line in page.splitlines() if not line.startswith("|") and "measurements/" not in line]
    assert max(map(len, prose)) <= 120
    assert "reasons against them" in page  # the planted slow-down left other numbers of the records as they were


def test_page_lines_and_chart_say_under_exchanged_names_of_each_what_they_said_of_the_other(compared, monkeypatch):
    context = tables.read_context(compared / "results/compare/provenance/context.json")
    table = tables.read(compared / "results/compare/compare.csv")

    def said(table: pandas.DataFrame, context: dict) -> list[str]:
        shown = [comparison.page(table, context), *comparison.lines(table, context)]
        return [" ".join(text.split()) for text in [*shown, words(chart.draw(table, context), monkeypatch)]]

    there, back = said(table, context), said(swap(table), json.loads(swapped(json.dumps(context))))
    assert list(map(swapped, there)) == back != there


def test_the_chart_shows_each_cell_and_no_text_touches_another(compared, old, tmp_path, monkeypatch):
    context = tables.read_context(compared / "results/compare/provenance/context.json")
    table = tables.read(compared / "results/compare/compare.csv")
    figure = chart.draw(table, context)
    shown = words(figure, monkeypatch)
    assert all(name in shown for name in cells(table).name) and context["answer"].split(":")[0] in shown.replace(
        "\n", " "
    )
    assert collisions(figure, monkeypatch) == []
    new = again(old, noise=0.2)
    new = replace(new, grid=new.grid | {"cells": new.grid["cells"][2:]})
    rough = read(compare_sets(old, new, MARGIN), tmp_path)
    figure = chart.draw(rough, context | {"answer": comparison.answer(rough, context)})
    assert collisions(figure, monkeypatch) == [] and "vanished" in words(figure, monkeypatch)


def test_a_folder_that_holds_no_set_is_one_line(planted_run, tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        tabulate_comparison.main(tmp_path / "none", planted_run, MARGIN, False, tmp_path)
    with pytest.raises(UserError, match="grid.json"):
        tabulate_comparison.main(tmp_path, planted_run, MARGIN, False, tmp_path / "out")
    shutil.copytree(planted_run / "results", tmp_path / "results")
    with pytest.raises(UserError, match="holds no record"):
        tabulate_comparison.main(tmp_path, planted_run, MARGIN, False, tmp_path / "out")
    assert not (tmp_path / "out" / "compare.csv").exists()
