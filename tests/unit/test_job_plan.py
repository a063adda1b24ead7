"""Cost and plan: hours and money of a whole job, which is least, how many machines; and what the page says of it."""

from __future__ import annotations

import math

import pandas
import pytest
from drawn import collisions, words
from example_page import barriers, parsed, write
from example_tables import example, typed
from test_data_set_sizes import HF, TF
from test_data_set_sizes import runs as sized_runs

from vitbench.analysis.break_even import Line
from vitbench.analysis.cost import cost
from vitbench.analysis.job_plan import fewest, job_plan
from vitbench.analysis.jobs import FROM_FULL, FROM_SIZES, Job, jobs, of_published
from vitbench.analysis.prices import TABLE, Price
from vitbench.analysis.total_time import HOUR, MANY, total_time
from vitbench.files import HOME
from vitbench.present import job_plan as told
from vitbench.present.charts import plan as chart
from vitbench.series import published

# A machine of 6 dollars an hour that takes a quarter of an hour to start.
PRICES = {"xeon-2": Price("xeon-2", 0, None, 6, 15)}
CELL = {"framework": "sparknlp", "variant": "tensorflow", "device": "cpu", "workers": 1.0, "batch_size": 8.0}


def job(each: float, fixed: float = 60.0, spread: float = 0.0, **more) -> Job:
    """A job of so many seconds an image, of three blocks that differ by this share."""
    blocks = tuple((fixed, each * (1 + spread * step)) for step in (-1, 0, 1))
    usual = {"source": "live", "cell": CELL, "hardware": "xeon-2", "machines": 1, "usual": Line(fixed, each)}
    return Job(**usual | {"blocks": blocks, "hours_from": FROM_SIZES, "measured": 3000} | more)


def named(variant: str, workers: int = 1) -> dict:
    return CELL | {"variant": variant, "workers": float(workers)}


def costs(*given: Job, prices=PRICES) -> pandas.DataFrame:
    return typed(cost(given, prices).to_dict("records"), "cost")


def planned(*given: Job, images: int = 1_000_000, deadline: float = 10.0, prices=PRICES) -> pandas.DataFrame:
    return typed(job_plan(given, prices, images, deadline).to_dict("records"), "plan")


def full(variant: str, each: float, blocks: int = 3, **more) -> list[dict]:
    """Repeats of a full cell of 100 images: 20 s to start and load, a cold pass of 10 s more."""
    framework, name = variant.split("/")
    row = {
        "source": "live", "machine": "xeon-2", "dataset": "full", "images": 100, "framework": framework,
        "variant": name, "device": "cpu", "workers": 1, "batch_size": 8, "status": "ok", "start_seconds": 15.0,
        "load_seconds": 5.0, "flags": "", "machines": 1,
    }  # fmt: skip
    seconds = [100 * each * factor for factor in (1.0, 1.1, 0.9, 1.05, 0.95)[:blocks]]
    return [
        row | {"repeat": block, "block": block, "wall_seconds": one, "cold_seconds": one + 10,
               "throughput": 100 / one, "pass_seconds": f"{one + 10};{one};{one}"} | more
        for block, one in enumerate(seconds)
    ]  # fmt: skip


def gate(*failed: str) -> pandas.DataFrame:
    rows = [{"dataset": "full", "baseline": "a", "candidate": name, "reason": "labels differ"} for name in failed]
    return typed(rows, "parity").assign(passed=False)


EMPTY = typed([], "total_time")


# --- hours of a job


def test_without_sizes_the_hours_are_those_of_the_medians_with_the_range_of_the_blocks():
    (found,) = jobs(typed(full(TF, 0.2), "runs"), EMPTY, gate())
    hours = found.hours(MANY)
    assert found.hours_from == FROM_FULL and found.machines == 1 and found.measured == 300 and found.doubt == ""
    assert hours.value * HOUR == pytest.approx(30 + MANY * 0.2)
    assert (hours.low * HOUR, hours.high * HOUR) == pytest.approx((30 + MANY * 0.18, 30 + MANY * 0.22))
    (single,) = jobs(typed(full(TF, 0.2, blocks=1), "runs"), EMPTY, gate())
    assert math.isnan(single.hours(MANY).low) and single.hours(MANY).value == pytest.approx(hours.value)


