"""What is done again after a change: a time is an observation, a table or a chart is not."""

import os

import pytest
import reruns
from reruns import CELLS, CHANGES, EDITS, FULL, REPEATS


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


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_measures_what_is_new(tree, name):
    """What a change of the tree leads to, as docs/reruns.md says."""
    one = CHANGES[name]
    one.change(tree.root)
    planned = tree.planned(*one.arguments)
    assert planned.get("measure", 0) == one.measured.repeats
    assert planned.keys() >= one.also and not planned.keys() & one.never
    if one.only:
        assert planned.keys() == one.also
    again = one.also & {"profile_cell", "measure_peak", "check_ready"}
    assert {rule: planned[rule] for rule in again} == dict.fromkeys(again, 1)


def test_the_page_says_what_is_tested():
    assert reruns.DOCUMENT.read_text() == reruns.describe(reruns.DOCUMENT.read_text()), "run `python tests/reruns.py`"


def test_a_new_module_counts_from_its_first_import(tree):
    (tree.root / "scripts/vitbench/added.py").write_text('"""New."""\n')
    assert tree.planned() == {}
    batches = "scripts/vitbench/analysis/batches.py"
    reruns.edit(batches, "import math", "import math\n\nfrom vitbench import added")(tree.root)
    planned = tree.planned()
    assert "derive_tables" in planned and not planned.keys() & {"measure", "choose_batch_size", "collect_records"}


def test_a_profile_is_kept_like_a_record(tree):
    (tree.root / "scripts/vitbench/measure/profiles.py").write_text('"""Edited."""\n')
    assert "profile_cell" not in tree.planned("--forceall")
    reruns.remove("profile.json")(tree.root)
    assert "profile_cell" not in tree.planned("--config", "profile=False")


def test_outputs_can_be_deleted_and_records_stay(tree):
    tree.snakemake("--delete-all-output")
    records = list((tree.root / "measurements").rglob("rep*.json"))
    assert len(records) == (CELLS + FULL) * REPEATS
    assert not (tree.root / "reports/speedup.png").exists()
