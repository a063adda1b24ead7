"""pack, campaigns and import: a campaign is drawn as it was measured, anywhere, twice to the same bytes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
from tree import Tree

from vitbench import tables
from vitbench.present.charts import CHARTS as REGISTRY

NEVER = {
    "measure",
    "profile_cell",
    "build_dataset",
    "build_checkpoint",
    "fetch_jars",
    "check_ready",
    "choose_batch_size",
}
FORMS = (".csv", ".json", ".svg", ".xlsx")
CHARTS = {f"plot_{name}" for name, chart in REGISTRY.items() if not chart.of_sets}


def products(tree: Tree, name: str) -> dict[str, bytes]:
    """Everything that was drawn of a campaign, in the forms that are the same bytes each time."""
    return {
        path.relative_to(tree.root).as_posix(): path.read_bytes()
        for folder in ("results", "reports")
        for path in (tree.root / folder / "campaigns" / name).rglob("*")
        if path.suffix in FORMS
    }


@pytest.fixture(scope="module")
def packed(measured, tmp_path_factory) -> Tree:
    """A copy of the measured tree, its records packed as `mine` and drawn; `said.txt` in it is what Snakemake said."""
    tree = measured.copy(tmp_path_factory.mktemp("packed") / "a clone")
    tree.snakemake("pack", "--config", "campaign=mine")
    (tree.root / "resources/campaigns/notes.md").write_text("This file is no campaign.")
    (tree.root / "said.txt").write_text(tree.snakemake("campaigns"))
    return tree


@pytest.fixture(scope="module")
def asked(packed) -> list[str]:
    """Every table of the campaign, its workbook, and one chart of all: test_plot_chart.py shows that equal tables give
    equal charts in any process."""
    made = [name for name in products(packed, "mine") if not name.endswith(".svg")]
    return [*made, "reports/campaigns/mine/speedup.svg"]


@pytest.fixture(scope="module")
def elsewhere(packed, asked, tmp_path_factory) -> Tree:
    """Another clone that holds the campaign and nothing that was measured or made; drawn there too."""
    tree = packed.copy(tmp_path_factory.mktemp("elsewhere") / "b")
    for folder in ("results", "measurements", "logs", ".snakemake", "resources/datasets"):
        shutil.rmtree(tree.root / folder)
    for path in (tree.root / "reports").rglob("*"):
        if path.is_file() and "captions" not in path.parts:
            path.unlink()
    # A configuration that cannot work here; what it says must not matter.
    tree.snakemake(*asked, "--config", "photos=/no/such/folder", "repeats=7", "seed=3")
    return tree


def test_it_is_drawn_without_measuring_anything(packed):
    said = (packed.root / "said.txt").read_text()
    assert not NEVER & set(said.split())
    assert "measurements to do" not in said
    assert packed.planned("campaigns") == {}


@pytest.mark.parametrize("table", ["runs", "summary", "best_batch_size", "parity", "speedup"])
def test_its_tables_are_those_of_the_live_records(packed, table):
    live, drawn = (
        tables.read(packed.root / "results" / part / f"{table}.csv", table) for part in ("", "campaigns/mine")
    )
    assert len(live)
    if "source" in live:
        assert set(live.source) == {"live"} and set(drawn.source) == {"campaigns/mine"}
        live["source"] = drawn["source"]
    pandas.testing.assert_frame_equal(live, drawn)


def test_every_live_chart_is_drawn_of_it_too(packed):
    live = {path.name for path in (packed.root / "reports").glob("*") if path.is_file()}
    assert {"speedup.svg", "benchmark.xlsx"} <= live
    assert live <= {path.name for path in (packed.root / "reports/campaigns/mine").iterdir()}


@pytest.mark.ci
def test_another_clone_draws_the_same_bytes(packed, elsewhere, asked):
    one, two = products(packed, "mine"), products(elsewhere, "mine")
    assert {Path(name).suffix for name in asked} == set(FORMS) and len(asked) > 10
    assert two == {name: one[name] for name in asked}
    assert not (elsewhere.root / "measurements").exists()
    assert {path.name for path in (elsewhere.root / "resources").iterdir()} & {"models", "jars", "datasets"} == set()


def test_a_page_is_written_of_it_and_another_text_is_noticed(packed, tmp_path):
    tree = packed.copy(tmp_path / "page")

    def describe(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "scripts/describe_campaign.py", "mine", *arguments]
        return subprocess.run(command, cwd=tree.root, capture_output=True, text=True)

    assert describe("--check").returncode == 1, "there is no page yet"
    done = describe()
    assert done.returncode == 0, done.stderr
    page = tree.root / "docs/mine.md"
    speedup = tables.read(tree.root / "results/campaigns/mine/speedup.csv")
    assert all(candidate in page.read_text() for candidate in speedup.candidate)
    assert (tree.root / "docs/images/mine/speedup.png").exists() and describe("--check").returncode == 0
    page.write_text(page.read_text().replace("inconclusive", "faster").replace("too few repeats", "faster"))
    refused = describe("--check")
    assert refused.returncode == 1 and "is not what the campaign says" in refused.stderr


@pytest.mark.ci
def test_a_later_change_of_definitions_or_defaults_changes_nothing(asked, elsewhere, tmp_path):
    tree = elsewhere.copy(tmp_path / "later")
    for name in ("models.yaml", "variants.yaml", "datasets.yaml"):
        path = tree.root / "resources" / name
        path.write_text(
            path.read_text().replace("seed: 1", "seed: 2").replace("image_processor: pil", "image_processor: x")
        )
    assert tree.planned(*asked) == {}


def test_no_path_is_made_by_two_rules(packed):
    """Snakemake refuses a path that two rules could make; here is asked for all of them at once."""
    names = [
        path.relative_to(packed.root).as_posix() for path in (packed.root / "results").rglob("*") if path.is_file()
    ]
    planned = packed.planned("--forceall", "figures", "workbook", "published", "campaigns", *names)
    assert planned["tabulate_published"] == 1 and planned["collect_records"] == 2 and planned["unpack_campaign"] == 1
    assert not NEVER - {"build_dataset"} & planned.keys()


def test_a_name_that_is_none_belongs_to_no_rule(packed):
    known = {name: packed.makes(f"results/campaigns/{name}/runs.csv") for name in ("mine", "a b", "-x", "a/b")}
    assert known == {"mine": True, "a b": False, "-x": False, "a/b": False}


def test_packing_again_changes_nothing_and_other_records_are_refused(packed, tmp_path):
    tree = packed.copy(tmp_path / "again")
    assert "already" in tree.snakemake("pack", "--config", "campaign=mine")
    for path in tree.root.glob("measurements/**/rep*.json"):
        path.write_text(path.read_text().replace('"setting": "planted"', '"setting": "other"'))
    said = tree.snakemake("pack", "--config", "campaign=mine", fails=True)
    assert "remove that folder first" in said and "Traceback" not in said


def test_pack_measures_nothing_where_records_are_missing(packed, tmp_path):
    tree = packed.copy(tmp_path / "again")
    next(tree.root.glob("measurements/**/rep1.json")).unlink()
    assert not NEVER & tree.planned("pack", "--config", "campaign=other").keys()
    said = tree.snakemake("pack", "--config", "campaign=other", fails=True)
    assert "1 of 30 records are missing" in said and "Traceback" not in said
    assert not (tree.root / "resources/campaigns/other").exists()


def test_targets_without_what_they_need_say_so_in_one_line(packed, tmp_path):
    def line(*arguments: str) -> str:
        return next(
            line for line in packed.snakemake(*arguments, fails=True).splitlines() if line.startswith("vitbench: ")
        )

    assert "give the campaign a name" in line("pack")
    assert "say which records" in line("import")
    assert "is no folder" in line("import", "--config", f"records={tmp_path}/nowhere")
    assert "add campaign=NAME" in line("import", "--config", f"records={packed.root}")
    assert "unknown key record" in line("import", "--config", "record=x")


def test_without_a_campaign_there_is_one_line(packed, tmp_path):
    empty = packed.copy(tmp_path / "empty")
    shutil.rmtree(empty.root / "resources/campaigns")
    said = empty.snakemake("campaigns")
    assert [line for line in said.splitlines() if line.startswith("vitbench")] == [
        "vitbench: there is no campaign in resources/campaigns/: pack one with snakemake pack --config campaign=NAME"
    ]


def test_another_working_directory_shows_the_campaigns_of_the_checkout_and_its_own(packed, tmp_path):
    (tmp_path / "mine").mkdir()
    shutil.copytree(packed.root / "resources/campaigns/mine", tmp_path / "mine/resources/campaigns/own")
    planned = packed.planned("--directory", str(tmp_path / "mine"), "campaigns")
    assert planned["collect_records"] == 2


@pytest.mark.ci
def test_records_from_elsewhere_are_checked_packed_and_drawn(packed, tmp_path):
    here = packed.copy(tmp_path / "here")
    for folder in ("measurements", "results", ".snakemake", "resources/campaigns", "reports/campaigns"):
        shutil.rmtree(here.root / folder)
    theirs = tmp_path / "theirs"
    for part in ("measurements", "results/provenance", "resources/datasets"):
        shutil.copytree(packed.root / part, theirs / part)
    speedup, chart = "results/campaigns/{}/speedup.csv", "reports/campaigns/theirs/speedup.svg"
    said = here.snakemake(speedup.format("theirs"), chart, "--config", f"records={theirs}")
    assert "packed 30 records" in said and not NEVER & set(said.split())
    assert (here.root / speedup.format("theirs")).read_bytes() == (packed.root / speedup.format("mine")).read_bytes()
    assert (here.root / chart).exists()
    # `import` asks for everything else that is drawn of a campaign, and takes the records in once.
    planned = here.planned("import", "--config", f"records={theirs}").keys()
    assert {"write_workbook", "write_page"} | CHARTS - {"plot_speedup"} <= planned
    assert not planned & ({"import_records", "collect_records", "analyse_runs", "plot_speedup"} | NEVER)

    changed = next(theirs.glob("measurements/**/rep1.json"))
    changed.write_text(changed.read_text().replace('"timed_passes": 5', '"timed_passes": 6'))
    said = here.snakemake("import", "--config", f"records={theirs}", "campaign=bad", fails=True)
    assert "timed_passes 6, expected 5" in said and "Traceback" not in said
    assert not (here.root / "resources/campaigns/bad").exists()
    assert not (here.root / "reports/campaigns/bad").exists()
