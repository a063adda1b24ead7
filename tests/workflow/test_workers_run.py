"""Several workers in a finished run: who is measured again, who is compared with whom, and all is drawn."""

from collections import Counter

import planted
import pytest
import yaml

from vitbench import tables
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid

pytestmark = pytest.mark.ci

ONE, TWO = (f"sparknlp/tensorflow/cpu/w{workers}/bs8" for workers in (1, 2))
BASELINE = "huggingface/pipeline/cpu/w1/bs8"


def test_more_workers_measure_the_clustered_frameworks_anew_and_are_compared_and_drawn(tree, tmp_path):
    mine = tmp_path / "mine.yaml"
    # Workers so small that any machine with two cores can be them.
    given = {key: planted.CONFIG[key] for key in ("datasets", "batch_sizes", "repeats")}
    given |= {"workers": [1, 2], "spark": {"worker_cores": 1, "worker_memory_gb": 0.5}}
    mine.write_text(yaml.safe_dump(given))
    asked, grid = ("--configfile", str(mine)), Grid(load(mine))
    told = tree.snakemake("--dry-run", *asked)
    assert told.count("huggingface: on one node only (w1)") == 1
    # Three batch sizes, and the full run with its control, of two numbers of workers; nothing of the baseline.
    planned = tree.planned(*asked)
    assert planned["measure"] == 2 * 3 * (3 + 2) and "profile_cell" not in planned

    anew = [(cell, repeat) for cell, repeat in grid.order if cell.framework == "sparknlp"]
    assert Counter(cell.workers for cell, _ in anew) == {1: 15, 2: 15}
    for cell, repeat in anew:
        planted.plant(tree.root, grid, cell, repeat)
    made = ["results/speedup.csv", "results/summary.txt", "reports/benchmark.xlsx", "reports/report.html"]
    made += [f"reports/{chart}.png" for chart in ("speedup", "batch_sweep", "wall_time", "passes")]
    tree.snakemake(*made, *asked)
    assert all((tree.root / name).exists() for name in made)

    speedup = tables.read(tree.root / "results/speedup.csv")
    full = speedup[(speedup.dataset == "full") & (speedup.family != "control")].set_index(["baseline", "candidate"])
    assert dict(full.family) == {
        (BASELINE, ONE): "primary", (BASELINE, TWO): "primary", (ONE, TWO): "exploratory",
    }  # fmt: skip
    assert abs(full.speedup[ONE, TWO] / 1.25 - 1) < 0.03
    assert tables.read(tree.root / "results/parity.csv").passed.all()
    controls = speedup[speedup.family == "control"]
    pairs = zip(controls.baseline, controls.candidate, strict=True)
    assert {(one.split("/")[3], other.split("/")[3]) for one, other in pairs} == {("w1", "w1"), ("w2", "w2")}
