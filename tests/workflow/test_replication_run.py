"""`snakemake replication`: from records that are there it measures nothing, and published numbers are no records."""

import csv

import pytest
import reruns

pytestmark = pytest.mark.ci

# The table of it is made by every run, for the page.
CHARTS = {"plot_replication": 1, "plot_replication_curves": 1, "replication": 1}
NEW = CHARTS | {"tabulate_replication": 1}


def test_records_that_are_there_are_not_measured_again(tree):
    assert tree.planned("replication") == CHARTS
    tree.snakemake("--cores", "2", "replication")
    for name in ("replication.png", "replication.svg", "replication_curves.png", "replication_curves.svg"):
        assert (tree.root / "reports" / name).stat().st_size > 1000
    with open(tree.root / "results" / "replication.csv", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["our_machine"] for row in rows if row["ours"]} and any(row["ours"] for row in rows)
    assert tree.planned("replication") == {}

    reruns.edit("resources/published/runs.csv", "full,34742,16,1071.917992", "full,34742,16,1300.0")(tree.root)
    assert tree.planned("replication") == NEW
    tree.snakemake("--cores", "2", "results/replication.csv")
    with open(tree.root / "results" / "replication.csv", newline="") as lines:
        changed = [row for row in csv.DictReader(lines) if row["published"].startswith(str(1233 / 1300)[:6])]
    assert len(changed) == 1

    (tree.root / "results" / "runs.csv").unlink()
    assert "measure" not in tree.planned("replication")


def test_a_missing_record_is_measured_first(tree):
    gone = sorted((tree.root / "measurements").rglob("rep1.json"))[0]
    gone.unlink()
    assert tree.planned("replication")["measure"] == 1


def test_the_published_runs_are_not_set_beside_themselves(tree):
    assert tree.makes("reports/replication.png") and not tree.makes("reports/published/replication.png")