def test_through_sizes_the_hours_are_those_of_the_line_for_any_number_of_images():
    """The table has them of a million; they are the same ones, and of fewer images fewer."""
    table = pandas.concat([sized_runs(), typed(full(TF, 0.09), "runs")], ignore_index=True)
    total = typed(total_time(table).to_dict("records"), "total_time")
    (found,) = jobs(table, total, gate())
    line = total[total.variant == "tensorflow"].iloc[0]
    hours = found.hours(MANY)
    assert found.hours_from == FROM_SIZES and len(found.blocks) == 5
    assert (hours.value, hours.low, hours.high) == pytest.approx((line.hours, line.hours_low, line.hours_high))
    few = found.hours(1000)
    assert few.low < few.value < few.high < hours.value / 500
    assert few.value * HOUR == pytest.approx(line.fixed_seconds + 1000 * line.seconds_an_image, rel=0.01)


def test_labels_that_differ_lost_images_and_impossible_speed_are_no_answer():
    name = f"{TF}/cpu/w1/bs8"
    given = typed([*full(TF, 0.1), *full(HF, 0.2)], "runs")
    doubted = {one.cell["variant"]: one.doubt for one in jobs(given, EMPTY, gate(name))}
    assert doubted == {"tensorflow": "parity failed: labels differ", "pipeline": ""}
    assert "peak" in jobs(given, EMPTY, gate(), {("full", name)})[0].doubt
    assert list(costs(*jobs(given, EMPTY, gate(name))).least) == ["", "time; money"]
    assert jobs(typed(full(TF, 0.1, flags="images lost"), "runs"), EMPTY, gate()) == []


def test_labels_that_one_pair_could_not_compare_are_no_doubt_where_another_pair_found_them_alike():
    runs = typed(full(TF, 0.2), "runs")
    (name,) = {f"{TF}/cpu/w1/bs8"}
    nothing = {"dataset": "full", "candidate": name, "passed": False, "compared": 0, "reason": "nothing to compare"}
    good = nothing | {"passed": True, "compared": 6, "reason": None}

    def doubt(*rows) -> str:
        checked = typed(list(rows), "parity").assign(passed=[row["passed"] for row in rows])
        return jobs(runs, EMPTY, checked)[0].doubt

    assert doubt(good, nothing) == doubt(good) == ""
    assert doubt(nothing) == "its labels were not compared: nothing to compare"
    assert doubt(good, nothing | {"compared": 6, "reason": "labels differ"}) == "parity failed: labels differ"


def test_labels_that_differ_from_its_own_on_other_hardware_are_no_doubt_where_they_are_the_baselines():
    pair = {"dataset": "full", "candidate": f"{TF}/gpu/w1/bs8", "compared": 6}
    rows = [pair | {"baseline": f"{HF}/gpu/w1/bs8", "passed": True},
            pair | {"baseline": f"{TF}/cpu/w1/bs8", "passed": False, "reason": "labels differ"}]  # fmt: skip
    (found,) = jobs(typed(full(TF, 0.2, device="gpu"), "runs"), EMPTY, typed(rows, "parity"))
    assert found.doubt == ""
    # Held against nothing else, they are in doubt.
    (found,) = jobs(typed(full(TF, 0.2, device="gpu"), "runs"), EMPTY, typed(rows[1:], "parity"))
    assert found.doubt == "parity failed: labels differ"


