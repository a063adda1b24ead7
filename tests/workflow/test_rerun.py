"""What is done again after a change: a time is an observation, a table or a chart is not."""

import os
import shutil
import time
from pathlib import Path

import pytest

CELLS, FULL, REPEATS = 6, 4, 3  # of the sweep; of the full set, one a variant and a control of each framework
ANALYSED = {"analyse_runs", "derive_tables", "tabulate_replication", "write_context", "write_summary"}
TABLES = {"collect_records", "tabulate_physics", "tabulate_stages"} | ANALYSED
DOCUMENTS = {"write_workbook", "write_page"}
CHARTS = {f"plot_{name}" for name in ("speedup", "batch_sweep", "wall_time")}
CHARTS |= {f"plot_{name}" for name in ("passes", "break_even", "effective_batches", "quiet", "stages", "physics")}
# What an edit of a module of the library makes again, and nothing else.
EDITS = {
    "present/charts/stages.py": {"plot_stages", "write_page"},  # the page takes its colours
    "present/charts/effective_batches.py": {"plot_effective_batches"},
    "present/charts/speedup.py": {"plot_speedup", "write_page"},  # and the article's ratios
    "present/charts/panels.py": {"plot_batch_sweep", "plot_wall_time"},
    "present/charts/replication.py": set(),  # not asked for by `all`
    "present/style.py": CHARTS | {"write_page"},
    "present/workbook/book.py": {"write_workbook"},
    "present/page/cells.py": {"write_page"},
    "present/page/templates/style.css": {"write_page"},
    # The answer is in each context.
    "present/answer.py": {"tabulate_replication", "write_context", "write_summary"} | DOCUMENTS | CHARTS,
    "analysis/statistics.py": ANALYSED | DOCUMENTS | CHARTS,
    "plan/estimate.py": set(),
    "measure/harness.py": set(),
    "frameworks/sparknlp/adapter.py": set(),
}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path.name} any more"
    path.write_text(text.replace(old, new))


def touch_all(root: Path) -> None:
    """Give every file of the tree another time, in no order, as a checkout or a copy does."""
    now = time.time()
    for number, path in enumerate(sorted(root.rglob("*"), key=lambda path: hash(path.name))):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path, (now - number, now - number))


def test_nothing_is_to_be_done_after_a_finished_run(measured):
    assert measured.planned() == {}


def test_an_edit_makes_again_what_imports_it_and_measures_nothing(measured):
    """One tree for all edits: each is taken back, its time too."""
    found = {}
    for name in EDITS:
        path = measured.root / "scripts" / "vitbench" / name
        text, times = path.read_bytes(), path.stat()
        path.write_bytes(text + (b"\n/* an edit */\n" if path.suffix == ".css" else b"\n# an edit\n"))
        found[name] = set(measured.planned())
        path.write_bytes(text)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert found == EDITS
    assert measured.planned() == {}


def test_an_edit_of_the_command_that_measures_measures_nothing(tree):
    path = tree.root / "scripts/measure.py"
    path.write_text(path.read_text() + "\n# an edit\n")
    assert tree.planned() == {}


def test_an_edit_of_the_script_that_draws_redraws_the_charts_and_nothing_else(tree):
    path = tree.root / "scripts/plot_chart.py"
    path.write_text(path.read_text() + "\n# an edit\n")
    assert tree.planned().keys() == CHARTS


def test_a_new_module_counts_from_its_first_import(tree):
    (tree.root / "scripts/vitbench/added.py").write_text('"""New."""\n')
    assert tree.planned() == {}
    edit(tree.root / "scripts/vitbench/analysis/batches.py", "import math", "import math\n\nfrom vitbench import added")
    planned = tree.planned()
    assert "derive_tables" in planned and not planned.keys() & {"measure", "choose_batch_size", "collect_records"}


def test_an_edit_of_the_rule_that_measures_measures_nothing(tree):
    edit(tree.root / "rules/measure.smk", "--repeat {wildcards.repeat}", "--repeat  {wildcards.repeat}")
    assert "measure" not in tree.planned()


