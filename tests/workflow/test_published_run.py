"""`snakemake published`: every figure of the series from its numbers alone, and no path that two rules could mean."""

import csv

import openpyxl
import pytest
import yaml
from tree import Tree, clone

NEVER = {"measure", "build_dataset", "build_checkpoint", "fetch_jars", "collect_records"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> tuple[Tree, str]:
    """A clone in which the published figures were made, and what Snakemake said."""
    tree = clone(tmp_path_factory.mktemp("published") / "a clone")
    return tree, tree.snakemake("--cores", "2", "published")


def test_it_measures_nothing_and_says_nothing_of_measuring(drawn):
    tree, output = drawn
    assert not NEVER & set(output.split())
    assert "measurements to do" not in output
    assert not (tree.root / "measurements").exists() and not (tree.root / "resources" / "models").exists()
    assert tree.planned("published") == {}


def test_every_figure_is_drawn_or_listed_with_the_reason(drawn):
    root = drawn[0].root
    figures = yaml.safe_load((root / "resources/published/figures.yaml").read_text())
    made = {path.stem for path in (root / "reports/published/figures").glob("*.png")}
    assert made == {figure["name"] for figure in figures if figure["chart"] != "none"}
    with open(root / "reports/published/figures.csv", newline="") as lines:
        listed = {row["name"]: row["reason"] for row in csv.DictReader(lines)}
    assert listed.keys() == {figure["name"] for figure in figures}
    assert {name for name, reason in listed.items() if reason} == listed.keys() - made


def test_the_workbook_has_the_sheets_of_the_live_one_and_more(drawn):
    book = openpyxl.load_workbook(drawn[0].root / "reports/published/benchmark.xlsx")
    live = ["Summary", "Sweep", "Full", "Speedup", "Parity", "Runs", "Environment"]
    assert [name for name in book.sheetnames if name in live] == live
    assert set(book.sheetnames) - set(live) >= {"Claims", "Hardware", "Repeats", "Figures"}
    assert not {"Passes", "Break-even", "Replication"} & set(book.sheetnames)
    assert book["Claims"].max_row >= 34 and book["Hardware"].max_row >= 12
    assert book["Sweep"]._charts and book["Full"]._charts and book["Speedup"]._charts and book["Summary"]._charts


def test_a_number_corrected_in_the_data_reaches_the_claims(drawn, tmp_path):
    tree = drawn[0].copy(tmp_path / "corrected")
    runs = tree.root / "resources/published/runs.csv"
    text = runs.read_text()
    runs.write_text(text.replace("full,34742,16,1071.917992", "full,34742,16,921.0"))
    assert runs.read_text() != text
    tree.snakemake("--cores", "2", "reports/published/claims.csv")
    with open(tree.root / "reports/published/claims.csv", newline="") as lines:
        assert {row["id"]: row["verdict"] for row in csv.DictReader(lines)}["C15"] == "agrees"


def test_live_and_published_charts_have_their_own_tables(drawn):
    tree = drawn[0]
    published = tree.planned("--forceall", "reports/published/speedup.png")
    live = tree.planned("reports/speedup.png")
    assert "tabulate_published" in published and not NEVER & published.keys()
    assert "collect_records" in live and "tabulate_published" not in live
