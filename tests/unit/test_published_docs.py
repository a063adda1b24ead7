"""docs/published.md says what the data say, and no number in it was typed."""

import re
import shutil

import describe_published
import pytest
import write_gallery

from vitbench.errors import UserError

DATA = describe_published.DATA
# Numbers that are no measurements: the places of one rule, and what this workflow does.
TYPED = (
    "2366% is exact to 1",
    "980% to 10",
    "1000% to 100",
    "5 blocks",
    "left at 0",
    "two minutes",
    "95%",
    "excludes 1",
    "holds 1",
)


def test_the_document_is_up_to_date():
    assert describe_published.DOCUMENT.read_text() == describe_published.describe(DATA), (
        "run `python scripts/describe_published.py`"
    )


def test_a_changed_number_reaches_the_document(tmp_path):
    folder = shutil.copytree(DATA, tmp_path / "published")
    runs = folder / "runs.csv"
    runs.write_text(runs.read_text().replace("sample,3544,512,51.32", "sample,3544,512,61.32"))
    text = describe_published.describe(folder)
    assert "36.55 to 61.32" in text and "36.55 to 51.32" not in text


def test_no_number_of_the_template_was_typed():
    text = (DATA / "method.md").read_text()
    for allowed in TYPED:
        assert allowed in text
        text = text.replace(allowed, "")
    text = re.sub(r"\{\w+\}|`[^`]*`|\(part \d|part \d|clusters of 2 to|num_workers", "", text)
    assert re.findall(r"\d[\d.,]*", text) == []


def test_a_placeholder_without_a_value_is_one_line(tmp_path):
    folder = shutil.copytree(DATA, tmp_path / "published")
    (folder / "method.md").write_text("{nonsense} runs")
    with pytest.raises(UserError, match="no value for the placeholder 'nonsense'"):
        describe_published.describe(folder)


def test_no_value_is_left_over():
    names = set(re.findall(r"\{(\w+)\}", (DATA / "method.md").read_text()))
    assert names == describe_published.values(describe_published.published.read(DATA)).keys()


def test_the_gallery_shows_every_figure_and_no_other():
    figures = describe_published.published.read(DATA).figures
    assert write_gallery.DOCUMENT.read_text() == write_gallery.describe(figures), (
        "run `python scripts/write_gallery.py`"
    )
    drawn = {f"{figure['name']}.png" for figure in figures if figure["chart"] != "none"}
    assert {path.name for path in write_gallery.PICTURES.iterdir()} == drawn


def test_a_gallery_without_drawn_figures_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"part1-hf-cpu-sample.png is missing: run `snakemake published`"):
        write_gallery.main()
