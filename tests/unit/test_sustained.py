"""Long repeats, minute by minute: the table, what it says of a slow-down and a leak, and the chart."""

import pandas
import pytest
from drawn import words
from example_tables import TWO, example, typed

from vitbench.analysis import sustained
from vitbench.present.charts import sustained as chart

RUN = example(TWO, sizes=(8,))


def runs(*repeats: dict) -> pandas.DataFrame:
    """The example's runs table, whose first rows are changed as told."""
    rows = RUN.runs.assign(status="ok", images=32).to_dict("records")[: len(repeats)]
    return typed([row | repeat for row, repeat in zip(rows, repeats, strict=True)], "runs")


def passes(*seconds: float) -> dict:
    return {"pass_seconds": ";".join(map(str, seconds))}


def test_images_are_counted_in_the_minutes_that_their_passes_lie_in():
    table = sustained.sustained(runs(passes(*[40.0] * 10, *[80.0] * 3)))
    assert list(table.minute) == list(range(1, 11))
    assert table.throughput.iloc[0] == pytest.approx(32 / 40)
    assert table.throughput.iloc[6] == pytest.approx((40 * 32 / 40 + 20 * 32 / 80) / 60)  # from 360 s to 420 s
    assert table.throughput.iloc[9] == pytest.approx(32 / 80)
    assert (table.throughput * 60).sum() == pytest.approx(10 * 32 + 200 / 80 * 32)


def test_only_long_repeats_that_worked_are_shown():
    short, failed = passes(*[59.9] * 10), passes(*[60.0] * 10) | {"status": "error"}
    assert sustained.sustained(runs(short, failed)).empty
    assert len(sustained.sustained(runs(short, passes(*[60.0] * 10)))) == 10


def test_a_slow_down_and_a_leak_are_told():
    seconds = [30.0 if number < 14 else 33.0 for number in range(28)]
    memory = {"pass_memory_mb": ";".join(str(1000 + 50 * number) for number in range(28))}
    collecting = {"pass_collecting_seconds": ";".join(["3"] * 28)}
    leaks = passes(*seconds) | memory | collecting | {"repeat": 0}
    table = sustained.sustained(runs(leaks, passes(*[30.0] * 24) | {"repeat": 1}))
    leaking, still = sustained.trends(table).itertuples(index=False)
    assert leaking.change == pytest.approx(30 / 33 - 1, abs=1e-9) and still.change == pytest.approx(0)
    assert (leaking.memory_begin, leaking.memory_end) == (1350, 2150) and pandas.isna(still.memory_end)
    assert table.collecting_share.iloc[0] == pytest.approx(0.1)
    assert table[table.repeat == 1].collecting_share.isna().all()


def test_a_pass_longer_than_a_minute_keeps_the_state_before_it():
    memory = {"pass_memory_mb": "100;200;300;400"}
    table = sustained.sustained(runs(passes(150.0, 150.0, 150.0, 150.0) | memory))
    assert list(table.memory_mb) == [100, 100, 100, 100, 200, 200, 200, 300, 300, 400]


def test_the_chart_has_a_panel_for_what_is_known_and_no_other(monkeypatch):
    memory = {"pass_memory_mb": ";".join(["900"] * 24)}
    figure = chart.draw(sustained.sustained(runs(passes(*[30.0] * 24) | memory)), RUN.context)
    assert len(figure.axes) == 2
    said = words(figure, monkeypatch)
    assert "images/s" in said and "memory" in said and "°C" not in said
    nothing = chart.draw(sustained.sustained(runs(passes(1.0))), RUN.context)
    assert "No repeat" in words(nothing, monkeypatch)


def test_the_caption_says_where_the_machine_was_not_as_fast_beside_all_of_them(monkeypatch):
    def said(*speeds: float) -> str:
        long = passes(*[30.0] * 24)
        repeats = [long | {"canary_gemm": speed, "repeat": number} for number, speed in enumerate(speeds)]
        return words(chart.draw(sustained.sustained(runs(*repeats)), RUN.context), monkeypatch)

    assert "canary" not in said(1.0, 1.02) and "canary" not in said(float("nan"), 1.1)
    assert "1.00 for" in said(1.0, 1.1) and "1.10 for" in said(1.0, 1.1)
