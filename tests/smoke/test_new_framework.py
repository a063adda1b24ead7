"""A new framework is one package, one block of YAML and its environment: with these it is measured and drawn."""

import shutil
from pathlib import Path

import openpyxl
import pytest
import tree

from vitbench import tables

pytestmark = pytest.mark.ci

TOY = Path(__file__).parents[1] / "toy_framework"


def test_a_package_and_a_block_of_yaml_are_all_that_a_framework_takes(measured_pipeline, tmp_path):
    copy = tree.clone(tmp_path / "a clone")
    shutil.copytree(TOY / "loop", copy.root / "scripts/vitbench/frameworks/loop")
    shutil.copy(TOY / "environment.yaml", copy.root / "envs/loop.yaml")
    with open(copy.root / "resources/variants.yaml", "a") as variants:
        variants.write((TOY / "variants.yaml").read_text())
    measured_pipeline(copy.root)
    wanted = ["frameworks=[huggingface/pipeline,loop/plain]", "batch_sizes=[4]", "control=False", "profile=False"]
    charts = [f"reports/{chart}.svg" for chart in ("speedup", "batch_sweep", "wall_time")]
    targets = (*charts, "workbook", "report", "results/summary.txt")
    output = copy.snakemake(*targets, "--cores", "all", "--configfile", "config/smoke.yaml", "--config", *wanted)
    assert "vitbench: 2 of 4 measurements to do" in output, "what others took is not measured again"
    runs = tables.read(copy.root / "results/runs.csv")
    assert set(runs[runs.framework == "loop"].dataset) == {"sample", "full"} and set(runs.status) == {"ok"}, output
    parity = tables.read(copy.root / "results/parity.csv")
    assert parity[parity.candidate.str.startswith("loop/plain")].agreement.eq(1).all()
    assert all((copy.root / chart).stat().st_size > 0 for chart in charts)
    assert "Plain loop" in (copy.root / "reports/report.html").read_text()
    book = openpyxl.load_workbook(copy.root / "reports/benchmark.xlsx")
    assert any(cell.value == "loop" for row in book["Runs"].iter_rows() for cell in row)
    assert "Plain loop" in (copy.root / "results/summary.txt").read_text()
