"""Scaling: efficiency and its interval, the laws through it, what gives none; and what is drawn and told of it."""

from __future__ import annotations

import math

import numpy
import pandas
import pytest
import simulations
from drawn import collisions, words
from example_page import barriers, parsed, write
from example_tables import TWO, example, typed

from vitbench.analysis.scaling import AMDAHL, USL, fit, scaling, scaling_fits, seconds_of
from vitbench.files import HOME
from vitbench.present.charts import scaling as chart
from vitbench.present.page import scaling as page
from vitbench.present.page.parts import looks
from vitbench.series import published

HF, TF = TWO
WORKERS, IMAGES = (1, 2, 4, 8, 16), 480
# Of each block, which all numbers of workers share: it cancels in every ratio.
DRIFT = (1.0, 1.03, 0.97, 1.05, 0.99)
ONE, CONTENTION, COHERENCY = 60.0, 0.03, 0.002


def row(variant: str, workers: int, block: int, seconds: float, **more) -> dict:
    framework, name = variant.split("/")
    return {
        "source": "live", "machine": "xeon-2", "protocol": 3, "model": "vit-base-seeded", "workers": workers,
        "dataset": "full", "images": IMAGES, "framework": framework, "variant": name, "device": "cpu", "batch_size": 8,
        "repeat": block, "block": block, "status": "ok", "wall_seconds": seconds, "throughput": IMAGES / seconds,
        "cold_seconds": 1.5 * seconds, "start_seconds": 20.0 + workers, "load_seconds": 5.0, "waves": 2, "flags": "",
        "pass_seconds": f"{1.5 * seconds};{seconds}", "record": f"{variant}/w{workers}/rep{block}.json",
    } | more  # fmt: skip


def by_law(workers: int) -> float:
    return seconds_of(ONE, CONTENTION, COHERENCY, workers)


def runs(seconds=by_law, workers=WORKERS, blocks=5, noise=0.0, variant=TF) -> pandas.DataFrame:
    """A runs table: the seconds of so many workers, times each block's drift, a little more and less in turn."""
    rows = [
        row(variant, number, block, seconds(number) * DRIFT[block] * math.exp(noise * (-1) ** (block + place)))
        for place, number in enumerate(workers)
        for block in range(blocks)
    ]
    return typed(rows, "runs")


def table(given: pandas.DataFrame, **how) -> pandas.DataFrame:
    return typed(scaling(given, **how).to_dict("records"), "scaling")


def laws(given: pandas.DataFrame, **how) -> pandas.DataFrame:
    return typed(scaling_fits(given, **how).to_dict("records"), "scaling_fits")


def series() -> pandas.DataFrame:
    """The published clusters, as a runs table."""
    read = published.read(HOME / "resources/published")
    return published.clustered(read.runs, published.scaling_figure(read))


# --- efficiency


def test_what_the_blocks_share_cancels_and_starting_is_in_no_ratio():
    found = table(runs())
    assert list(found.workers) == list(WORKERS) and (found.blocks == 5).all() and (found.base_workers == 1).all()
    expected = [by_law(1) / (number * by_law(number)) for number in WORKERS]
    assert found.efficiency.to_numpy() == pytest.approx(expected)
    assert found.speedup.to_numpy() == pytest.approx([by_law(1) / by_law(number) for number in WORKERS])
    several = found[found.workers > 1]
    assert several.efficiency_low.to_numpy() == pytest.approx(several.efficiency.to_numpy())
    assert found.start_seconds.to_list() == [20 + number for number in WORKERS] and (found.load_seconds == 5).all()
    assert (found.throughput_low < found.throughput).all() and (found.throughput < found.throughput_high).all()
    assert set(found.waves) == {2} and set(found.reason) == {""}


def test_the_interval_is_student_s_over_the_logarithms_of_the_blocks():
    factors = numpy.array([0.95, 1.0, 1.1])
    given = pandas.concat(
        [runs(workers=(1,), blocks=3), typed([row(TF, 2, block, 30 * DRIFT[block] * factors[block])
                                              for block in range(3)], "runs")], ignore_index=True
    )  # fmt: skip
    one = table(given).iloc[1]
    logs = numpy.log(by_law(1) / (30 * factors))
    half = 4.302652729911275 * logs.std(ddof=1) / math.sqrt(3)  # t of two degrees of freedom, from a table
    assert one.speedup == pytest.approx(math.exp(logs.mean()))
    assert one.efficiency_low == pytest.approx(math.exp(logs.mean() - half) / 2)
    assert one.efficiency_high == pytest.approx(math.exp(logs.mean() + half) / 2)


def test_one_block_has_a_ratio_and_no_interval():
    found = table(runs(blocks=1))
    assert found.efficiency.notna().all() and found.efficiency_low.isna().all()