def test_what_left_cores_idle_that_others_used_is_no_answer_for_a_machine_is_paid_for_whole():
    part = [*full(TF, 0.1, cores=1, machines=1), *full(HF, 0.2, cores=2, machines=1)]
    doubted = {one.cell["variant"]: one.doubt for one in jobs(typed(part, "runs"), EMPTY, gate())}
    assert "1 of the 2 cores" in doubted["tensorflow"] and doubted["pipeline"] == ""
    alike = [*full(TF, 0.1, workers=4, cores=8, machines=4), *full(HF, 0.2, cores=2, machines=1)]
    unknown = [*full(TF, 0.1), *full(HF, 0.2, cores=2, machines=1)]
    gpu = [*full(TF, 0.1, device="gpu", cores=1), *full(HF, 0.2, device="gpu", cores=2)]
    # Who runs the driver says nothing of the machines of workers that are elsewhere, nor they of its own.
    large_driver = [*full(TF, 0.1, workers=4, cores=8, machines=4), *full(HF, 0.2, cores=16, machines=1)]
    small_driver = [*full(TF, 0.1, workers=2, cores=16, machines=2), *full(HF, 0.2, cores=2, machines=1)]
    for given in (alike, unknown, gpu, large_driver, small_driver):
        assert not any(one.doubt for one in jobs(typed(given, "runs"), EMPTY, gate()))


def test_workers_elsewhere_are_a_machine_each():
    (found,) = jobs(typed(full(TF, 0.1, workers=4, machines=4), "runs"), EMPTY, gate())
    assert found.machines == 4
    (unsaid,) = jobs(typed(full(TF, 0.1, machines=None), "runs"), EMPTY, gate())
    assert unsaid.machines == 1


# --- cost


def test_a_million_images_cost_their_hours_and_the_start():
    (one,) = costs(job(0.036)).itertuples()
    assert one.hours == pytest.approx((60 + 36_000) / HOUR) and one.start_minutes == 15
    assert one.machine_hours == pytest.approx(one.hours + 0.25) and one.usd == pytest.approx(6 * (one.hours + 0.25))
    assert one.least == "time; money" and one.reason == "" and one.usd_per_hour == 6


def test_the_least_time_and_the_least_money_are_two_answers():
    """Four machines are three times as fast as one: sooner, and dearer."""
    alone, four = job(0.03), job(0.01, cell=named("tensorflow", 4), machines=4)
    found = costs(alone, four)
    assert list(found.least) == ["money", "time"]
    assert found.usd[1] > found.usd[0] and found.hours[1] < found.hours[0]


def test_a_blank_price_is_not_known_and_never_zero():
    unknown = costs(job(0.03), prices={})
    assert unknown.usd.isna().all() and unknown.usd_per_hour.isna().all()
    assert unknown.reason[0].startswith(f"cost not known: fill row xeon-2 of {TABLE}")
    # On machines of one kind the least money is where the fewest machine hours are, whatever the price.
    assert list(costs(job(0.03), job(0.02, cell=named("onnx")), prices={}).least) == ["", "time; money"]
    elsewhere = job(0.02, cell=named("onnx"), hardware="zen9")
    assert list(costs(job(0.03), elsewhere, prices={}).least) == ["", "time"]


def test_where_a_start_is_not_known_more_machines_are_never_the_least_money():
    """Each of them would start, and nobody knows for how long."""
    alone, four = job(0.03), job(0.005, cell=named("tensorflow", 4), machines=4)
    assert list(costs(alone, four, prices={}).least) == ["", "time"]
    assert list(costs(alone, job(0.01, cell=named("tensorflow", 4), machines=4), prices={}).least) == ["money", "time"]


def test_the_published_clusters_cost_a_machine_a_worker():
    read = published.read(HOME / "resources/published")
    theirs = of_published(published.clustered(read.runs, published.scaling_figure(read)))
    found = costs(*theirs, prices={})
    assert list(found.machines) == list(found.workers) and set(found.source) == {"published"}
    assert found.usd.isna().all() and found.reason.str.contains("databricks_").all()
    priced = {one.hardware: Price(one.hardware, 0, None, 1, 0) for one in theirs}
    cpu = costs(*(one for one in theirs if one.cell["device"] == "cpu"), prices=priced).set_index("workers")
    # Efficiency is below 1, so that one node is cheapest and ten are the fastest.
    assert cpu.least[1] == "money" and cpu.least[10] == "time"


