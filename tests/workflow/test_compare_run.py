"""compare: the report is kept whatever the exit status, and what may not be compared is refused in one line."""

import json
import shutil

import planted
import pytest
from tree import Tree, clone

from vitbench import tables
from vitbench.plan.grid import Grid

pytestmark = pytest.mark.ci

REPORT = ["results/compare/compare.csv", *(f"reports/compare.{form}" for form in ("md", "png", "svg"))]


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Tree:
    """A clone beside which two sets of records lie, the second a tenth slower in one variant."""
    folder = tmp_path_factory.mktemp("compare")
    tree = clone(folder / "a clone")
    grid = Grid(planted.CONFIG | {"repeats": 6, "profile": False})
    planted.plant_run(folder / "old", grid)
    shutil.copytree(folder / "old", folder / "new")
    planted.slow_down(folder / "new", "sparknlp/tensorflow", 1.1)
    return tree


def compare(tree: Tree, *more: str, fails: bool = False) -> str:
    folder = tree.root.parent
    named = [f"baseline_records={folder}/old", f"candidate_records={folder}/new"]
    return tree.snakemake("compare", "--config", *named, *more, fails=fails)


def test_a_verdict_that_shall_fail_ends_the_run_after_the_report(sets):
    said = compare(sets, "fail_on=slower", fails=True)
    assert "4 cells slower; the report is written" in said and "slower: sparknlp/tensorflow" in said
    written = {name: (sets.root / name).stat().st_mtime_ns for name in REPORT}
    table = tables.read(sets.root / REPORT[0])
    assert (table.verdict == "slower").sum() == 4
    compare(sets, "fail_on=[vanished,parity failed]")  # which no cell is
    assert "4 slower" in compare(sets)
    assert {name: (sets.root / name).stat().st_mtime_ns for name in REPORT} == written  # made once


def test_a_record_that_changed_is_compared_again_and_a_plot_edit_redraws_the_plot(sets, tmp_path):
    compare(sets)
    folder = sets.root.parent
    named = [f"baseline_records={folder}/old", f"candidate_records={folder}/new"]
    planned = sets.planned("compare", "--config", *named)
    assert planned.keys() <= {"compare"}
    chart = sets.root / "scripts/vitbench/present/charts/compare.py"
    chart.write_text(chart.read_text() + "\n")
    assert sets.planned("compare", "--config", *named).keys() == {"compare", "plot_compare"}
    path = next((folder / "new").glob("measurements/**/rep1.json"))
    path.write_text(path.read_text() + "\n")
    planned = sets.planned("compare", "--config", *named)
    assert {"tabulate_comparison", "plot_compare", "write_comparison", "compare"} == planned.keys()


def test_a_comparison_with_the_working_directory_is_made_once(sets, tmp_path):
    """What it writes there, and all else that is made of records, is no part of them."""
    tree = sets.copy(tmp_path / "here")
    shutil.copytree(sets.root.parent / "new", tree.root, dirs_exist_ok=True)
    named = [f"baseline_records={sets.root.parent / 'old'}", "candidate_records=."]
    tree.snakemake("compare", "--config", *named)
    assert tree.planned("compare", "--config", *named).keys() <= {"compare"}


def test_campaigns_are_compared_by_their_names(sets, tmp_path):
    tree = sets.copy(tmp_path / "a clone")
    folder = sets.root.parent
    for name in ("old", "new"):
        # Packing asks the checker, which this test is not about: a campaign is a folder of records like any other.
        shutil.copytree(folder / name, tree.root / "resources/campaigns" / name)
    named = ["baseline_campaign=old", "candidate_campaign=new"]
    assert "new against old: of 8 cells 4 slower" in tree.snakemake("compare", "--config", *named)


def test_what_may_not_be_compared_is_one_line(sets, tmp_path):
    def line(*config: str) -> str:
        said = sets.snakemake("compare", *(["--config", *config] if config else []), fails=True)
        assert "Traceback" not in said
        return next(line for line in said.splitlines() if line.startswith("vitbench: "))

    old = f"baseline_records={sets.root.parent}/old"
    assert "say which two sets" in line(old)
    assert "say which two sets" in line(old, "baseline_campaign=x", "candidate_records=y")
    assert "is no folder" in line(old, "candidate_records=/no/such/folder")
    assert "no folder of records; there is none" in line(old, "candidate_campaign=gone")
    assert line("fail_on=fast").startswith("vitbench: fail_on")

    other = tmp_path / "other"
    shutil.copytree(sets.root.parent / "new", other)
    grid = other / "results/provenance/grid.json"
    grid.write_text(json.dumps(json.loads(grid.read_text()) | {"machine": "zen9-2c-8g"}))
    assert "differ in the machine" in line(old, f"candidate_records={other}")
    told = sets.snakemake("compare", "--config", old, f"candidate_records={other}", "other_machine=true")
    assert "other against old on other hardware" in told and "Other hardware, machine" in told
    grid.write_text(json.dumps(json.loads(grid.read_text()) | {"protocol": 99}))
    assert "differ in the protocol" in line(old, f"candidate_records={other}", "other_machine=true")
