"""Python inside Spark in the whole workflow: no jar is fetched, Spark is checked once, nothing is left."""

from __future__ import annotations

import json

import pytest
import tree

from vitbench import tables
from vitbench.frameworks.stages import STAGES

pytestmark = [pytest.mark.ci, pytest.mark.jvm]
NAME = "spark-huggingface/float32"


@pytest.fixture(scope="module")
def run(measured_pipeline, java, tmp_path_factory):
    """The folder of a finished run that has no jar and no export."""
    folder = tmp_path_factory.mktemp("python in spark")
    changes = {"frameworks": ["huggingface/pipeline", NAME], "batch_sizes": [4], "control": False}
    changes |= {"repeats": {"sample": 0, "full": 1}}
    (folder / "more.yaml").write_text(json.dumps(changes))
    measured_pipeline(folder)
    tree.smoke(folder, "results/summary.txt", "results/parity.csv", "results/stages.csv", **java)
    return folder


def test_it_is_measured_beside_the_pipeline_and_labels_alike(run):
    runs = tables.read(run / "results/runs.csv")
    assert set(runs.framework) == {"huggingface", "spark-huggingface"} and (runs.status == "ok").all()
    inside = runs[runs.framework == "spark-huggingface"]
    assert (inside.batches == "observed").all() and (inside.effective_batch_size == 4).all()
    parity = tables.read(run / "results/parity.csv")
    assert len(parity) == 1 and parity.agreement.eq(1).all()
    assert "Hugging Face in Spark" in (run / "results/summary.txt").read_text()


def test_spark_was_started_once_before_and_no_jar_was_wanted(run):
    facts = json.loads((run / "results/provenance/spark-python.json").read_text())
    assert facts["java"] and facts["pyspark"] and "spark-nlp" not in facts
    assert not [path for path in (run / "resources").rglob("*.jar")]
    assert {path.name for path in run.glob("resources/models/*/*")} == {"checkpoint", "logits.json"}


def test_its_stages_add_up_to_its_pass(run):
    stages = tables.read(run / "results/stages.csv")
    inside = stages[stages.framework == "spark-huggingface"]
    assert list(inside.stage) == list(STAGES) and inside.status.eq("ok").all()
    assert inside.share.sum() == pytest.approx(1)


def test_nothing_is_left_running(run):
    assert tree.processes_of(run) == []