# --- the plan


@pytest.mark.parametrize("wanted", [1, 2, 3, 4, 5, 37, 100])
def test_the_least_number_that_is_enough_is_found(wanted):
    assert fewest(lambda count: count >= wanted, 100) == wanted


def test_no_number_is_enough():
    assert fewest(lambda _: False, 100) is None and fewest(lambda _: False, 1) is None


def test_the_fewest_machines_are_in_time_and_one_fewer_is_not():
    table = planned(job(0.36, spread=0.02), images=1_000_000, deadline=10)
    (chosen,) = table[table.fewest == "yes"].itertuples()
    assert chosen.in_time == "yes" and chosen.hours_high <= 10 and chosen.answer == "money; time"
    one_fewer = planned(job(0.36, spread=0.02), images=1_000_000, deadline=chosen.hours_high - 1e-6)
    assert one_fewer[one_fewer.fewest == "yes"].machines.iloc[0] == chosen.machines + 1
    # Ten hours less a quarter for the start: at least 1,000,000 × 0.36 s / 9.75 h.
    assert chosen.machines >= math.ceil(1_000_000 * 0.36 / (9.75 * HOUR))
    assert chosen.usd == pytest.approx(6 * chosen.machines * chosen.hours)
    assert (table[table.machines < chosen.machines].in_time == "no").all() and table.machines.max() >= chosen.machines


def test_more_machines_take_less_time_and_each_its_start():
    table = planned(job(0.36, fixed=600.0)).sort_values("machines")
    assert (table.hours.diff().dropna() < 0).all() and (table.machine_hours.diff().dropna() > 0).all()
    assert table.hours.to_numpy() == pytest.approx(0.25 + (600 + 1_000_000 / table.machines * 0.36) / HOUR)


def test_a_deadline_that_starting_alone_misses_has_no_answer():
    table = planned(job(0.36), deadline=0.2)  # the machines are there after a quarter of an hour
    assert not (table.fewest == "yes").any() and (table.answer == "").all() and (table.in_time == "no").all()
    assert told.headline(table).startswith("No answer: no number of machines is in time")
    assert "In time on no number of machines: sparknlp/tensorflow" in told.page(table, EMPTY_SCALING, CONTEXT)


def test_clusters_are_taken_whole():
    cluster = job(0.09, cell=named("tensorflow", 4), machines=4)
    table = planned(cluster, deadline=10)
    assert (table.machines == 4 * table.times).all() and set(table.workers) == {4}


def test_of_two_variants_on_one_kind_of_machine_the_faster_is_the_answer_whatever_the_price():
    slow, fast = job(0.5), job(0.2, cell=named("onnx"))
    for prices in (PRICES, {}):
        chosen = planned(slow, fast, prices=prices)
        assert list(chosen[chosen.answer != ""].variant) == ["onnx"]
    doubted = planned(slow, job(0.2, cell=named("onnx"), doubt="parity failed: labels differ"))
    assert list(doubted[doubted.answer != ""].variant) == ["tensorflow"]
    assert "parity failed" in told.page(doubted, EMPTY_SCALING, CONTEXT)


def test_without_prices_different_hardware_has_no_answer_but_the_rows_to_fill():
    table = planned(job(0.5), job(0.2, cell=named("onnx"), hardware="zen9"), prices={})
    assert (table.answer == "").all()
    said = told.headline(table)
    assert "fill row xeon-2" in said and "fill row zen9" in said


def test_least_time_on_as_many_machines_may_be_another_variant():
    """A cheap machine that is slow, and a dear one that is fast."""
    prices = PRICES | {"gpu": Price("gpu", 0, None, 100, 15)}
    table = planned(job(0.36), job(0.3, cell=named("onnx"), hardware="gpu"), prices=prices)
    money, time = (table[table.answer == word].iloc[0] for word in ("money", "time"))
    assert money.variant == "tensorflow" and time.variant == "onnx" and time.machines == money.machines
    assert time.hours < money.hours and time.usd > money.usd


