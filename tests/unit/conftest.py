"""Finished runs that nobody measured, for tests of what is made of them."""

import shutil
from functools import partial
from pathlib import Path

import example_runs
import planted
import pytest

from vitbench.plan.grid import Grid


@pytest.fixture(scope="session")
def sound(tmp_path_factory) -> Path:
    """The working directory of a finished run of the default configuration."""
    grid = Grid(planted.CONFIG)
    return planted.plant_run(tmp_path_factory.mktemp("checker") / "a run", grid)


@pytest.fixture
def run(sound, tmp_path) -> Path:
    """A copy of it, to be tampered with."""
    return Path(shutil.copytree(sound, tmp_path / "a run"))


@pytest.fixture(scope="session")
def sized(tmp_path_factory) -> Path:
    """The working directory of a finished run that measured data sets of several sizes, too."""
    return planted.plant_run(tmp_path_factory.mktemp("sizes") / "a run", Grid(planted.SIZED))


@pytest.fixture
def table(tmp_path):
    """Cells (`example_runs.cell`) → a runs table as it is read from its file."""
    return partial(example_runs.runs_table, tmp_path / "runs.csv")