def test_a_clone_or_checkout_measures_nothing(tree):
    shutil.rmtree(tree.root / ".snakemake")
    shutil.rmtree(tree.root / "results")
    touch_all(tree.root)
    planned = tree.planned()
    assert "measure" not in planned and "choose_batch_size" not in planned
    assert planned.keys() >= TABLES


def test_a_lost_data_set_is_made_again_but_not_measured(tree):
    shutil.rmtree(tree.root / "resources/datasets")
    assert "measure" not in tree.planned()


@pytest.mark.parametrize("flags", [["--forceall"], ["--forcerun", "measure"]])
def test_no_flag_measures_again_what_is_there(tree, flags):
    assert "measure" not in tree.planned(*flags)


def test_a_profile_is_made_once_and_kept_like_a_record(tree):
    (tree.root / "scripts/vitbench/measure/profiles.py").write_text('"""Edited."""\n')
    assert "profile_cell" not in tree.planned("--forceall")
    next((tree.root / "measurements").rglob("profile.json")).unlink()
    planned = tree.planned()
    assert planned["profile_cell"] == 1 and "measure" not in planned
    assert "profile_cell" not in tree.planned("--config", "profile=False")


def test_outputs_can_be_deleted_and_records_stay(tree):
    tree.snakemake("--delete-all-output")
    records = list((tree.root / "measurements").rglob("rep*.json"))
    assert len(records) == (CELLS + FULL) * REPEATS
    assert not (tree.root / "reports/speedup.png").exists()


def test_what_the_machine_can_do_is_measured_once(tree):
    path = next((tree.root / "measurements").rglob("peak.json"))
    assert "measure_peak" not in tree.planned("--forceall")
    path.unlink()
    planned = tree.planned()
    assert planned["measure_peak"] == 1 and "measure" not in planned


@pytest.mark.parametrize("place", ["bs8/rep1", "bsbest/rep1", "pipeline-control*/**/rep2"])
def test_a_removed_record_is_measured_again_alone(tree, place):
    for end in (".json", ".predictions.csv"):
        next((tree.root / "measurements").rglob(place + end)).unlink()
    assert tree.planned()["measure"] == 1


@pytest.mark.parametrize("setting", ["protocol=99", "machine=another-machine", "model=vit-tiny-seeded"])
def test_another_protocol_machine_or_model_measures_everything(tree, setting):
    assert tree.planned("--config", setting)["measure"] == (CELLS + FULL) * REPEATS


def test_a_changed_definition_measures_its_variant(tree):
    edit(tree.root / "resources/variants.yaml", "image_processor: pil", "image_processor: pil\n    new_setting: 1")
    assert tree.planned()["measure"] == (3 + 2) * REPEATS  # with the control, which is the same variant


def test_a_second_data_set_under_the_same_role_is_measured_beside_the_first(tree):
    """The full runs are kept, as is the batch size that was chosen for them."""
    (tree.root / "mine.yaml").write_text("datasets: {sample: photos-16}\n")
    planned = tree.planned("--configfile", "mine.yaml")
    assert planned["measure"] == CELLS * REPEATS
    assert "choose_batch_size" not in planned


def test_more_repeats_measure_the_new_blocks(tree):
    """The gate is made again for them, and its being made again must neither hold them back nor repeat the old ones."""
    planned = tree.planned("--config", "repeats=4")
    assert planned["measure"] == CELLS + FULL
    assert planned["check_ready"] == 1


def test_one_more_batch_size_measures_that(tree):
    (tree.root / "mine.yaml").write_text("batch_sizes: [1, 4, 8, 16]\n")
    assert tree.planned("--configfile", "mine.yaml")["measure"] == 2 * REPEATS


def test_one_more_variant_measures_that(tree):
    (tree.root / "mine.yaml").write_text("frameworks: [huggingface/pipeline, sparknlp/tensorflow, sparknlp/onnx]\n")
    planned = tree.planned("--configfile", "mine.yaml")
    assert planned["measure"] == 3 * REPEATS + REPEATS
    assert planned["choose_batch_size"] == 1


def test_another_directory_starts_from_nothing(tree, tmp_path):
    planned = tree.planned("--directory", str(tmp_path / "mine"))
    assert planned["measure"] == (CELLS + FULL) * REPEATS