# --- the page and the chart


CONTEXT = example().context
EMPTY_SCALING = typed([], "scaling")


def test_the_page_says_that_it_is_a_projection_and_what_it_cannot_know():
    table = planned(job(0.36, spread=0.02, hours_from=FROM_FULL), images=40_000_000, deadline=48, prices={})
    page = " ".join(told.page(table, EMPTY_SCALING, CONTEXT).split())
    assert page.startswith("# 40,000,000 images within 48 hours: a projection")
    assert "Nothing on this page was measured at that size" in page and CONTEXT["machine_text"] in page
    for unknown in ("13,333 times as many", "which of them is last", "Bringing the images", "start_minutes",
                    "No cluster was measured", "no interval: measure `sizes`"):  # fmt: skip
        assert unknown in page, unknown
    assert "cost not known: fill row xeon-2" in page and "0.00 US dollars" not in page
    chosen = table[table.fewest == "yes"].iloc[0]
    assert f"| {chosen.machines:.0f} |" in page and "not known |" in page


def test_an_answer_names_the_rows_that_its_range_does_not_tell_it_from():
    near = planned(job(0.36, spread=0.05), job(0.37, spread=0.05, cell=named("onnx")))
    assert "its range does not tell it from" in told.headline(near) and "onnx" in told.headline(near)
    far = planned(job(0.36, spread=0.02), job(0.7, spread=0.02, cell=named("onnx")))
    assert "does not tell" not in told.headline(far)


def test_the_page_of_a_table_with_prices_has_money_and_the_range():
    table = planned(job(0.36, spread=0.02))
    page = told.page(table, EMPTY_SCALING, CONTEXT)
    chosen = table[table.fewest == "yes"].iloc[0]
    assert f"{told.number(chosen.usd)} [{told.number(chosen.usd_low)}, {told.number(chosen.usd_high)}]" in page
    assert "fill row" not in page


def test_the_most_workers_that_were_measured_are_named():
    scaling = typed([{"source": "live", "workers": 4, "throughput": 9.0}, {"source": "published", "workers": 10,
                                                                          "throughput": 99.0}], "scaling")  # fmt: skip
    elsewhere = planned(job(0.2, cell=named("onnx", 4), machines=4))
    assert "measured together are 4." in told.page(elsewhere, scaling, CONTEXT).replace("\n", " ")
    # What fewer workers shared is another thing.
    both = planned(job(0.2, cell=named("onnx", 4), machines=4), job(0.4, cell=named("onnx", 2)))
    assert "measured together are 4." in told.page(both, scaling, CONTEXT).replace("\n", " ")
    here = planned(job(0.2, cell=named("onnx", 4)))
    assert "are 4, which shared one machine" in told.page(here, scaling, CONTEXT).replace("\n", " ").replace("  ", " ")


@pytest.mark.parametrize(
    "table",
    [
        lambda: planned(job(0.36)),
        lambda: planned(job(0.36, spread=0.05), job(0.2, cell=named("onnx", 4), machines=4), images=40_000_000),
        lambda: planned(*(job(0.1 + place / 20, cell=named(name)) for place, name in enumerate("abcdef")), prices={}),
        lambda: planned(job(0.36), deadline=0.2),
        lambda: planned(job(0.36)).head(0),
    ],
)
def test_no_text_of_the_chart_touches_another_or_the_edge(table, monkeypatch):
    figure = chart.draw(table(), CONTEXT)
    assert collisions(figure, monkeypatch) == []
    said = words(figure, monkeypatch)
    assert "Projection" in said or "nothing can be planned" in said


def test_the_page_of_a_run_has_the_cost_of_each_cell(tmp_path):
    rows = costs(job(0.03), job(0.01, cell=named("tensorflow", 4), machines=4)).to_dict("records")
    html = write(tmp_path, example(), cost=rows).read_text()
    assert 'id="cost"' in html and "Cost of a million images" in html and barriers(parsed(html)) == []