def test_without_one_worker_the_fewest_are_the_base():
    found = table(runs(workers=(2, 4)))
    assert list(found.base_workers) == [2, 2] and found.efficiency[0] == 1
    assert found.efficiency[1] == pytest.approx(2 * by_law(2) / (4 * by_law(4)))


def test_only_blocks_that_both_have_make_a_ratio_and_what_has_none_says_why():
    given = runs()
    given.loc[(given.workers == 4) & (given.block < 2), "flags"] = "suspect"
    given.loc[(given.workers == 8), "status"] = "oom"
    given.loc[(given.workers == 16), "flags"] = "images lost"
    found = table(given).set_index("workers")
    assert found.blocks.to_dict() == {1: 5, 2: 5, 4: 3, 8: 0, 16: 0}
    assert found.efficiency[4] == pytest.approx(by_law(1) / (4 * by_law(4)))
    assert found.reason[8] == "no repeat worked: oom" and found.reason[16] == "no repeat may carry a claim"
    assert found.efficiency[[8, 16]].isna().all()
    above = table(runs(), impossible={("full", f"{TF}/cpu/w2/bs8")}).set_index("workers")
    assert math.isnan(above.efficiency[2]) and "peak" in above.reason[2] and above.efficiency[4] < 1


def test_a_ratio_of_fewer_blocks_than_the_row_has_says_of_how_many():
    given = runs()
    given.loc[(given.workers == 1) & (given.block < 4), "flags"] = "suspect"
    found = table(given).set_index("workers")
    assert found.blocks.to_dict() == {1: 1, 2: 5, 4: 5, 8: 5, 16: 5}
    assert set(found.reason[[2, 4, 8, 16]]) == {"speedup and efficiency of 1 common block"}
    assert pandas.isna(found.reason[1]) or not found.reason[1]


def test_other_data_sets_and_controls_are_in_no_row():
    given = pandas.concat([runs(), runs(variant=f"{TF}-control"), runs(variant=HF).assign(dataset="sample")])
    assert set(table(given.reset_index(drop=True)).variant) == {"tensorflow"}


def test_the_published_clusters_go_through_the_same_code():
    found = table(series())
    assert set(found.source) == {"published"} and set(found.device) == {"cpu", "gpu"} and len(found) == 10
    assert found.efficiency_low.isna().all() and (found.blocks == 1).all() and found.start_seconds.isna().all()
    lawful = laws(series())
    assert len(lawful) == 4 and (lawful.points == 5).all()
    assert lawful.residual.notna().all() and lawful.contention_low.isna().all()
    amdahl, usl = (lawful[lawful.law == law] for law in (AMDAHL, USL))
    # One run each: nothing tells whether a point that is off is noise.
    assert lawful.reach.isna().all() and lawful.peak_workers.isna().all()
    assert all("not believed" in reason for reason in amdahl.reason)
    # Ten workers of theirs are better than eight: projected, that would soon be no time at all.
    assert (usl.coherency < 0).all()


# --- laws


def test_a_law_is_recovered_from_its_own_curve():
    seconds = numpy.outer(DRIFT, [by_law(number) for number in WORKERS])
    found = fit(USL, WORKERS, seconds)
    assert found.contention.value == pytest.approx(CONTENTION) and found.coherency.value == pytest.approx(COHERENCY)
    assert found.one.value == pytest.approx(ONE * math.exp(numpy.log(DRIFT).mean()))
    assert found.peak == pytest.approx(math.sqrt((1 - CONTENTION) / COHERENCY))
    assert found.p == 1 and max(map(abs, found.departures)) < 1e-9
    # Beyond the peak more workers are slower, and not before.
    assert by_law(round(found.peak)) < by_law(2 * round(found.peak)) and by_law(16) < by_law(8)

    amdahl = fit(AMDAHL, WORKERS, numpy.array([[seconds_of(ONE, 0.1, 0.0, number) for number in WORKERS]]))
    assert amdahl.contention.value == pytest.approx(0.1) and amdahl.coherency.value == 0 and math.isnan(amdahl.peak)
    assert math.isnan(amdahl.p) and math.isnan(amdahl.contention.low)  # of one block


def test_what_scales_better_than_its_law_has_a_share_below_zero():
    found = fit(AMDAHL, (1, 2, 4), numpy.array([[60.0, 29.0, 14.0]]))
    assert found.contention.value < 0


@pytest.mark.parametrize("law", [AMDAHL, USL])
def test_too_few_numbers_or_blocks_are_no_law(law):
    with pytest.raises(ValueError, match="numbers of workers"):
        fit(law, (1, 1), numpy.array([[60.0, 60.0]]))
    with pytest.raises(ValueError, match="a block"):
        fit(law, WORKERS, numpy.empty((0, 5)))


