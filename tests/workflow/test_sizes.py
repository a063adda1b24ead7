"""Data sets of several sizes in a finished run: what they add is measured last, nothing else is, and all is drawn."""

import planted
import pytest
import yaml

from vitbench import tables
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid

pytestmark = pytest.mark.ci


def test_sizes_add_their_own_measurements_tables_and_chart(tree, tmp_path):
    mine = tmp_path / "mine.yaml"
    given = {"datasets": planted.SIZED["datasets"], "batch_sizes": planted.CONFIG["batch_sizes"]}
    mine.write_text(yaml.safe_dump(given | {"repeats": {"sample": 3, "full": 3, "sizes": 2}}))
    asked, grid = ("--configfile", str(mine)), Grid(load(mine))
    planned = tree.planned(*asked)
    assert planned["measure"] == 2 * 2 * 4 and planned["build_dataset"] == 4 and planned["plot_data_set_sizes"] == 1

    sizes = [str(grid.manifest(dataset)) for dataset in grid.datasets if dataset.startswith("sizes-")]
    tree.snakemake(*sizes, *asked)
    for cell, repeat in grid.order:
        if cell in grid.sizes:
            planted.plant(tree.root, grid, cell, repeat)
    tree.snakemake("sizes", "results/summary.txt", *asked)
    assert (tree.root / "reports/data_set_sizes.png").exists()
    total = tables.read(tree.root / "results/total_time.csv")
    assert list(total.variant) == ["pipeline", "tensorflow"] and (total.blocks == 2).all() and total.hours.notna().all()
    for each, variant in zip(total.seconds_an_image, planted.SECONDS, strict=True):
        assert abs(each / planted.SECONDS[variant] - 1) < 0.05
    by_size = tables.read(tree.root / "results/data_set_sizes.csv")
    assert list(by_size.images) == [16, 24, 32, 40] * 2 and by_size.speedup.notna().sum() == 4
    summary = (tree.root / "results/summary.txt").read_text()
    assert "A million images: huggingface/pipeline" in summary and "through 4 sizes" in summary
