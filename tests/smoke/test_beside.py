"""What a variant brings with it, in the whole workflow: packages beside the environment, a quantised annotator."""

from __future__ import annotations

import json
import shutil

import check_records
import pytest
import tree

from vitbench import tables
from vitbench.files import HOME, sha256
from vitbench.machine import cores
from vitbench.records import record as records

# Ten repeats, and packages from the registry: minutes.
pytestmark = [pytest.mark.jvm, pytest.mark.long]
NEW = ["openvino/float32", "openvino/int8", "sparknlp/tensorflow-tuned", "sparknlp/onnx-int8"]


@pytest.fixture(scope="module")
def run(smoke, measured_pipeline, java, tmp_path_factory):
    """The folder of a finished run, which has the smoke run's jars."""
    folder = tmp_path_factory.mktemp("beside")
    changes = {"frameworks": ["huggingface/pipeline", *NEW], "batch_sizes": [4], "control": False, "profile": False}
    (folder / "more.yaml").write_text(json.dumps(changes))
    measured_pipeline(folder)
    # The checker would ask for what was measured between the pipeline's records: here all are of one run.
    shutil.rmtree(folder / "measurements")
    (folder / "resources" / "jars").symlink_to(smoke / "resources" / "jars")
    (folder / "resources" / "environments").mkdir()
    exporter = "resources/environments/tensorflow-export"
    (folder / exporter).symlink_to(smoke / exporter)
    tree.smoke(folder, "results/summary.txt", "results/parity.csv", "results/physics.csv", **java)
    return folder


@pytest.fixture(scope="module")
def measured(run):
    """Name of a variant → the record of its full run."""
    found = [records.read(path) for path in run.glob("measurements/**/full-*/**/rep0.json")]
    return {f"{one['framework']}/{one['variant']}": one for one in found}


def test_they_are_measured_beside_the_pipeline_and_label_alike(run, capsys):
    runs = tables.read(run / "results/runs.csv")
    assert set(runs.framework + "/" + runs.variant) == {"huggingface/pipeline", *NEW}
    assert (runs.status == "ok").all(), runs.reason.dropna().to_list()
    parity = tables.read(run / "results/parity.csv")
    assert len(parity) == 2 * len(NEW)
    int8 = parity.candidate.str.contains("int8")
    assert parity[~int8].agreement.eq(1).all() and parity[int8].agreement.ge(11 / 12).all()
    assert "OpenVINO" in (run / "results/summary.txt").read_text()
    assert check_records.main([str(run)]) == 0, capsys.readouterr().out


def test_a_record_names_the_lock_of_the_packages_that_it_ran_on(run, measured):
    lock = HOME / "envs" / "openvino.txt"
    for name, record in measured.items():
        assert record["hashes"]["packages"] == (sha256(lock) if "openvino" in name else None)
    assert f"openvino=={measured['openvino/int8']['versions']['openvino']} " in lock.read_text()
    assert {path.name for path in run.glob("resources/environments/*")} == {"openvino", "tensorflow-export"}


def test_precision_threads_and_short_passes_are_those_of_the_variants(measured):
    assert {name: record["precision"] for name, record in measured.items() if "int8" in name} == {
        "openvino/int8": "int8",
        "sparknlp/onnx-int8": "int8",
    }
    assert measured["openvino/int8"]["executed"]["products"]["int8"] > 0
    for name in NEW:
        assert (measured[name]["threads"], measured[name]["slots"]) == (1, cores())
        assert ("short_passes" in measured[name]) == name.startswith("sparknlp")
    assert "int8 (dynamic), 1 thread a task" in measured["sparknlp/onnx-int8"]["setting"]
    assert "oneDNN on, 1 thread a task" in measured["sparknlp/tensorflow-tuned"]["setting"]


def test_each_is_held_against_what_its_own_library_can_do_here(run):
    physics = tables.read(run / "results/physics.csv").set_index("variant")
    assert physics.own_library.loc[["float32"]].eq("OpenVINO").all() and physics.own_gflops.loc[["float32"]].gt(0).all()
    assert [path.name for path in run.glob("measurements/**/peak*")] == ["peak+openvino.json"]


def test_nothing_is_left_running(run):
    assert tree.processes_of(run) == []