def test_below_five_numbers_of_workers_there_is_no_fit_but_the_reason():
    found = laws(runs(workers=(1, 2, 4)))
    assert list(found.law) == [AMDAHL, USL] and set(found.reason) == {"3 numbers of workers, and a fit takes 5"}
    assert found[["one_seconds", "contention", "coherency", "reach"]].isna().all(axis=None)
    assert laws(runs(workers=(1,))).empty  # nothing to ask for


def test_a_law_that_the_seconds_do_not_follow_is_not_believed():
    found = laws(runs(noise=0.002)).set_index("law")
    assert found.lack_of_fit_p[AMDAHL] < 0.05 and found.reason[AMDAHL].startswith("no law: ")
    assert math.isnan(found.reach[AMDAHL]) and math.isfinite(found.contention[AMDAHL])
    assert found.reach[USL] == 32 and found.reason[USL] == ""
    assert found.contention_low[USL] < CONTENTION < found.contention_high[USL]
    assert abs(found.residual[USL]) < 0.01 and found.peak_workers[USL] > 10
    each = dict(one.split(":") for one in found.residuals[USL].split(";"))
    assert list(each) == list(map(str, WORKERS)) and float(
        each[str(int(found.residual_workers[USL]))]
    ) == pytest.approx(found.residual[USL], rel=1e-3)


def test_only_blocks_in_which_every_number_is_usable_count():
    given = runs()
    given.loc[(given.workers == 4) & (given.block == 0), "flags"] = "suspect"
    assert set(laws(given).blocks) == {4}
    given.loc[(given.workers == 8) & (given.block > 0), "flags"] = "suspect"
    assert set(laws(given).reason) == {"no block in which every number of workers is usable"}


@pytest.mark.parametrize("blocks", [3, 5])
def test_the_intervals_of_a_law_hold_the_truth(blocks):
    found = simulations.laws(blocks, trials=800)
    for share in simulations.laws_coverage(found):
        assert 0.92 <= share <= 0.98  # 95%, but for what 800 trials know
    assert 0.03 <= simulations.called_bent(found) <= 0.07


# --- what is drawn and told


CASES = {
    "one number of workers": lambda: (table(runs(workers=(1,))), laws(runs(workers=(1,)))),
    "several": lambda: (table(runs(noise=0.02)), laws(runs(noise=0.02))),
    "two variants, beside the series": lambda: tuple(
        pandas.concat([tell(given) for given in (runs(noise=0.02), runs(workers=(1, 2), variant=HF), series())],
                      ignore_index=True)
        for tell in (table, laws)
    ),
    "nothing": lambda: (table(runs().head(0)), laws(runs().head(0))),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_no_text_touches_another_or_the_edge(case, monkeypatch):
    figure = chart.draw(*CASES[case](), example().context)
    assert collisions(figure, monkeypatch) == []
    said = words(figure, monkeypatch)
    if case in ("one number of workers", "nothing"):
        assert "No variant was measured with several numbers" in said
    else:
        assert "USL" in said and "Amdahl" in said


def test_the_chart_tells_ours_from_theirs_and_why_there_is_no_law(monkeypatch):
    said = words(chart.draw(*CASES["two variants, beside the series"](), example().context), monkeypatch)
    assert "the series: sparknlp/tensorflow, CPU" in said and "sparknlp/tensorflow, CPU" in said
    assert "2 numbers of workers, and a fit takes 5" in said and "not believed: 1 block" in said


def test_an_interval_of_an_efficiency_is_not_cut_at_the_edge_of_the_page_s_plot():
    found = table(runs())
    found.loc[found.workers == 2, "efficiency_high"] = 1.3
    section = page.scaling(found, laws(runs()), looks(example().context, []))
    _, plot = section.parts[0].plots
    (upper,) = {upper for line in plot.lines for x, upper, _, _ in line.whiskers if x == plot.x.at(2)}
    assert upper == plot.y.down(130) > 0  # below the upper edge


def test_the_page_has_the_section_where_ours_was_measured_with_several_workers(tmp_path):
    ours = [one.to_dict("records") for one in CASES["several"]()]
    html = write(tmp_path / "several", example(), scaling=ours[0], scaling_fits=ours[1]).read_text()
    assert 'id="scaling"' in html and "More workers" in html and barriers(parsed(html)) == []
    alone = [one.to_dict("records") for one in (table(series()), laws(series()))]
    html = write(tmp_path / "alone", example(), scaling=alone[0], scaling_fits=alone[1]).read_text()
    assert 'id="scaling"' not in html
