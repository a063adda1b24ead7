"""The figures of the series: every one of them, from the real numbers and from changed ones."""

from __future__ import annotations

import math

import numpy
import pandas
import plot_published
import pytest
import tabulate_published
import yaml
from drawn import collisions, words
from matplotlib.patches import Rectangle

from vitbench.files import HOME
from vitbench.present import style
from vitbench.present.charts import published, speedup

DATA = HOME / "resources" / "published"
FIGURES = {figure["name"]: figure for figure in yaml.safe_load((DATA / "figures.yaml").read_text())}
DRAWN = [name for name, figure in FIGURES.items() if figure["chart"] != "none"]
CONTEXT = {"origin": "somewhere · some day"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("published")
    names = ["runs", "summary", "best", "parity", "speedup", "repeats", "scaling", "claims", "figures", "context"]
    paths = {name: str(folder / f"{name}.csv") for name in names}
    tabulate_published.main(DATA, paths)
    return paths


def group(*seconds: tuple[float, float], picked: int = 0) -> pandas.DataFrame:
    """Rows of one group: (batch size, seconds) each, the picked one by its place."""
    rows = pandas.DataFrame(seconds, columns=["batch_size", "wall_seconds"])
    return rows.assign(picked=[place == picked for place in range(len(rows))], framework="sparknlp", hardware="a box")


def heights(figure) -> list[float]:
    """Heights of the filled bars."""
    patches = figure.axes[0].patches
    return [bar.get_height() for bar in patches if isinstance(bar, Rectangle) and bar.get_fill()]


NO_ZONE = pandas.DataFrame(columns=["batch_sizes"])
ZONE = pandas.DataFrame(
    [{"batch_sizes": "32;64", "effective_batch_size": 32, "n": 2, "low": 30.0, "high": 33.0, "cv": 0.067,
      "picked": numpy.nan, "partitions": 112, "basis": "inferred"}]
)  # fmt: skip
SWEEP = {"title": "A sweep", "part": 1}


@pytest.mark.parametrize("name", DRAWN)
def test_no_text_of_a_figure_touches_another_or_the_edge(name, tables, monkeypatch):
    assert collisions(plot_published.draw(FIGURES[name], tables), monkeypatch) == []


def test_a_batch_size_without_a_number_is_words_and_no_bar(monkeypatch):
    figure = published.sweep(SWEEP | {"tried": [1, 8, 64]}, group((8, 149)), NO_ZONE, CONTEXT)
    assert words(figure, monkeypatch).count(published.STATED) == 2
    assert heights(figure) == [149]


def test_a_time_without_a_batch_size_has_a_slot_of_its_own(monkeypatch):
    figure = published.sweep(SWEEP | {"tried": [1, 8]}, group((math.nan, 50)), NO_ZONE, CONTEXT)
    assert published.NO_SIZE in words(figure, monkeypatch) and heights(figure) == [50]


def test_accidental_repeats_are_shaded_and_their_spread_is_printed(monkeypatch):
    rows = group((8, 40), (32, 30), (64, 33), picked=1)
    plain = published.sweep(SWEEP, rows, NO_ZONE, CONTEXT)
    shaded = published.sweep(SWEEP, rows, ZONE, CONTEXT)
    assert len(shaded.axes[0].patches) == len(plain.axes[0].patches) + 1
    text = words(shaded, monkeypatch).replace("\n", " ")
    assert "n=2: 30.0 to 33.0 s, CV 6.7%" in text and "112 partitions (inferred)" in text
    assert "lies inside that noise" not in text
    inside = published.sweep(SWEEP, rows, ZONE.assign(picked=32.0), CONTEXT)
    assert "The picked run lies inside that noise" in words(inside, monkeypatch).replace("\n", " ")


def test_the_picked_run_is_outlined_and_named(monkeypatch):
    figure = published.sweep(SWEEP, group((8, 40), (32, 30), (64, 33), picked=1), NO_ZONE, CONTEXT)
    outlines = [bar for bar in figure.axes[0].patches if not bar.get_fill()]
    assert [bar.get_height() for bar in outlines] == [30] and outlines[0].get_hatch()
    assert "the post picked (batch size 32, 30 s)" in words(figure, monkeypatch)


def test_ratios_of_bars_are_against_the_first(monkeypatch):
    rows = pandas.DataFrame({"framework": ["huggingface", "sparknlp"], "variant": ["pipeline", "tensorflow"],
                             "device": "cpu", "workers": 1, "batch_size": [8, 16], "wall_seconds": [300.0, 200.0],
                             "hardware": ["one box", "another box"]})  # fmt: skip
    text = words(published.bars({"title": "A pair", "part": 2}, rows, CONTEXT), monkeypatch)
    assert "200 s, 1.50 times as fast" in text and "%" not in text
    assert "one box: Hugging Face, CPU, batch size 8" in text and "another box: Spark NLP" in text


def test_the_claims_chart_tells_verdicts_and_counts(tables, monkeypatch):
    table = pandas.read_csv(tables["claims"])
    text = words(plot_published.draw(FIGURES["claims"], tables), monkeypatch)
    for verdict, rows in table.groupby("verdict"):
        assert f"{verdict} ({len(rows)})" in text
    assert text.index("agrees (") < text.index("does not agree (") < text.index("cannot be tested (")


def test_the_same_numbers_give_the_same_bytes(tables, tmp_path):
    for name in ("part1-sparknlp-gpu-sample", "claims"):
        files = [(tmp_path / f"{number}.png", tmp_path / f"{number}.svg") for number in (1, 2)]
        for png, svg in files:
            style.save(plot_published.draw(FIGURES[name], tables), png, svg)
        assert files[0][0].read_bytes() == files[1][0].read_bytes()
        assert files[0][1].read_bytes() == files[1][1].read_bytes()


def test_the_articles_ratio_stands_beside_ours_where_we_compared_the_same():
    ours = pandas.DataFrame(
        {"dataset": ["full", "sample"], "baseline": ["huggingface/pipeline/cpu/w1/bs4"] * 2,
         "candidate": ["sparknlp/tensorflow/cpu/w1/bs64", "sparknlp/onnx/cpu/w1/bs64"]}
    )  # fmt: skip
    found = speedup.of_the_article(DATA, ours)
    assert found.verdict.to_list() == ["one run"] and found.speedup.item() == pytest.approx(1233 / 1071.917992)
    assert speedup.of_the_article(DATA, ours.tail(1)).empty


def test_efficiency_is_drawn_in_per_cent(tables):
    table = pandas.read_csv(tables["scaling"])
    (name,) = [name for name, figure in FIGURES.items() if figure["chart"] == "scaling"]
    panel = plot_published.draw(FIGURES[name], tables).axes[1]
    drawn = [value for line in panel.lines if line.get_marker() != "None" for value in line.get_ydata()]
    assert sorted(drawn) == pytest.approx(sorted(100 * table.efficiency)) and max(drawn) >= 100
