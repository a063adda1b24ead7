"""A tree in which everything is measured (by plan, not by clock), and copies of it to be edited."""

import planted
import pytest
import yaml
from tree import Tree, clone

from vitbench.plan.grid import Grid


@pytest.fixture(scope="session")
def measured(tmp_path_factory) -> Tree:
    """A tree, in a path with a space, in which every measurement of the default is there and all is drawn."""

    tree = clone(tmp_path_factory.mktemp("workflow") / "a clone")
    (tree.root / "config/config.yaml").write_text(yaml.safe_dump(planted.CONFIG | {"machine": "auto"}))
    grid = Grid(planted.CONFIG)
    tree.snakemake(*[str(grid.manifest(role)) for role in grid.datasets])
    for cell, repeat in grid.order:
        planted.plant(tree.root, grid, cell, repeat)
    for cell in grid.profiles():
        planted.plant_profile(tree.root, grid, cell)
    planted.plant_peak(tree.root, grid)
    tree.snakemake()
    return tree


@pytest.fixture
def tree(measured, tmp_path) -> Tree:
    """A copy of the measured tree, to be edited."""
    return measured.copy(tmp_path / "another clone")
