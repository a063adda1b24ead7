"""The charts of the replication: every word has its place, and marks are what the tables say."""

from __future__ import annotations

import pandas
import pytest
from drawn import collisions, words
from example_tables import FIVE, typed
from matplotlib.colors import to_hex
from test_replication import DATA, records

from vitbench.present import style
from vitbench.present.charts import replication
from vitbench.series import published
from vitbench.series.replication import NOT_MEASURED, replicate

CONTEXT = records().context


def made(**how) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Both tables, as they are read back."""
    table, points = replicate(published.read(DATA), records(**how))
    return tuple(
        typed(frame.to_dict("records"), name)
        for name, frame in (("replication", table), ("replication_curves", points))
    )


@pytest.fixture(scope="module")
def decided() -> tuple[pandas.DataFrame, pandas.DataFrame]:
    return made()


EXAMPLES = {
    "too few repeats": {"repeats": 3},
    "one variant more": {"sizes": (8,), "failed": {"sparknlp/tensorflow-no-onednn": "oom"}},
    "two devices": {"devices": ("cpu", "gpu"), "repeats": 2},
    "nothing": {"failed": dict.fromkeys(FIVE, "error")},
}


@pytest.mark.parametrize("name", ["decided", *EXAMPLES])
def test_no_text_touches_another_or_the_edge(name, decided, monkeypatch):
    table, points = decided if name == "decided" else made(**EXAMPLES[name])
    assert collisions(replication.ratios(table, CONTEXT), monkeypatch) == []
    assert collisions(replication.curves(table, points, CONTEXT), monkeypatch) == []


def dots(figure, marker: str, color: str) -> list[float]:
    """x of the marks of one shape and colour in the first axes."""
    lines = [line for line in figure.axes[0].lines if line.get_marker() == marker and len(line.get_xdata()) == 1]
    return [line.get_xdata()[0] for line in lines if to_hex(line.get_markeredgecolor()) == color.lower()]


def test_a_row_a_comparison_that_both_have(decided, monkeypatch):
    table, _ = decided
    figure = replication.ratios(table, CONTEXT)
    both = table[table.ours.notna()]
    assert len(both) == 11
    assert sorted(dots(figure, "o", style.BLUE)) == pytest.approx(sorted(both.ours))
    assert sorted(dots(figure, "D", style.VERMILION)) == pytest.approx(sorted(both.published))
    for color, low, high in (
        (style.BLUE, both.ours_low, both.ours_high),
        (style.VERMILION, both.published_low, both.published_high),
    ):
        ends = [tuple(line.get_xdata()) for line in figure.axes[0].lines if to_hex(line.get_color()) == color.lower()]
        bars = sorted(pair for pair in ends if len(pair) == 2)
        assert [end for bar in bars for end in bar] == pytest.approx(
            [end for bar in sorted(zip(low, high, strict=True)) for end in bar]
        )
    text = words(figure, monkeypatch)
    assert "device against device (0 of 12 with a ratio of ours)" in text
    assert "12 not measured by us; needed: devices, workers" in text
    assert f"{NOT_MEASURED} {len(table) - len(both)}" in text.replace("\n", " ")
    assert "Equal in all rows: " in text and "precision" in text


def test_without_an_interval_there_is_no_dot(monkeypatch):
    table, _ = made(repeats=3)
    figure = replication.ratios(table, CONTEXT)
    assert dots(figure, "o", style.BLUE) == [] and len(dots(figure, "D", style.VERMILION)) == 11
    text = words(figure, monkeypatch)
    assert "too few repeats" in text and "(11 of them too few repeats)" in text.replace("\n", " ")


def test_a_panel_a_curve_with_its_verdict(decided, monkeypatch):
    table, points = decided
    figure = replication.curves(table, points, CONTEXT)
    assert len(figure.axes) == 3
    text = words(figure, monkeypatch)
    assert "7 published curves of 10 are not drawn" in text and "part 2, one Databricks node, sample" in text
    assert all(max(line.get_ydata()) == 1 for axes in figure.axes for line in axes.lines)


def test_the_same_tables_give_the_same_bytes(decided, tmp_path):
    files = [(tmp_path / f"{number}.png", tmp_path / f"{number}.svg") for number in (1, 2)]
    for png, svg in files:
        style.save(replication.ratios(decided[0], CONTEXT), png, svg)
    assert files[0][0].read_bytes() == files[1][0].read_bytes()
    assert files[0][1].read_bytes() == files[1][1].read_bytes()
